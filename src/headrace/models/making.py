"""Making a version of a model: rows, training, scoring, storing."""

from __future__ import annotations

import io
import platform
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.join import point_in_time
from headrace.models.artefact import dump, load
from headrace.models.columns import Input, encode, hint, inputs_of
from headrace.models.gate import SCORE
from headrace.models.metrics import calibration, evaluation, measured_json
from headrace.models.predictor import check_same
from headrace.models.split import Parts, divide, labelled
from headrace.models.training import CLASSIFICATION, Estimator, TrainingSet, scores, train, truth, unseeded
from headrace.ports.canonical import digest_of
from headrace.ports.durations import spell
from headrace.ports.records import Manifest

if TYPE_CHECKING:
    import polars as pl

    from headrace.features.view import JoinSpec
    from headrace.models.spec import ModelSpec
    from headrace.models.training import Trainer
    from headrace.ports.records import Facts, Version
    from headrace.ports.work import Context

_CUTOFF = "_cutoff"
_LIBRARIES = ("numpy", "polars", "scikit-learn", "skops")
_PHASES = 4
_SAMPLE = 20
_SLICES = 200


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gave: the estimator, its inputs, and the held-out rows with its predictions."""

    estimator: Estimator
    task: str
    inputs: tuple[Input, ...]
    parts: Parts
    scored: pl.DataFrame


def make_model(name: str, spec: ModelSpec, function: Trainer, context: Context) -> Manifest:
    """Make a version of a model: outputs `model` (the artefact) and `holdout` (the held-out rows, scored)."""
    rows, origins = training_rows(spec, context)
    parts = divide(rows, spec.columns, spec.split, spec.lead)
    _check_slices(spec.slices, parts.holdout)
    context.log(f"{len(parts.train)} rows to train on, {len(parts.holdout)} held out, {parts.skipped} in neither")
    context.progress(1, _PHASES)
    trained = _train(spec, function, parts, tuple(origins), context)
    context.progress(2, _PHASES)
    content = dump(trained.estimator)
    sample = _verified(trained, content, name)
    context.progress(3, _PHASES)
    facts = {**_facts(spec, trained), "origins": origins, "sample": sample, "seed": context.seed}
    facts["views"] = [_view(join, context.versions[join.view.name]) for join in spec.features]
    buffer = io.BytesIO()
    trained.scored.write_parquet(buffer)
    artefacts = context.stores.artefacts
    outputs = {"model": artefacts.put(content, ".skops"), "holdout": artefacts.put(buffer.getvalue(), ".parquet")}
    context.progress(_PHASES, _PHASES)
    return Manifest(context.key, outputs, facts)


def training_rows(spec: ModelSpec, context: Context) -> tuple[pl.DataFrame, dict[str, str]]:
    """The labelled rows with what each feature view showed at their cut-off, and the origin of each model input.

    The origin of a column is a digest of how it was made: equal origins mean equal meaning.
    """
    import polars as pl

    versions, stores, labels = context.versions, context.stores, spec.labels
    rows = labelled(labels.read(versions[labels.name], stores), spec.columns)
    origins = {name: digest_of([labels.name, versions[labels.name].fingerprint, name]) for name in spec.inputs}
    views = []
    for join in spec.features:
        version = versions[join.view.name]
        views.append(join.read(version, stores))
        recipe = [join.view.name, version.fingerprint, join.on, join.prefix, spell(spec.lead)]
        origins |= {name: digest_of([*recipe, name]) for name in join.columns(version)}
    asked = rows.with_columns((pl.col(spec.columns.event_time) - spec.lead).alias(_CUTOFF))
    return point_in_time(asked, views, cutoff=_CUTOFF).drop(_CUTOFF), origins


def _view(join: JoinSpec, version: Version) -> Facts:
    """Which features come from where: what serving needs in order to look them up by the same definition."""
    names = [name for name, _ in version.manifest.facts["features"]]
    return {
        "view": join.view.name,
        "on": list(join.on),
        "prefix": join.prefix,
        "features": names,
        "key": version.key,
        "fingerprint": version.fingerprint,
    }


def _check_slices(slices: tuple[str, ...], holdout: pl.DataFrame) -> None:
    for name in slices:
        if name not in holdout.columns:
            raise HeadraceError("HR502", f"there is no column {name!r} to slice by", fix=hint(name, holdout.columns))
        if (values := holdout[name].n_unique()) > _SLICES:
            raise HeadraceError("HR519", f"{name!r} has {values} values in the held-out rows")


def _train(spec: ModelSpec, function: Trainer, parts: Parts, names: tuple[str, ...], context: Context) -> Trained:
    import polars as pl

    label = spec.columns.label
    inputs = inputs_of(parts.train, names)
    data = TrainingSet(encode(parts.train, inputs), truth(parts.train, label), context.seed, parts.train)
    estimator, task = train(function, data, label)
    if chance := unseeded(estimator):
        context.log(f"{', '.join(chance)} is not set, so that no second training may be like this one: use data.seed")
    if task == CLASSIFICATION and set(truth(parts.holdout, label).tolist()) - {0, 1}:
        raise HeadraceError("HR511", f"{label!r} is not 0 or 1 everywhere in the held-out rows")
    score = scores(estimator, encode(parts.holdout, inputs))
    return Trained(estimator, task, inputs, parts, parts.holdout.with_columns(pl.Series(SCORE, score)))


def _verified(trained: Trained, content: bytes, name: str) -> list[float]:
    """The first predictions for held-out rows, after checking that the stored model repeats them (HR524)."""
    import numpy as np

    rows = encode(trained.scored.head(_SAMPLE), trained.inputs)
    found = trained.scored[SCORE].head(_SAMPLE).to_numpy()
    check_same(found, np.asarray(scores(load(content), rows)), name)
    return [float(each) for each in found]


def _facts(spec: ModelSpec, trained: Trained) -> Facts:
    """What is known of a version: what was measured, on what, and what it was made with."""
    import polars as pl

    scored, parts, label = trained.scored, trained.parts, spec.columns.label
    y, score = truth(scored, label), scored[SCORE].to_numpy()
    measured = evaluation(scored.with_columns(pl.Series(label, y)), spec.slices, trained.task, label, SCORE)
    kind = type(trained.estimator)
    return {
        **measured_json(measured),
        "calibration": calibration(y, score) if trained.task == CLASSIFICATION else [],
        "task": trained.task,
        "label": label,
        "keys": list(spec.columns.keys),
        "event_time": spec.columns.event_time,
        "lead": spell(spec.lead),
        "boundary": parts.boundary.isoformat(),
        "cutoff": parts.cutoff.isoformat(),
        "counts": {"train": len(parts.train), "holdout": len(parts.holdout), "skipped": parts.skipped},
        "inputs": [each.to_json() for each in trained.inputs],
        "estimator": f"{kind.__module__}.{kind.__qualname__}",
        "libraries": {"python": platform.python_version(), **{name: version_of(name) for name in _LIBRARIES}},
    }

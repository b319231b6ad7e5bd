"""Where one answer of an endpoint comes from: the version, what that was made from, and the feature rows it saw."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.endpoints.predictions import find_prediction
from headrace.errors import HeadraceError
from headrace.project.explain import lineage
from headrace.project.prediction_place import place_of
from headrace.runtime.environments import existing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.endpoints.log_lines import Prediction
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Json, Version
    from headrace.project.explain import Lineage
    from headrace.project.workspace import Workspace

_ID = re.compile(r"[0-9a-f]{16}-[0-9a-z]{3,}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ViewRows:
    """What was looked up in a feature view.

    `generation` is the key of what the online store held, `made_from` the version of the view (None: the ledger does
    not know it), `newest` the moment of the newest row that was seen (None: there was no row), `values` the features
    that the model saw, by the name of its input.
    """

    view: str
    generation: str
    made_from: str | None
    newest: str | None
    values: dict[str, Json]

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "view": self.view,
            "generation": self.generation,
            "made_from": self.made_from,
            "newest": self.newest,
            "values": self.values,
        }


@dataclass(frozen=True, slots=True)
class PredictionExplained:
    """One answer, the version that gave it (None: the ledger does not know it), and the feature rows that it used."""

    environment: str
    prediction: Prediction
    version: Version | None
    lineage: Lineage | None
    views: Sequence[ViewRows] = ()

    def to_json(self) -> Json:
        """Plain data; a prediction that is not finite is given as text."""
        found = self.prediction
        score = found.prediction
        return {
            "environment": self.environment,
            "id": found.id,
            "at": moment_of(found.at),
            "cutoff": moment_of(found.cutoff),
            "endpoint": found.endpoint,
            "version": found.version,
            "model": found.model,
            "stage": found.stage,
            "prediction": score if math.isfinite(score) else repr(score),
            "micros": found.micros,
            "inputs": dict(found.inputs),
            "features": dict(found.features),
            "views": [each.to_json() for each in self.views],
            "lineage": None if self.lineage is None else self.lineage.to_json(),
        }


def is_prediction_id(text: str) -> bool:
    """Whether a text looks like the id of an answer; no name of a node does."""
    return _ID.fullmatch(text) is not None


def why_prediction(workspace: Workspace, prediction: str, environment: str | None = None) -> PredictionExplained:
    """Where an answer comes from; it is sought in one environment or, without one, in all, the main one first.

    Raises HR609 for an unknown environment, HR931 for an unknown id.
    """
    ledger = workspace.ledger
    name, found = _found(workspace, prediction, environment)
    version = ledger.version(found.version)
    return PredictionExplained(
        name, found, version, None if version is None else lineage(ledger, version), _views(ledger, found)
    )


def moment_of(micros: int) -> str:
    """Microseconds since 1970 as the ledger spells time; what no calendar holds, as its first or last moment."""
    try:
        found = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        found = datetime.max.replace(tzinfo=UTC) if micros > 0 else datetime.min.replace(tzinfo=UTC)
    return found.isoformat(timespec="microseconds")


def _found(workspace: Workspace, prediction: str, environment: str | None) -> tuple[str, Prediction]:
    main = workspace.settings.environment
    known = workspace.ledger.environments()
    if environment is None:
        names = sorted(known, key=lambda name: name != main)
    else:
        names = [existing(workspace.ledger, environment).environment]
    for name in names[:-1]:
        try:
            return name, find_prediction(place_of(workspace, name), prediction)
        except HeadraceError as error:
            if error.code != "HR931":
                raise
    last = names[-1] if names else main
    return last, find_prediction(place_of(workspace, last), prediction)


def _views(ledger: Ledger, found: Prediction) -> list[ViewRows]:
    model = ledger.version(found.model)
    recorded = () if model is None else model.manifest.facts.get("views", ())
    inputs = {view["view"]: [view["prefix"] + name for name in view["features"]] for view in recorded}
    rows = []
    for view, seen in found.seen.items():
        generation = ledger.version(seen.generation)
        rows.append(
            ViewRows(
                view,
                seen.generation,
                generation.inputs[0][1] if generation is not None and generation.inputs else None,
                None if seen.newest is None else moment_of(seen.newest),
                {name: found.features.get(name) for name in inputs.get(view, ())},
            )
        )
    return rows

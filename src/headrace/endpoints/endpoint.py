"""The endpoint node: a model version, packaged for serving. A server answers with what the environment points to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, ClassVar

from headrace.errors import HeadraceError, suggestion
from headrace.graph.node import Node
from headrace.ports.records import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.endpoints.canary import Canary
    from headrace.features.online import OnlineFeatures
    from headrace.graph.node import Options
    from headrace.models.model import Model
    from headrace.models.portable import Portable, Refused
    from headrace.models.spec import ModelSpec
    from headrace.ports.records import Facts, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step

LABELS = "labels"
"""The fact that says where the labels of answers will stand; null where no answer can find its label."""
UNKNOWN = "unknown"
"""The setting that says what becomes of a category that the model has not seen, and the fact where it is not `WARN`."""
WARN = "warn"
"""It counts as missing, as in training, and the answer says so."""
REFUSE = "refuse"
"""The request is refused."""
PORTABLE = "portable"
"""The output that holds the model as an ONNX graph, where there is one."""
_CHECKED = 2_000
"""Held-out rows on which an export must agree with the model."""


class Endpoint(Node):
    """A model behind HTTP. `headrace serve` answers with the version that the environment points to.

    Its companions are the online stores of the features that the model looks up: they are published with the features.
    """

    kind: ClassVar[str] = "endpoint"
    verb: ClassVar[str] = "package"
    semantics: ClassVar[int] = 2  # 2: says where labels stand

    def __init__(
        self,
        name: str,
        model: Model,
        online: Sequence[OnlineFeatures],
        options: Options | None = None,
        rollout: Canary | None = None,
        unknown: str = WARN,
    ) -> None:
        super().__init__(name, (model,), options)
        if unknown not in (WARN, REFUSE):
            raise HeadraceError("HR933", f"unknown={unknown!r} of {name}", fix=suggestion(str(unknown), (WARN, REFUSE)))
        self.unknown = unknown
        self.companions = tuple(online)
        self.rollout = rollout
        self.model = model

    def settings(self) -> Mapping[str, object]:
        """The roll-out, and what is refused: a server reads both from the version, so they are part of what is made."""
        rollout = {} if self.rollout is None else {"rollout": self.rollout.to_facts()}
        return rollout if self.unknown == WARN else {**rollout, UNKNOWN: self.unknown}

    def consequences(self) -> Sequence[str]:
        """The stages of its roll-out."""
        from headrace.endpoints.rollout import stages

        return () if self.rollout is None else (f"takes over by {', '.join(map(str, stages(self.rollout)))}",)

    def make(self, step: Step, context: Context) -> Manifest:
        """Package the model: as an ONNX graph where one predicts the same, else it is served as it was trained."""
        (model,) = context.versions.values()
        common: Facts = {"model": model.key, LABELS: labels_of(self.model.spec), **self.settings()}
        found = _exported(model, context.stores)
        if isinstance(found, str):
            context.log(f"served by its own library: {found}")
            return Manifest(step.key, {}, {**common, "served": "native", "reason": found})
        context.log(f"served as an ONNX graph, which agrees on {found.rows} rows (off by at most {found.off:.2g})")
        facts: Facts = {**common, "served": "onnx", "rows": found.rows, "off": found.off}
        return Manifest(step.key, {PORTABLE: context.stores.artefacts.put(found.content, ".onnx")}, facts)


def labels_of(spec: ModelSpec) -> Facts | None:
    """Where the label of an answer will stand: its table, the columns that name the row, when it is known.

    None for a table without a key. All of it follows from what the model is made from.
    """
    columns, contract = spec.columns, spec.labels.contract
    if contract is None or not columns.keys:
        return None
    return {
        "table": spec.labels.name,
        "keys": [[each.name, each.type] for each in contract.__columns__ if each.key],
        "label": columns.label,
        "known_at": columns.known_at or columns.event_time,
    }


def _exported(model: Version, stores: Stores) -> Portable | str:
    """The graph, or why there is none."""
    import polars as pl

    from headrace.models.gate import SCORE
    from headrace.models.portable import Refused, export
    from headrace.models.predictor import Predictor

    predictor = Predictor.of(model, stores)
    if getattr(predictor.estimator, "is_categorical_", None) is not None:  # no need to try, which takes seconds
        return "The converter for gradient boosting gets categories wrong."
    content = io.BytesIO(stores.artefacts.get(model.manifest.outputs["holdout"]))
    sample = pl.read_parquet(content, n_rows=_CHECKED)
    found: Portable | Refused = export(predictor.estimator, predictor.inputs, sample, sample[SCORE].to_numpy())
    return found.reason if isinstance(found, Refused) else found

"""What a model is declared with, checked against the contract of its label table as soon as it is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict

from headrace.errors import HeadraceError
from headrace.features.view import join_of
from headrace.graph.conditions import comparisons
from headrace.models.columns import hint, unique
from headrace.models.metrics import METRICS
from headrace.models.split import LabelColumns, TimeSplit
from headrace.ports.durations import duration, spell
from headrace.tables.contract import keys, marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from headrace.features.view import AnyFeatures, JoinSpec
    from headrace.graph.conditions import Comparison, Condition
    from headrace.tables.table import Table


class ModelSettings(TypedDict, total=False):
    """The settings of a model, as users write them.

    `label` is the column to learn, `lead` how long before the event the model is asked, `features` the views that are
    joined as of that moment, `inputs` the columns of the label table that the model takes, `split` what is held out,
    `gate` what must hold before a version goes live, `slices` columns by which the metrics are measured as well.
    """

    label: Required[str]
    split: Required[TimeSplit]
    lead: str | timedelta
    features: Sequence[AnyFeatures]
    inputs: Sequence[str]
    gate: Sequence[Condition]
    slices: Sequence[str]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The settings of a model, checked, and the table that it learns from."""

    labels: Table
    columns: LabelColumns
    split: TimeSplit
    lead: timedelta
    features: tuple[JoinSpec, ...]
    inputs: tuple[str, ...]
    gate: tuple[Comparison, ...]
    slices: tuple[str, ...]

    def fingerprinted(self) -> Mapping[str, object]:
        """The settings that decide what is made.

        The gate decides what is published: it is part of the decision's key, and changing it retrains nothing. What it
        slices by is measured when it decides.
        """
        return {
            "label": self.columns.label,
            "split": str(self.split),
            "lead": spell(self.lead),
            "features": [(each.view.name, each.on, each.prefix) for each in self.features],
            "inputs": list(self.inputs),
            "slices": list(self.slices),
        }


def model_spec(labels: Table, settings: ModelSettings) -> ModelSpec:
    """Check the settings of a model that learns from `labels`. Raises HR500 to HR506, HR121 and HR110."""
    columns = _label_columns(labels, settings["label"])
    features = tuple(join_of(each) for each in settings.get("features", ()))
    inputs = unique(settings.get("inputs", ()))
    gate = comparisons(settings.get("gate", ()))
    if not features and not inputs:
        raise HeadraceError("HR505", f"a model of {columns.label!r} has neither inputs nor features")
    if columns.label in inputs:
        raise HeadraceError("HR506", f"{columns.label!r} is the label and an input")
    known = _contract_columns(labels)
    for name in inputs:
        _refuse_unknown(name, known, f"the input {name!r}", labels)
    for name in unique(name for each in features for name in each.on):
        _refuse_unknown(name, known, f"{name!r}, by which features are joined,", labels)
    slices = unique(settings.get("slices", ()))
    if not features:  # which columns feature views have is known when there is data
        for name in unique([*slices, *(each.metric.column for each in gate if each.metric.column)]):
            _refuse_unknown(name, known, f"the column to slice by, {name!r},", labels)
    _refuse_unknown_metrics(gate)
    return ModelSpec(
        labels, columns, settings["split"], duration(settings.get("lead", "0s")), features, inputs, gate, slices
    )


def _label_columns(labels: Table, label: str) -> LabelColumns:
    """What the contract says of the label table: which column is what."""
    known = _contract_columns(labels)
    _refuse_unknown(label, known, f"the label {label!r}", labels)
    event_time = marked(labels.contract, "event_time")
    if event_time is None:
        raise HeadraceError("HR501", f"the contract of {labels.name} marks no column as event_time")
    return LabelColumns(label, event_time, marked(labels.contract, "known_at"), keys(labels.contract))


def _contract_columns(labels: Table) -> tuple[str, ...]:
    if labels.contract is None:
        raise HeadraceError("HR500", f"{labels.name} has no contract")
    return tuple(each.name for each in labels.contract.__columns__)


def _refuse_unknown(name: str, known: Iterable[str], what: str, labels: Table) -> None:
    if name not in known:
        raise HeadraceError("HR502", f"{what} is no column of {labels.name}", fix=hint(name, known))


def _refuse_unknown_metrics(gate: Iterable[Comparison]) -> None:
    for each in gate:
        if each.metric.name not in METRICS:
            raise HeadraceError("HR504", f"{each} asks for {each.metric.name!r}", fix=hint(each.metric.name, METRICS))

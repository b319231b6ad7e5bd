"""Logged answers as the join asks: entities in the types of a view, cut-offs, and the values that were looked up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from headrace.features.packed import entity_kind_of
from headrace.features.parity import UNUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.endpoints.log_lines import Prediction
    from headrace.features.join import ViewRows

CUTOFF = "_cutoff"
"""The column of the cut-offs; no input is named like that, since names with an underscore are the platform's."""

_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Asked:
    """Look-ups: the answers that made them, the frame of entities and cut-offs, and by input the values used."""

    answers: Sequence[Prediction]
    frame: pl.DataFrame
    used: Mapping[str, Sequence[object]]

    def part(self, rows: Sequence[int]) -> Asked:
        """Some of them, by number."""
        used = {name: [values[row] for row in rows] for name, values in self.used.items()}
        return Asked([self.answers[row] for row in rows], self.frame[list(rows)], used)


def asked_of(answers: Sequence[Prediction], on: Sequence[str], inputs: Sequence[str], view: ViewRows) -> Asked:
    """The look-ups of answers by the inputs `on`, of the features that are the inputs `inputs`.

    An answer whose entity is of another type than that of the view, as a damaged log may have it, is left out.
    """
    import polars as pl

    schema = view.rows.lazy().collect_schema()
    types = [schema[name] for name in view.entity]
    read = [_READ[entity_kind_of(schema[name], f"{name!r} of {view.name}")] for name in view.entity]
    kept, entities = [], []
    for each in answers:
        try:
            entities.append([_or_none(of, each.inputs.get(name)) for of, name in zip(read, on, strict=True)])
        except (TypeError, ValueError):
            continue
        kept.append(each)
    columns = [
        _column(name, [entity[place] for entity in entities], dtype)
        for place, (name, dtype) in enumerate(zip(on, types, strict=True))
    ]
    cutoffs = pl.Series(CUTOFF, [each.cutoff for each in kept], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    used = {name: [UNUSED if name in each.inputs else each.features.get(name) for each in kept] for name in inputs}
    return Asked(kept, pl.DataFrame([*columns, cutoffs]), used)


def _or_none(read: Callable[[object], object], value: object) -> object:
    return None if value is None else read(value)


def _column(name: str, values: Sequence[object], dtype: pl.DataType) -> pl.Series:
    """Values of an entity in a type that the join compares with that of the view."""
    import polars as pl

    if dtype.is_integer():
        wide = any(isinstance(value, int) and not -_LARGEST <= value < _LARGEST for value in values)
        return pl.Series(name, values, dtype=pl.Int128 if wide else pl.Int64)
    if dtype in (pl.Categorical, pl.Enum):
        return pl.Series(name, values, dtype=pl.String)
    if not isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=dtype)
    moments = pl.Series(name, values, dtype=pl.Datetime("us", "UTC"))
    zoned = moments.dt.replace_time_zone(None) if dtype.time_zone is None else moments
    return zoned.cast(dtype)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError


def _date(value: object) -> date:
    return date.fromisoformat(_text(value))


def _datetime(value: object) -> datetime:
    found = datetime.fromisoformat(_text(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_READ: Mapping[str, Callable[[object], object]] = {
    "text": _text,
    "whole": _whole,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}

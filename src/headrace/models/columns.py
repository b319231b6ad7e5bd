"""Model inputs: which columns a model takes, and how they become what an estimator is fitted on.

The matrix is a Polars frame: scikit-learn 1.9 reads it as it is, takes the names of its columns, and treats its `Enum`
columns as categories (`categorical_features="from_dtype"`); pandas is not needed. Numbers and booleans become floats
with NaN for a missing value. Text becomes an `Enum` whose categories are fixed by the training rows and kept with the
model, so that a category that training never saw is a missing value, and no code ever changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import polars as pl

    from headrace.ports.records import Facts, Json


@dataclass(frozen=True, slots=True)
class Input:
    """One column that a model takes. `categories` is None for a number, else the texts that training saw, sorted."""

    name: str
    dtype: str
    categories: tuple[str, ...] | None = None

    def to_json(self) -> Json:
        """Plain data."""
        categories = None if self.categories is None else list(self.categories)
        return {"name": self.name, "dtype": self.dtype, "categories": categories}

    @classmethod
    def from_json(cls, data: Facts) -> Input:
        """The inverse of `to_json`."""
        categories = data["categories"]
        return cls(data["name"], data["dtype"], None if categories is None else tuple(categories))


def inputs_of(frame: pl.DataFrame, names: Sequence[str]) -> tuple[Input, ...]:
    """The inputs that a model trained on these rows has. Raises HR510 for a type that no model takes."""
    return tuple(_input(frame, name) for name in names)


def encode(frame: pl.DataFrame, inputs: Sequence[Input]) -> pl.DataFrame:
    """The matrix: one column for each input, in order, as estimators take it.

    Raises:
        HeadraceError: HR530 for a column that is missing, HR531 for one of another type than in training.
    """
    for each in inputs:
        _refuse_unlike(frame, each)
    return frame.select([_encoded(each) for each in inputs])


def _input(frame: pl.DataFrame, name: str) -> Input:
    column = frame.get_column(name)
    if _is_text(column.dtype):
        seen = column.drop_nulls().unique().to_list()
        return Input(name, str(column.dtype), tuple(sorted(map(str, seen))))
    if _is_number(column.dtype):
        return Input(name, str(column.dtype))
    raise HeadraceError("HR510", f"the input {name!r} is of type {column.dtype}", fix=_remedy(column.dtype))


def _is_text(dtype: pl.DataType) -> bool:
    import polars as pl

    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _is_number(dtype: pl.DataType) -> bool:
    import polars as pl

    return dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)


def _remedy(dtype: pl.DataType) -> str | None:
    if dtype.is_temporal():
        return "Compute numbers from it in the table, such as the hour, the day of the week or the minutes since."
    return None


def _refuse_unlike(frame: pl.DataFrame, each: Input) -> None:
    import polars as pl

    if each.name not in frame.columns:
        raise HeadraceError("HR530", f"the input {each.name!r} is missing", fix=hint(each.name, frame.columns))
    dtype = frame.schema[each.name]
    fits = _is_number(dtype) if each.categories is None else _is_text(dtype) or dtype == pl.Null
    if not fits:
        raise HeadraceError("HR531", f"the input {each.name!r} is of type {dtype}, in training it was {each.dtype}")


def _encoded(each: Input) -> pl.Expr:
    import polars as pl

    column = pl.col(each.name)
    if each.categories:
        return column.cast(pl.String).cast(pl.Enum(each.categories), strict=False)
    if each.categories is not None:  # text that was missing in every training row: there is nothing to learn from
        return column.is_null().cast(pl.Float64) * float("nan")
    return column.cast(pl.Float64).fill_null(float("nan"))


def hint(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as a sentence."""
    text = did_you_mean(name, known)
    return text[:1].upper() + text[1:]


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names without repetition, in order of first appearance."""
    return tuple(dict.fromkeys(names))

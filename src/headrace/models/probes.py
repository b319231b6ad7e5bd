"""Rows that models are rarely shown and serving will meet: values missing, texts unseen, numbers far out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from headrace.models.columns import Input

_BASES = 3
_UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"


def probes_of(sample: pl.DataFrame, inputs: Sequence[Input]) -> tuple[pl.DataFrame, list[str]]:
    """Rows derived from the first and last rows of a sample by changing one input, and what was changed in each."""
    import polars as pl

    names = [each.name for each in inputs]
    known = sample.select(
        [pl.col(each.name).cast(pl.String if each.categories is not None else pl.Float64) for each in inputs]
    )
    bases = known.gather_every(max(1, len(known) // _BASES)).head(_BASES).rows()
    rows: list[tuple[object, ...]] = []
    asked: list[str] = []
    for n, each in enumerate(inputs):
        for what, value in _changes(each, known[each.name]):
            for base in bases:
                rows.append((*base[:n], value, *base[n + 1 :]))
                asked.append(f"{each.name!r} {what}")
    rows.append((None,) * len(inputs))
    asked.append("all missing")
    schema = {each.name: pl.String() if each.categories is not None else pl.Float64() for each in inputs}
    return pl.DataFrame(rows, schema=schema, orient="row").select(names), asked


def _changes(each: Input, column: pl.Series) -> Iterator[tuple[str, object]]:
    yield "missing", None
    if each.categories is not None:
        yield "unseen", _UNSEEN
        yield from (("as a category", text) for text in each.categories)
        return
    finite = column.drop_nulls().drop_nans()
    low, high = (float(finite.min() or 0), float(finite.max() or 0)) if len(finite) else (0.0, 0.0)  # type: ignore[arg-type]
    reach = 10 * (high - low) or 1.0
    for value in (0.0, low, high, low - reach, high + reach):
        yield "at an extreme", value

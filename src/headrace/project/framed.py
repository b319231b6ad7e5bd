"""The answer to a query as a frame of Polars, which lacks some of DuckDB's types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_DAY: Final = 86_400_000_000
"""Microseconds."""
_MOST: Final = 100_000_000
"""Days that a duration can tell, in microseconds of 64 bits."""


def framed(answer: pa.Table) -> pl.DataFrame:
    """The rows; intervals, which are what one moment less another is, as durations.

    Raises HR835 for intervals of months, which are not always of the same length, and for types that have no place.
    """
    import polars as pl
    import pyarrow as pa

    for at, field in enumerate(answer.schema):
        if pa.types.is_interval(field.type):
            answer = answer.set_column(at, field.name, _durations(field.name, answer.column(at)))
        elif _is_foreign(field.type):
            raise _refused(field.name, f"is of the type {field.type}, which a frame cannot hold")
    return pl.DataFrame(answer)


def _durations(name: str, intervals: pa.ChunkedArray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    kind = np.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")])
    found = pa.concat_arrays(intervals.chunks or [pa.array([], intervals.type)])
    values = np.frombuffer(found.buffers()[1] or b"", kind)[found.offset : found.offset + len(found)]
    missing = found.is_null().to_numpy(zero_copy_only=False)
    values = np.where(missing, np.zeros(1, kind), values)
    if values["months"].any() or (abs(values["days"].astype(np.int64)) > _MOST).any():
        raise _refused(name, "holds intervals of months or years, which have no fixed length")
    lengths = values["days"].astype(np.int64) * _DAY + values["nanoseconds"] // 1_000
    return pa.array(lengths, mask=missing).cast(pa.duration("us"))


def _is_foreign(kind: pa.DataType) -> bool:
    """Whether Polars has no such type, or none for something in it."""
    import pyarrow as pa

    inner = [kind.field(at).type for at in range(kind.num_fields)]
    return bool(pa.types.is_interval(kind) or pa.types.is_union(kind)) or any(map(_is_foreign, inner))


def _refused(name: str, why: str) -> HeadraceError:
    return HeadraceError("HR835", f"column {name!r} {why}", fix=f"Ask for it as text: ({name})::varchar.")

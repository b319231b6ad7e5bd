"""What a Delta log tells of the values in a file: how many are null, the least and the greatest, column by column.

Readers of Delta (`deltalake`, DuckDB's `delta_scan`, Polars' `scan_delta`, Spark) pass over the files that can hold no
row that a query asks for. The bounds are those of the Parquet file itself, which has short ones for long texts. Numbers
that may be NaN have none: where it stands in their order is another place in each engine.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS: Final = 32
"""So many columns have bounds, the first ones, as with other writers of Delta."""
_MILLISECOND: Final = timedelta(milliseconds=1)


def statistics(path: Path, rows: int) -> str:
    """The statistics of a file, as the entry of a Delta log takes them."""
    footer = pq.read_metadata(path)
    least: dict[str, int | str] = {}
    greatest: dict[str, int | str] = {}
    nulls: dict[str, int] = {}
    columns = [footer.schema.column(number) for number in range(len(footer.schema))]
    plain = [(number, column.name) for number, column in enumerate(columns) if column.path == column.name]
    for number, name in plain[:COLUMNS]:
        parts = [footer.row_group(group).column(number).statistics for group in range(footer.num_row_groups)]
        if any(part is None or not part.has_null_count for part in parts):
            continue
        nulls[name] = sum(part.null_count for part in parts)
        bounds = _bounds([part for part in parts if part.num_values])
        if bounds is not None:
            least[name], greatest[name] = bounds
    told = {"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}
    return json.dumps(told, ensure_ascii=False)


def _bounds(parts: Sequence[Any]) -> tuple[int | str, int | str] | None:
    """The bounds of a column over the groups of rows that have values of it, as JSON; None where none are known."""
    if not parts or not all(part.has_min_max for part in parts):
        return None
    least: Any
    greatest: Any
    try:
        if (begin := _begin(parts[0].logical_type)) is not None:
            least = begin + timedelta(microseconds=min(part.min_raw for part in parts))
            greatest = begin + timedelta(microseconds=max(part.max_raw for part in parts))
        else:
            least, greatest = min(part.min for part in parts), max(part.max for part in parts)
        if isinstance(least, datetime):
            return _moment(least), _moment(greatest + _MILLISECOND if greatest.microsecond % 1000 else greatest)
    except (ValueError, OverflowError):
        return None  # a moment beyond the calendar of Python
    if isinstance(least, date):
        return least.isoformat(), greatest.isoformat()
    return (least, greatest) if isinstance(least, int | str) and not isinstance(least, bool) else None


def _begin(kind: Any) -> datetime | None:  # noqa: ANN401 - a type without stubs
    """What the numbers of a column of moments count from; None for other columns. PyArrow loads pandas for them."""
    if kind.type != "TIMESTAMP":
        return None
    said = json.loads(kind.to_json())
    if said["timeUnit"] != "microseconds":
        return None
    return datetime(1970, 1, 1, tzinfo=UTC if said["isAdjustedToUTC"] else None)


def _moment(moment: datetime) -> str:
    """A moment, down to the millisecond: all that some readers look at."""
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text if moment.tzinfo is None else f"{text}Z"

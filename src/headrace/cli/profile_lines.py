"""The profile of a table in the terminal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from headrace.cli.frames import cell
from headrace.cli.monitor_lines import sparkline
from headrace.cli.output import columns, counted, short

if TYPE_CHECKING:
    from headrace.project.table_profile import ColumnProfile, Numbers, TableProfile

_TOP = 3
_DAY = timedelta(days=1)


def profile_lines(found: TableProfile) -> list[str]:
    """A line for each column: what it holds; then the extremes, quantiles and moments of numbers and times."""
    version = found.version
    told = f"{counted(found.rows, 'row')}, {counted(len(found.columns), 'column')}"
    lines = [f"{version.node} {short(version.key)}, {version.kind}, in {found.environment}: {told}", ""]
    rows = [(each.name, each.dtype, _missing(each), different(each), _shown(each)) for each in found.columns]
    lines += _indented(columns(rows, ("column", "type", "missing", "distinct", "most frequent"), right=[2, 3]))
    numbers = [(each.name, *_numbers(each.numbers)) for each in found.columns if each.numbers is not None]
    if numbers:
        heads = ("numbers and times", "min", "25 %", "median", "75 %", "max", "mean", "std", "")
        lines += ["", *_indented(columns(numbers, heads, right=range(1, 8)))]
    return lines


def different(column: ColumnProfile) -> str:
    """How many different values there are; "~" before what is only about so many."""
    if column.different is None:
        return ""
    return f"{'' if column.exact else '~'}{column.different:,}"


def _missing(column: ColumnProfile) -> str:
    told = [f"{column.missing:.1%}" if column.missing else "0"]
    if column.infinite:
        told.append(f"{column.infinite:,} infinite")
    return ", ".join(told)


def _shown(column: ColumnProfile) -> str:
    """The most frequent values with their shares, unless each value occurs once; of texts also how long they are."""
    told = []
    if column.top and column.top[0][1] > 1:
        told = [f"{value_cell(value)} {rows / column.rows:.1%}" for value, rows in column.top[:_TOP]]
    elif column.rows > 1 and column.different and column.different == column.rows - column.nulls and column.exact:
        told = ["all different"]
    if column.lengths is not None:
        low, high = column.lengths
        told.append(f"({counted(low, 'character')})" if low == high else f"({low} to {counted(high, 'character')})")
    return "  ".join(told)


def _numbers(found: Numbers) -> tuple[str, ...]:
    levels = found.quantiles
    values = (found.low, levels[0.25], levels[0.5], levels[0.75], found.high, found.mean, found.deviation)
    return (*map(value_cell, values), sparkline([0.0, *(float(each.rows) for each in found.histogram)])[1:])


def value_cell(value: object) -> str:
    """A value on one line; times to the minute, lengths of time in days or to the second."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="minutes")
    if isinstance(value, timedelta):
        return f"{value / _DAY:.4g} days" if value >= _DAY else str(timedelta(seconds=round(value.total_seconds())))
    return cell(value)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]

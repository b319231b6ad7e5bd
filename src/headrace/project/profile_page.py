"""The profile of a table as one HTML file that asks for nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Final

from headrace.monitors.page_parts import document, figure, section, spelled_number, table
from headrace.monitors.report_svg import Bar, histogram

if TYPE_CHECKING:
    from headrace.project.table_profile import ColumnProfile, TableProfile

_SHORT: Final = 60
_MARKED: Final = 3
"""How many places below a histogram are named: the ends and the middle."""


def page(found: TableProfile) -> str:
    """The whole file."""
    version = found.version
    subtitle = (
        f"{escape(version.kind)}, in {escape(found.environment)}: {found.rows:,} rows, {len(found.columns)} columns"
    )
    made = f"Version {escape(version.key)}, made {escape(version.made_at[:19])} UTC."
    figures = "".join(filter(None, map(_figure, found.columns)))
    about = (
        "How the finite values of numbers and times are distributed, in bars of equal width; of others, the top values."
    )
    sections = [
        _columns(found),
        _numbers(found),
        section("Distributions", about, f'<div class="grid">{figures}</div>') if figures else "",
        _top(found),
    ]
    return document(version.node, subtitle, made, sections)


def _columns(found: TableProfile) -> str:
    rows = [
        (
            each.name,
            f"{each.nulls:,}",
            f"{each.nans:,}" if each.nans else "",
            f"{each.infinite:,}" if each.infinite else "",
            f"{each.missing:.1%}",
            "" if each.different is None else f"{'' if each.exact else '~'}{each.different:,}",
            "" if each.lengths is None else f"{each.lengths[0]:,} to {each.lengths[1]:,}",
            each.dtype,
        )
        for each in found.columns
    ]
    heads = ("column", "null", "NaN", "infinite", "missing", "distinct", "characters", "type")
    about = "Distinct values are exact up to 10,000; a number with ~ is off by 1.6 % on average."
    return section("Columns", about, table(heads, rows, numbers=range(1, 7)))


def _numbers(found: TableProfile) -> str:
    rows, levels = [], []
    for each in found.columns:
        if each.numbers is not None:
            told = each.numbers
            levels = [f"{level:.0%}" for level in told.quantiles]
            values = (told.low, *told.quantiles.values(), told.high, told.mean, told.deviation)
            rows.append((each.name, *map(_spelled, values)))
    heads = ("column", "min", *levels, "max", "mean", "std")
    about = "Quantiles are exact up to 200 values; beyond, their ranks are off by 1.5 % at most, in 99 of 100 columns."
    return section("Numbers and times", about, table(heads, rows, numbers=range(1, len(heads)))) if rows else ""


def _figure(column: ColumnProfile) -> str:
    if column.numbers is not None:
        bins = column.numbers.histogram
        ends = [_spelled(bins[0].low), *(_spelled(each.high) for each in bins)]
        bars = [
            Bar(None, each.rows / column.rows, f"{low} to {high}: {each.rows:,} rows")
            for each, low, high in zip(bins, ends, ends[1:], strict=False)
        ]
        places = dict.fromkeys(round(step * len(bins) / (_MARKED - 1)) for step in range(_MARKED))
        marks = [(float(place), ends[place]) for place in places]
    elif column.top and column.top[0][1] > 1:
        bars = [Bar(None, rows / column.rows, f"{_spelled(value)}: {rows:,} rows") for value, rows in column.top]
        marks = [(at + 0.5, _spelled(value)) for at, (value, _) in enumerate(column.top)] if len(bars) <= 6 else []  # noqa: PLR2004 - as many names as have room
    else:
        return ""
    return figure(column.name, column.dtype, histogram(bars, marks, f"distribution of {column.name}"))


def _top(found: TableProfile) -> str:
    rows = []
    for each in found.columns:
        for at, (value, count) in enumerate(each.top):
            if each.top[0][1] > 1:
                rows.append((each.name if at == 0 else "", f"{count:,}", f"{count / each.rows:.1%}", _spelled(value)))
    about = "The most frequent values of each column, unless all are rare."
    return (
        section("Top values", about, table(("column", "rows", "share", "value"), rows, numbers=(1, 2))) if rows else ""
    )


def _spelled(value: object) -> str:
    """A value in a few characters; times to the second."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return spelled_number(value)
    if isinstance(value, datetime):
        return value.replace(microsecond=0, tzinfo=None).isoformat(sep=" ")
    if isinstance(value, timedelta):
        return str(timedelta(seconds=round(value.total_seconds())))
    text = str(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"

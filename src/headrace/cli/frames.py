"""Frames as text, CSV and plain data."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from headrace.cli.output import columns, decimal, plain

if TYPE_CHECKING:
    from headrace.ports.records import Json

_WIDEST = 40


def frame_lines(frame: pl.DataFrame, *, terminal: int | None) -> list[str]:
    """Rows in columns under their heads: in a frame that fits a terminal of this width, else as plain aligned text."""
    heads = frame.columns
    cells = [tuple(cell(value) for value in row) for row in frame.iter_rows()]
    numeric = [at for at, dtype in enumerate(frame.dtypes) if dtype.is_numeric()]
    if terminal is None:
        return columns(cells, heads, right=numeric) if heads else []
    return _drawn(heads, cells, numeric, terminal)


def _drawn(heads: list[str], cells: list[tuple[str, ...]], numeric: list[int], width: int) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    for at, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if at in numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def cell(value: object) -> str:
    """A value of a row as people read it, on one line and not longer than is readable."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, bytes):
        value = value.hex()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds")
    text = " ".join(str(value).split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def schema_lines(schema: pl.Schema) -> list[str]:
    """Each column with its type."""
    return [f"  {line}" for line in columns([(name, str(dtype)) for name, dtype in schema.items()])]


def frame_json(frame: pl.DataFrame) -> Json:
    """Rows as a list of objects. JSON has no infinite numbers: they are the texts "inf" and "-inf"."""
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    infinite = [name for name in numbers if frame.get_column(name).is_infinite().any()]
    return [plain({**row, **{name: _finite(row[name]) for name in infinite}}) for row in frame.iter_rows(named=True)]


def _finite(value: float | None) -> float | str | None:
    return str(value) if value is not None and math.isinf(value) else value


def csv(frame: pl.DataFrame) -> str:
    """Rows as CSV; nested columns as their text, bytes as hexadecimal digits, durations in seconds."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    flat = frame.with_columns(
        pl.Series(name, [None if value is None else str(value) for value in frame[name].to_list()], pl.String)
        for name in nested
    )
    seconds = pl.col(pl.Duration).dt.total_microseconds() / 1_000_000
    return flat.with_columns(pl.col(pl.Binary).bin.encode("hex"), seconds).write_csv()

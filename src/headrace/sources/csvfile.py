"""A CSV file to a frame: its lines are checked first, and every row of it decides the types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.declared import declared, large, refuse_inexact, refuse_missing
from headrace.sources.records import records
from headrace.sources.texts import text_of
from headrace.sources.times import recognised

if TYPE_CHECKING:
    from headrace.sources.records import Records
    from headrace.sources.spec import FileSpec


def read_csv(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """The rows of a CSV file.

    Raises:
        HeadraceError: HR304, HR307 to HR311, HR317 and HR330, with the file and, where there is one, the line.
    """
    lines = records(name, text_of(name, content, spec.dialect), spec.dialect)
    refuse_missing(name, spec.schema, lines.names)
    frame = _read(name, lines, spec)
    if frame.height != len(lines.blank):
        raise HeadraceError(
            "HR311", f"{name}: {len(lines.blank)} lines follow the header, and {frame.height} were read"
        )
    columns = [recognised(column) for column in frame if column.dtype == pl.String and column.name not in spec.schema]
    columns += [
        declared(
            name,
            frame.get_column(column),
            spec.schema[column],
            lambda row: f"line {lines.line(row)}",
            spec.dialect.decimal,
        )
        for column in spec.schema
    ]
    frame = frame.with_columns(columns)
    if len(lines.names) > 1 and lines.blank.any():
        frame = frame.filter(pl.Series(~lines.blank))
    return frame


def _read(name: str, lines: Records, spec: FileSpec) -> pl.DataFrame:
    """Parse the text: numbers and truth values inferred from all rows, the rest and what is declared as text."""
    frame = _parsed(name, lines, spec, tuple(spec.schema))
    inexact = [column.name for column in frame if column.dtype == pl.Float64 and large(column)]
    if inexact:
        texts = _parsed(name, lines, spec, (*spec.schema, *inexact))
        for column in inexact:
            numbers = frame.get_column(column)
            refuse_inexact(name, numbers, texts.get_column(column), lambda row: f"line {lines.line(row)}")
    return frame


def _parsed(name: str, lines: Records, spec: FileSpec, texts: tuple[str, ...]) -> pl.DataFrame:
    """Polars leaves quotation marks in the names doubled: columns are called as `lines` has them."""
    quote = spec.dialect.quote or ""
    written = {column: column.replace(quote, 2 * quote) if quote else column for column in texts}
    try:
        frame = pl.read_csv(
            lines.text.content,
            separator=spec.dialect.separator,
            quote_char=spec.dialect.quote,
            decimal_comma=spec.dialect.decimal == ",",
            null_values=list(spec.null_values),
            infer_schema_length=None,
            schema_overrides=dict.fromkeys(written.values(), pl.String),
            try_parse_dates=False,
        )
    except pl.exceptions.PolarsError as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise HeadraceError("HR311", f"{name}: {first}") from None
    frame.columns = list(lines.names)
    return frame

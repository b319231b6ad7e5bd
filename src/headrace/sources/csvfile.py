"""A CSV file to frames: its lines are checked first, and every row of it decides the types."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.declared import PADDED, WHOLE, declared, large, refuse_inexact, refuse_missing
from headrace.sources.padded import suspects
from headrace.sources.records import plain_records, records
from headrace.sources.texts import last_end, text_of
from headrace.sources.times import by_value, dates, moments, recognised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.sources.records import Records
    from headrace.sources.spec import FileSpec
    from headrace.sources.texts import Text

    Types = Mapping[str, pl.DataType]


_HEAD = 2**18
"""Bytes."""


class OtherTypesError(Exception):
    """A part of a file does not have the types that the parts before it have."""


def read_csv(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """The rows of a CSV file.

    Raises:
        HeadraceError: HR304, HR307 to HR311, HR317 and HR330, with the file and, where there is one, the line.
    """
    return read_text(name, text_of(name, content, spec.dialect), spec)


def read_text(name: str, text: Text, spec: FileSpec, types: Types | None = None) -> pl.DataFrame:
    """The rows of a text. `types` are those that its columns have; without them, they are inferred.

    Raises:
        HeadraceError: As `read_csv`.
        OtherTypesError: A value is not of the type that its column has.
    """
    if types is None and len(text.content) > _HEAD:
        try:
            return read_text(name, text, spec, text_types(name, _head(text, spec), spec))
        except OtherTypesError:
            pass
    plain = plain_records(name, text, spec.dialect)
    if plain is not None:
        try:
            return _typed(name, plain, spec, types)
        except HeadraceError as error:
            if error.code != "HR311":
                raise
    return _typed(name, records(name, text, spec.dialect), spec, types)


def _head(text: Text, spec: FileSpec) -> Text:
    """The first lines of a text: its types are most often theirs, and to try that is cheaper than to infer from all."""
    quote = spec.dialect.quote
    end = last_end(text.content[:_HEAD], quote.encode() if quote else None)
    return replace(text, content=text.content[:end] if end else text.content)


def _typed(name: str, lines: Records, spec: FileSpec, types: Types | None) -> pl.DataFrame:
    """The rows of the records, each column of its type."""
    refuse_missing(name, spec.schema, lines.names)
    frame = _read(name, lines, spec, types)
    if frame.height != lines.rows:
        raise HeadraceError("HR311", f"{name}: {lines.rows} lines follow the header, and {frame.height} were read")
    columns = [
        recognised(column) if types is None else _of_type(column, types[column.name])
        for column in frame
        if column.dtype == pl.String and column.name not in spec.schema
    ]
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
    if len(lines.names) > 1 and lines.blank is not None and lines.blank.any():
        frame = frame.filter(pl.Series(~lines.blank))
    return frame


def _of_type(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """Texts as what the texts of the column are known to be. Raises OtherTypesError."""
    if isinstance(kind, pl.Null):
        found = column.cast(pl.Null) if column.null_count() == column.len() else None
    elif isinstance(kind, pl.Date | pl.Datetime):
        found = by_value(column, dates if isinstance(kind, pl.Date) else moments)
        found = found if found.null_count() == column.null_count() else None
    else:
        return column
    if found is None:
        raise OtherTypesError
    return found


def _read(name: str, lines: Records, spec: FileSpec, types: Types | None) -> pl.DataFrame:
    """Parse the text: numbers and truth values inferred from all rows, the rest and what is declared as text."""
    frame = _kept(name, lines, spec, types)
    for each in frame if types is None else ():
        if isinstance(each.dtype, pl.Int128):
            raise _beyond(name, lines, each, pl.Int64())
    inexact = [column.name for column in frame if column.dtype == pl.Float64 and large(column)]
    if inexact:
        texts = _parsed(name, lines, spec, (*spec.schema, *inexact), types)
        for column in inexact:
            numbers = frame.get_column(column)
            refuse_inexact(name, numbers, texts.get_column(column), lambda row: f"line {lines.line(row)}")
    return frame


def _kept(name: str, lines: Records, spec: FileSpec, types: Types | None) -> pl.DataFrame:
    """The text parsed, and a column as texts where a number would not keep a zero before it.

    Raises:
        OtherTypesError: Such a column is one of numbers, by `types`.
    """
    frame = _parsed(name, lines, spec, tuple(spec.schema), types)
    numbers = [each.name for each in frame if each.dtype.is_numeric() and each.name not in spec.schema]
    suspected = suspects(lines, spec.dialect, numbers)
    if suspected:
        texts = _parsed(name, lines, spec, (*spec.schema, *suspected), types)
        padded = [each.name for each in texts.select(suspected) if each.str.contains(PADDED).any()]
        if padded and types is not None:
            raise OtherTypesError
        frame = frame.with_columns(texts.select(padded))
    return frame


def _parsed(name: str, lines: Records, spec: FileSpec, texts: tuple[str, ...], types: Types | None) -> pl.DataFrame:
    """Polars leaves quotation marks in the names doubled: columns are called as `lines` has them."""
    quote = spec.dialect.quote or ""
    wanted = {} if types is None else {column: _parsed_as(kind) for column, kind in types.items()}
    wanted |= dict.fromkeys(texts, pl.String())
    written = {column.replace(quote, 2 * quote) if quote else column: kind for column, kind in wanted.items()}
    try:
        frame = pl.read_csv(
            lines.text.content,
            separator=spec.dialect.separator,
            quote_char=spec.dialect.quote,
            decimal_comma=spec.dialect.decimal == ",",
            null_values=list(spec.null_values),
            infer_schema_length=None if types is None else 0,
            schema_overrides=written,
            try_parse_dates=False,
        )
    except pl.exceptions.PolarsError as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        if types is not None and first.startswith("could not parse"):
            raise OtherTypesError from None
        if types is None and "`i128`" in first:
            return _without_long(name, lines, spec, texts)
        raise HeadraceError("HR311", f"{name}: {first}") from None
    return _named(name, lines, frame)


def _named(name: str, lines: Records, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns by their names; one without a name is left out where it has no value. Raises HR325 where it has."""
    columns = [column.alias(called) for called, column in zip(lines.names, frame, strict=True) if called]
    for at, called in enumerate(lines.names if len(columns) < frame.width else ()):
        values = frame.to_series(at).is_not_null()
        if not called and values.any():
            row = int(values.arg_max() or 0)
            what = f"{name}, line {lines.line(row)}: {frame[row, at]!r} in column {at + 1}, which has no name"
            raise HeadraceError("HR325", what)
    return pl.DataFrame(columns)


def _without_long(name: str, lines: Records, spec: FileSpec, texts: tuple[str, ...]) -> pl.DataFrame:
    """The text parsed, where some whole numbers are too long for any type, and zeros before others make them texts.

    Raises:
        HeadraceError: HR316 for the first one that is none; Polars does not say where it stands.
    """
    frame = _parsed(name, lines, spec, tuple(called for called in lines.names if called), None)
    numbers = [column for column in frame if column.name not in texts and column.str.contains(WHOLE).all()]
    padded = [column.name for column in numbers if column.str.contains(PADDED).any()]
    if padded:
        return _parsed(name, lines, spec, (*texts, *padded), None)
    long = [column for column in numbers if column.cast(pl.Int128, strict=False).null_count() > column.null_count()]
    raise _beyond(name, lines, long[0], pl.Int128())


def _beyond(name: str, lines: Records, column: pl.Series, kind: pl.DataType) -> HeadraceError:
    found = column.cast(kind, strict=False)
    row = int((found.is_null() & column.is_not_null()).arg_max() or 0)
    what = f"{name}, line {lines.line(row)}: {column[row]} in column {column.name!r} is beyond 64 bits with a sign"
    return HeadraceError("HR316", what, fix=f"Declare the column as text: schema={{{column.name!r}: pl.String}}.")


def _parsed_as(kind: pl.DataType) -> pl.DataType:
    """The type that Polars parses a column of a type as: a text is looked at afterwards."""
    return kind if kind.is_numeric() or isinstance(kind, pl.Boolean) else pl.String()


def text_types(name: str, text: Text, spec: FileSpec) -> dict[str, pl.DataType]:
    """The types of the columns of a text, each as if it stood alone; Null where a column has no value."""
    lines = plain_records(name, text, spec.dialect) or records(name, text, spec.dialect)
    found = {}
    for column in _kept(name, lines, spec, None):
        kind = recognised(column).dtype if column.dtype == pl.String else column.dtype
        found[column.name] = pl.Null() if column.null_count() == column.len() else kind
    return {**found, **spec.schema}

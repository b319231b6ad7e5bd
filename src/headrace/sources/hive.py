"""Hive partitions: folders called KEY=VALUE, whose keys are columns of the files below them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.declared import converted

if TYPE_CHECKING:
    from collections.abc import Mapping

_NULL = "__HIVE_DEFAULT_PARTITION__"
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def partitions(name: str) -> dict[str, str | None]:
    """The keys of the folders of a file with their values, unescaped, in order. Raises HR328 for one that cannot be."""
    found: dict[str, str | None] = {}
    for folder in name.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if not equals:
            continue
        key = _unescaped(name, key)
        if not key or not value or key in found:
            wrong = "stands there twice" if key in found else "has no key or no value"
            raise HeadraceError("HR328", f"{name}: the folder {folder!r} {wrong}")
        found[key] = None if value == _NULL else _unescaped(name, value)
    if not found:
        raise HeadraceError("HR328", f"{name} lies in no folder called KEY=VALUE, and hive=True wants one")
    return found


def with_partitions(name: str, frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The frame with a column for each partition, of its declared type, else text. Raises HR328."""
    columns = []
    for key, value in partitions(name).items():
        if key in frame.columns:
            raise HeadraceError("HR328", f"{name} has a column {key!r}, and a folder has it as well")
        text = pl.Series(key, [value], dtype=pl.String)
        typed = converted(text, schema.get(key, pl.String()))
        if typed.null_count() != text.null_count():
            raise HeadraceError("HR328", f"{name}: {value!r} of the partition {key!r} is no {schema[key]}")
        columns.append(typed.new_from_index(0, frame.height))
    return frame.with_columns(columns)


def _unescaped(name: str, text: str) -> str:
    try:
        if not _ESCAPE.search(text):
            return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        pass
    raise HeadraceError("HR328", f"{name}: {text!r} is not escaped in UTF-8, such as %20 for a space")

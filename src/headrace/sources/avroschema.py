"""The schema of an Avro file, looked at before Polars reads the file: of some types it only says that it gave up."""

from __future__ import annotations

import io
import json
from typing import Any

from headrace.errors import HeadraceError

MAGIC = b"Obj\x01"
_PRIMITIVE = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
_FIX = "Write the column in another type; nested values and enumerations as texts."
_DIGITS = 38


def refuse_unreadable(name: str, content: bytes) -> None:
    """Raises HR316 for a column of a type that cannot be read. What is no Avro file is left to the reader."""
    try:
        schema = json.loads(metadata(io.BytesIO(content))["avro.schema"])
        fields = [(field["name"], field["type"]) for field in schema["fields"]]
        wrong = [(column, what) for column, kind in fields if (what := _unreadable(kind))]
    except (LookupError, ValueError, TypeError, RecursionError):
        return
    if wrong:
        column, what = wrong[0]
        raise HeadraceError("HR316", f"{name}: column {column!r} is {what}", fix=_FIX)


def _unreadable(kind: object, *, optional: bool = False) -> str:
    """What a type is, where it cannot be read; else nothing."""
    if isinstance(kind, list):
        others = [each for each in kind if each != "null"]
        if len(others) != 1:
            return "a union of several types" if others else "of type null"
        return _unreadable(others[0], optional=len(kind) > 1)
    if isinstance(kind, dict):
        return _declared(kind, optional=optional)
    if kind in _PRIMITIVE:
        return ""
    return "of type null" if kind == "null" else f"of the type {kind!r} that another column declares"


def _declared(kind: dict[str, Any], *, optional: bool) -> str:
    of = kind["type"]
    if not isinstance(of, str):
        return _unreadable(of, optional=optional)
    if of == "enum":
        return "an enumeration that may be null" if optional else ""
    if kind.get("logicalType") == "decimal" and kind.get("precision", 0) > _DIGITS:
        return f"a decimal of {kind['precision']} digits"
    return "" if of in _PRIMITIVE or of == "fixed" else f"of type {of}"


def metadata(file: io.BytesIO) -> dict[str, bytes]:
    """What stands before the rows: a map of bytes, in blocks. Raises ValueError and LookupError where there is none."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError
    found = {}
    while count := number(file):
        if count < 0:
            number(file)  # its size in bytes, for those who pass over it
        for _ in range(abs(count)):
            key = file.read(number(file)).decode()
            found[key] = file.read(number(file))
    return found


def number(file: io.BytesIO) -> int:
    """The next whole number: seven bits a byte, the lowest first, and the sign in the lowest bit of all."""
    found = shift = 0
    while True:
        byte = file.read(1)[0]
        found |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that there is more
            return (found >> 1) ^ -(found & 1)

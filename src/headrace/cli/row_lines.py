"""A row and what it was made of, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.output import columns, counted, decimal, short

if TYPE_CHECKING:
    from headrace.ports.records import Json
    from headrace.project.row_origin import RowOrigin


def row_lines(found: RowOrigin, environment: str) -> list[str]:
    """The row first, then what it was made of, each input below what is made from it."""
    which = f"the first of {found.alike + 1:,} such rows" if found.alike else "a row"
    lines = [f"{which} of {found.node} {short(found.version)}, in {environment}", *_values(found, "  ")]
    if found.aside is not None:
        lines += ["", f"set aside: {found.aside}"]
    if found.place is not None:
        lines += ["", f"from {found.place}"]
    return [*lines, *(["", "made of", *_inputs(found, "  ")] if found.inputs else [])]


def _inputs(found: RowOrigin, indent: str) -> list[str]:
    lines = []
    for each in found.inputs:
        what = counted(each.rows, "row") if each.rows != 1 else "the row"
        place = "" if each.place is None else f": {each.place}"
        lines += [f"{indent}{what} of {each.node} {short(each.version)}{place}", *_values(each, indent + "  ")]
        lines += _inputs(each, indent + "  ")
    return lines


def _values(found: RowOrigin, indent: str) -> list[str]:
    return [f"{indent}{line}" for line in columns([(name, _value(value)) for name, value in found.row.items()])]


def _value(value: Json) -> str:
    return decimal(value) if isinstance(value, float) else "null" if value is None else str(value)

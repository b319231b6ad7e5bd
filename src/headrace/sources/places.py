"""Where a landed row stands in its file: found when somebody asks, so that no row carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.sources.kinds import kind_of
from headrace.sources.unpack import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.sources.spec import FileSpec


def placer(name: str, content: bytes, spec: FileSpec) -> Callable[[int], str]:
    """What says where each row of a file stands: "line 17", or "row 17" of a file without lines. Row 0 is the first.

    The content is that which was landed, so that it can be read. A row of several lines stands on the first of them.
    """
    kind = kind_of(name)
    if kind.format == "csv":
        return _csv(name, unpacked(name, content, kind.compression, spec.limits), spec)
    if kind.format == "ndjson":
        return _ndjson(name, unpacked(name, content, kind.compression, spec.limits))
    if kind.format == "xlsx":
        from headrace.sources.excel import numbers

        found = numbers(name, content, spec.sheet)
        return lambda row: f"row {found[row]}"
    return lambda row: f"row {row + 1}"


def _csv(name: str, content: bytes, spec: FileSpec) -> Callable[[int], str]:
    import numpy as np

    from headrace.sources.records import records
    from headrace.sources.texts import text_of

    lines = records(name, text_of(name, content, spec.dialect), spec.dialect)
    if len(lines.names) == 1 or lines.blank is None or not lines.blank.any():
        return lambda row: f"line {lines.line(row)}"
    kept = np.flatnonzero(~lines.blank)
    return lambda row: f"line {lines.line(int(kept[row]))}"


def _ndjson(name: str, content: bytes) -> Callable[[int], str]:
    from headrace.sources.texts import utf8

    lines = utf8(name, content).split(b"\n")
    kept = [number for number, line in enumerate(lines, 1) if line and not line.isspace()]
    return lambda row: f"line {kept[row]}"

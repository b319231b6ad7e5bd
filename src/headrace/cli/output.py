"""What a command prints: data on standard output, talk on standard error; text in columns, or JSON."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TextIO

from headrace.ports.mappings import PieceList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.errors import HeadraceError
    from headrace.ports.records import Json

_RESET = "\x1b[0m"
_COLORS = {"red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "blue": "\x1b[34m", "dim": "\x1b[2m"}
_SIGNS = {"+": "green", "~": "yellow", "=": "dim", "x": "red", "#": "blue", "-": "red", "!": "yellow", ">": "green"}
_UNITS = ("B", "kB", "MB", "GB", "TB")
_KILO = 1000
_SIGN_COLUMN = 2
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters of a line that a terminal would obey instead of showing them: rows hold whatever somebody sent."""
_LONG, _TOO_LONG = 1e5, 1e15


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: `quiet` leaves talk out, `as_json` turns data into JSON, `color` allows colours on a terminal."""

    as_json: bool = False
    quiet: bool = False
    color: bool = True


class Output:
    """Where a command prints to."""

    def __init__(self, style: Style) -> None:
        self.style = style

    @property
    def as_json(self) -> bool:
        """Whether data goes out as JSON."""
        return self.style.as_json

    def colored(self, stream: TextIO) -> bool:
        """Whether colours go to this stream: a terminal, and neither NO_COLOR nor --no-color."""
        return self.style.color and "NO_COLOR" not in os.environ and stream.isatty()

    def data(self, *lines: str) -> None:
        """Print the result of the command."""
        self._print(lines, sys.stdout)

    def text(self, text: str) -> None:
        """Print a text that ends its lines itself, such as CSV."""
        sys.stdout.write(text)

    def wide(self) -> int | None:
        """The width of the terminal that data goes to; None where it goes elsewhere."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def json(self, value: Json) -> None:
        """Print the result as JSON."""
        self.text(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")

    def say(self, *lines: str) -> None:
        """Tell what is going on, unless --quiet."""
        if not self.style.quiet:
            self._print(lines, sys.stderr)

    def error(self, error: HeadraceError) -> None:
        """Print an error on stderr, and as JSON on stdout where JSON is asked for."""
        what = _shown(f"error {error.code}: {error.what}")
        sys.stderr.write(f"{self._paint(what, 'red', sys.stderr)}\n")
        self._print([f"  why: {error.why}", f"  fix: {error.fix}"], sys.stderr)
        if self.as_json:
            self.json({"error": error.to_json()})

    def _print(self, lines: Iterable[str], stream: TextIO) -> None:
        colored = self.colored(stream)
        shown = map(_shown, lines)
        stream.writelines(f"{painted_by_sign(line) if colored else line}\n" for line in shown)
        stream.flush()

    def _paint(self, text: str, color: str, stream: TextIO) -> str:
        return f"{_COLORS[color]}{text}{_RESET}" if self.colored(stream) else text


def _shown(line: str) -> str:
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


def painted_by_sign(line: str) -> str:
    """A line of a plan in the colour of its sign; other lines as they are."""
    sign = line[_SIGN_COLUMN : _SIGN_COLUMN + 2]
    color = _SIGNS.get(sign[:1]) if line.startswith("  ") and sign[1:] == " " else None
    return line if color is None else f"{_COLORS[color]}{line}{_RESET}"


def columns(rows: Sequence[Sequence[str]], heads: Sequence[str] = (), *, right: Iterable[int] = ()) -> list[str]:
    """Rows of cells as aligned lines, under their heads; the columns in `right` are aligned to the right."""
    table = [list(heads), *rows] if heads else list(rows)
    if not table:
        return []
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    to_right = set(right)
    return [
        "  ".join(
            cell.rjust(width) if at in to_right else cell.ljust(width) for at, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in ([*zip(row, widths, strict=True)] for row in table)
    ]


def plain(value: object) -> Json:
    """A value as JSON can hold it: times as ISO 8601, decimals as text unless whole, NaN as null, bytes in hex."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _plain_container(value)


def _plain_container(value: object) -> Json:
    if hasattr(value, "items"):
        mapping: Mapping[object, object] = value  # type: ignore[assignment]  # anything with items is read as a mapping
        return {str(key): plain(each) for key, each in mapping.items()}
    if isinstance(value, (list, tuple, set, frozenset, PieceList)):
        ordered = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [plain(each) for each in ordered]
    return value.hex() if isinstance(value, bytes) else str(value)


def size(count: int) -> str:
    """Bytes as people say them: "1.2 MB"."""
    amount, unit = float(count), 0
    while round(amount) >= _KILO and unit < len(_UNITS) - 1:
        amount, unit = amount / _KILO, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def moment(text: str | None) -> str:
    """A time of the ledger as people read it, in UTC, to the second."""
    return "" if not text else datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None) -> str:
    """A measured number as people want to see it."""
    return "not defined" if value is None else f"{value:.6g}"


def decimal(value: float) -> str:
    """A number of a row: six digits of a small one, every whole one and two more of a large one."""
    if not _LONG <= abs(value) < _TOO_LONG:
        return f"{value:.6g}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def short(key: str | None) -> str:
    """The beginning of a key that is enough to name it."""
    return key[:12] if key else ""


def counted(count: int, what: str, several: str | None = None) -> str:
    """A count with its noun: "1 row", "2 rows"; `several` where an s does not do."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {several or f'{what}s'}"

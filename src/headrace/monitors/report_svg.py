"""The plots of a monitor's report, as SVG that stands in the page. Every text is escaped here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_STRONG: Final = 0.5
"""The population stability index of the darkest cell; 0.25, commonly called a shift, is half as dark."""
_TENS: Final = 9.95
_CELL_HEIGHT, _NAMES, _WIDTH, _HEAD = 18, 190, 1000, 18
_SHORT: Final = 26
_MARK: Final = 11
"""So many characters of a name have room beside a heat map, and below a histogram."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a heat map: its value (None: nothing to tell), whether it is marked, and what is told of it."""

    value: float | None
    marked: bool
    about: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A pair of bars of a histogram: the share of the reference and of the window, and what is told of them.

    Without a reference (None), it is one bar.
    """

    then: float | None
    now: float
    about: str


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line: its value and its interval; None where there is nothing to tell."""

    value: float | None
    low: float | None
    high: float | None
    about: str


def heat_map(names: Sequence[str], rows: Sequence[Sequence[Cell]], heads: Sequence[str]) -> str:
    """A row of cells for each name, with the heads above. A value stands in its cell where there is room for it."""
    width = (_WIDTH - _NAMES) / max(1, len(heads))
    parts = [_head(at, text, width, len(heads)) for at, text in enumerate(heads)]
    for row, (name, cells) in enumerate(zip(names, rows, strict=True)):
        top = _HEAD + row * _CELL_HEIGHT
        parts.append(_text(_NAMES - 8, top + 13, _shortened(name), 'class="name" text-anchor="end"', name))
        parts += [_cell(_NAMES + at * width, top, width, cell) for at, cell in enumerate(cells)]
    return _svg(_WIDTH, _HEAD + len(names) * _CELL_HEIGHT + 2, parts, "drift by column and window")


def histogram(bars: Sequence[Bar], marks: Sequence[tuple[float, str]], title: str) -> str:
    """Pairs of bars side by side, with texts below; a mark at 2.5 stands below the middle of the third pair."""
    width, height, floor = 320.0, 118.0, 98.0
    step = width / max(1, len(bars))
    most = max([each for bar in bars for each in (bar.then or 0.0, bar.now)], default=0.0) or 1.0
    parts = [f'<path class="axis" d="M0 {floor:g}H{width:g}"/>']
    for at, bar in enumerate(bars):
        left, bars_width = at * step + step * 0.08, step * (0.84 if bar.then is None else 0.42)
        pair = [("now", bar.now, left)]
        if bar.then is not None:
            pair = [("then", bar.then, left), ("now", bar.now, left + bars_width)]
        drawn = [
            _rect(name, (x, floor - 92 * share / most), (bars_width, 92 * share / most)) for name, share, x in pair
        ]
        parts.append(f"<g><title>{escape(bar.about)}</title>{''.join(drawn)}</g>")
    for place, text in marks:
        room = 2.0 + 3.3 * min(len(text), _MARK)
        middle = min(max(place * step, room), width - room)
        parts.append(_text(middle, floor + 14, _shortened(text, _MARK), 'text-anchor="middle"', text))
    return _svg(width, height, parts, title)


def line_chart(points: Sequence[Point], ends: tuple[str, str], bound: float | None, title: str) -> str:
    """A line over windows, broken where nothing is told, with bands for intervals and the bound of a condition."""
    shown = [each for point in points for each in (point.value, point.low, point.high, bound) if each is not None]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - abs(low or 1) / 2, high + abs(high or 1) / 2)
    chart = _Chart(len(points), low, high)
    parts = [f'<path class="axis" d="M{_Chart.left} {_Chart.floor}H{_Chart.width}"/>']
    parts += [_text(_Chart.left - 6, chart.y(each) + 4, f"{each:.4g}", 'text-anchor="end"') for each in (low, high)]
    parts += [chart.band(run) for run in _runs(points)] + [chart.line(run) for run in _runs(points)]
    if bound is not None:
        parts.append(f'<path class="bound" d="M{_Chart.left} {chart.y(bound):.1f}H{_Chart.width}"/>')
    for at, point in enumerate(points):
        if point.value is not None:
            circle = f'<circle class="dot" cx="{chart.x(at):.1f}" cy="{chart.y(point.value):.1f}" r="2.6">'
            parts.append(f"{circle}<title>{escape(point.about)}</title></circle>")
    parts.append(_text(_Chart.left, _Chart.height - 3, ends[0], 'text-anchor="start"'))
    parts.append(_text(_Chart.width, _Chart.height - 3, ends[1], 'text-anchor="end"'))
    return _svg(_Chart.width, _Chart.height, parts, title)


class _Chart:
    """Where points lie in a line chart."""

    width, height, left, floor, top = 480, 132, 56, 112, 10

    def __init__(self, count: int, low: float, high: float) -> None:
        self._count, self._low, self._high = count, low, high

    def x(self, at: int) -> float:
        share = at / (self._count - 1) if self._count > 1 else 0.5
        return self.left + 6 + share * (self.width - self.left - 12)

    def y(self, value: float) -> float:
        return self.floor - 6 - (value - self._low) / (self._high - self._low) * (self.floor - 6 - self.top)

    def line(self, run: Sequence[tuple[int, Point]]) -> str:
        places = " L".join(f"{self.x(at):.1f} {self.y(point.value or 0.0):.1f}" for at, point in run)
        return f'<path class="line" d="M{places}"/>'

    def band(self, run: Sequence[tuple[int, Point]]) -> str:
        """The intervals, as one band between neighbours that both have one."""
        drawn = []
        for (at, one), (after, two) in pairwise(run):
            ends = one.low, one.high, two.high, two.low
            if None not in ends:
                ys = [self.y(each or 0.0) for each in ends]
                xs = [self.x(at), self.x(at), self.x(after), self.x(after)]
                places = " L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
                drawn.append(f'<path class="band" d="M{places}Z"/>')
        return "".join(drawn)


def _runs(points: Sequence[Point]) -> list[list[tuple[int, Point]]]:
    """The points with a value, cut where one has none."""
    runs: list[list[tuple[int, Point]]] = [[]]
    for at, point in enumerate(points):
        if point.value is None:
            runs.append([])
        else:
            runs[-1].append((at, point))
    return [run for run in runs if run]


def _head(at: int, text: str, width: float, count: int) -> str:
    """The head of a column, left out where they would run into each other."""
    if at % max(1, -(-count * 46 // (_WIDTH - _NAMES))):
        return ""
    return _text(_NAMES + (at + 0.5) * width, _HEAD - 5, text, 'text-anchor="middle"')


def _cell(left: float, top: float, width: float, cell: Cell) -> str:
    size = (width - 1.5, _CELL_HEIGHT - 1.5)
    shade = "" if cell.value is None else f' fill-opacity="{min(1.0, max(0.0, cell.value / _STRONG)) * 0.7:.2f}"'
    parts = [f"<g><title>{escape(cell.about)}</title>{_rect('none', (left, top), size)}"]
    if cell.value is not None:
        parts.append(_rect("heat", (left, top), size, shade))
        parts.append(_text(left + width / 2, top + 12.5, _brief(cell.value), 'text-anchor="middle" class="name"'))
    if cell.marked:
        parts.append(f'<circle class="mark" cx="{left + width - 5:.1f}" cy="{top + 4.5:.1f}" r="2"/>')
    return "".join([*parts, "</g>"])


def _brief(value: float) -> str:
    """A distance in three characters: "0", ".05", "1.9", "12"."""
    told = f"{value:.2f}".lstrip("0") if value < 1 else f"{value:.1f}" if value < _TENS else f"{value:.0f}"
    return "0" if told == ".00" else told


def _rect(name: str, place: tuple[float, float], size: tuple[float, float], more: str = "") -> str:
    (x, y), (width, height) = place, size
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{more}/>'


def _text(x: float, y: float, text: str, more: str, full: str | None = None) -> str:
    title = "" if full is None or full == text else f"<title>{escape(full)}</title>"
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}{title}</text>'


def _shortened(text: str, most: int = _SHORT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">{inner}</svg>'

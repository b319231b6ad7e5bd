"""Figures, and the table that they are printed in."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NOISY = 0.5
"""A spread (largest - smallest) of more than this share of the median is called noisy."""


class BenchError(Exception):
    """A benchmark could not be carried out; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Options:
    """How large the work is, and where it may write.

    `chain` steps one after the other; `fan` steps side by side and one that joins them. `scratch` is a folder on a
    real disk: on a file system in memory an fsync costs nothing, and the floor with it. `share` is that of the rows of
    the benchmarks that go through millions of them.
    """

    chain: int
    fan: int
    scratch: Path
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement of one system at one piece of work.

    `floor` marks the system that the others at this work are compared with. `count` is how many steps (or calls) the
    value is the mean of. `target` is what was promised, in words; `note` what a reader has to know.
    """

    work: str
    system: str
    value: float
    unit: str
    count: int = 1
    floor: bool = False
    target: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """All measurements of one system at one piece of work, in the order in which they were taken."""

    work: str
    system: str
    unit: str
    values: tuple[float, ...]
    count: int
    ratio: float | None
    target: str
    note: str

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def noisy(self) -> bool:
        """Whether the values lie far apart. Fewer than three values cannot tell."""
        return len(self.values) >= 3 and max(self.values) - min(self.values) > NOISY * self.median

    def to_json(self) -> dict[str, object]:
        """Plain data, for `--json`."""
        return {
            "work": self.work,
            "system": self.system,
            "unit": self.unit,
            "count": self.count,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
            "ratio": self.ratio,
            "noisy": self.noisy,
            "target": self.target,
            "note": self.note,
        }


def per_step(work: str, system: str, seconds: float, steps: int) -> Result:
    """The cost of one step, in milliseconds, from what `steps` of them took together."""
    return Result(work, system, 1000 * seconds / steps, "ms/step", steps)


def summarise(results: Iterable[Result]) -> list[Summary]:
    """One summary for each work and system, grouped by work in the order of the first measurement."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        found.setdefault(result.work, {}).setdefault(result.system, []).append(result)
    return [_summary(each, _floor(systems)) for systems in found.values() for each in systems.values()]


def _floor(systems: dict[str, list[Result]]) -> float | None:
    values = [result.value for results in systems.values() for result in results if result.floor]
    return median(values) if values else None


def _summary(results: Sequence[Result], floor: float | None) -> Summary:
    last, values = results[-1], tuple(result.value for result in results)
    ratio = None if floor is None else median(values) / floor
    return Summary(last.work, last.system, last.unit, values, last.count, ratio, last.target, last.note)


def table(summaries: Iterable[Summary]) -> str:
    """The summaries as aligned text."""
    head = ("work", "system", "median", "min - max", "unit", "of", "n", "x floor", "target", "")
    rows = [head, *(_row(summary) for summary in summaries)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(summary: Summary) -> tuple[str, ...]:
    low, high = min(summary.values), max(summary.values)
    return (
        *(summary.work, summary.system, _short(summary.median), f"{_short(low)} - {_short(high)}", summary.unit),
        *(str(summary.count), str(len(summary.values)), "" if summary.ratio is None else _short(summary.ratio)),
        *(summary.target, "; ".join(filter(None, ("noisy" if summary.noisy else "", summary.note)))),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Text to the left, figures (columns 2 to 7, except the unit) to the right."""
    aligned = [
        cell.rjust(width) if 2 <= column <= 7 and column != 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"

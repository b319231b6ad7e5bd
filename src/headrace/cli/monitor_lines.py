"""The report of a monitor in the terminal: its state, what it measured by window, which columns drifted, its notes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from headrace.cli.output import columns, counted, moment, number, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.monitors.report import Report

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_DIGITS: Final = "12345678"
_NOTES: Final = 10
_DRIFTED: Final = 20


def report_lines(report: Report) -> list[str]:
    """What a report tells, in lines."""
    watched, begin = report.watched, report.windows[0].start
    rows = [(each.condition, each.seen, "holds" if each.passed else "") for each in watched.outcomes]
    span = f"by {report.every.value}, {len(report.windows)} windows from {moment(begin.isoformat())} UTC until now"
    return [
        f"{watched.monitor}: {watched.state}, by the answers of {watched.endpoint} in {watched.environment}",
        *_indented(columns(rows)),
        *(f"  then {each}" for each in watched.then),
        "",
        span,
        *_indented(columns(_series(report), ("", "", "lowest", "highest", "latest"), right=[2, 3, 4])),
        *(["  there were more answers than are read: the earliest windows lack some"] if report.cut else []),
        "",
        *_drifted(report),
        *_notes(report),
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """A character for each value, higher for larger ones; a dot where there is none."""
    known = [each for each in values if each is not None]
    if not known:
        return "." * len(values)
    blocks = _BLOCKS if _can_say(_BLOCKS) else _DIGITS
    low, spread = min(known), max(known) - min(known)
    steps = len(blocks) - 1
    return "".join(
        "." if each is None else blocks[round((each - low) / spread * steps) if spread else 0] for each in values
    )


def _series(report: Report) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for name in report.measures:
        values = [each.value(name) for each in report.windows]
        known = [each for each in values if each is not None]
        told = [number(each) for each in (min(known), max(known), known[-1])] if known else [""] * 3
        rows.append((name, sparkline(values), *told))
    return rows


def _drifted(report: Report) -> list[str]:
    """Which columns of the latest window differ by more than chance, with how far."""
    from headrace.monitors.report import p_of

    latest = report.latest
    if latest is None:
        needed = report.windows[-1].comparison.needed
        return [f"no window has the {counted(needed, 'answer')} that it takes to tell drift"]
    since = f"the window from {moment(latest.start.isoformat())} UTC, {counted(latest.answers, 'answer')}"
    if not report.drifted:
        return [f"no column differs by more than chance in {since}"]
    rows = []
    for name in report.drifted[:_DRIFTED]:
        shift = latest.comparison.columns[name]
        test = "" if shift.test is None else f"{shift.test.name}, {p_of(shift.test)}"
        rows.append((name, f"psi {number(shift.measures['psi'])}", test))
    left = len(report.drifted) - len(rows)
    level = f"at most {latest.comparison.level:.0%} of such claims false"
    return [
        f"more than chance ({level}) differ in {since}",
        *_indented([*columns(rows), *([f"and {left} more"] if left else [])]),
    ]


def _notes(report: Report) -> list[str]:
    notes = report.watched.notes[-_NOTES:]
    if not notes:
        return []
    rows = [(moment(each.at.isoformat()), each.kind.value, short(each.version), each.reason) for each in notes]
    return ["", "notes", *_indented(columns(rows))]


def _can_say(text: str) -> bool:
    """Whether standard output has characters for it."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]

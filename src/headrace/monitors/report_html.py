"""The report of a monitor as one HTML file that asks for nothing else: no script, no font, no network. Pure."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from headrace.monitors.counts import NumberCounts
from headrace.monitors.intervals import Estimate
from headrace.monitors.page_parts import document, figure, section, spelled_number, table
from headrace.monitors.report import Every, p_of, quantiles_of
from headrace.monitors.report_svg import Bar, Cell, Point, heat_map, histogram, line_chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from headrace.monitors.counts import CategoryCounts, Counts
    from headrace.monitors.report import Report, Told
    from headrace.monitors.shifts import Shift

COLUMNS: Final = 200
"""How many columns have a histogram: those that differ most. All are in the heat map."""
_VALUES: Final = 12
"""How many values of a category are shown one by one."""
_LABELS: Final = 8
"""So many bars can have their names below."""
_UNKNOWN: Final = "unknown to the reference"
_ALWAYS: Final = ("answers", "mean_score", "p50_ms", "p95_ms", "p99_ms")
_RULER: Final = 4
"""How many places below a histogram of numbers tell where they are."""


def page(report: Report) -> str:
    """The whole file."""
    watched = report.watched
    style = watched.state if watched.state in ("alert", "ok") else ""
    subtitle = (
        f'<span class="state {style}">{escape(watched.state)}</span>, by the answers of {escape(watched.endpoint)} in '
        f"{escape(watched.environment)}"
    )
    made = (
        f"Made {report.made_at:%Y-%m-%d %H:%M} UTC of the last {len(report.windows)} {report.every.value}s, the last "
        f"one under way, against what model {escape(watched.model[:12])} was evaluated on."
    )
    if report.cut:
        made += " There were more answers than are read: the earliest windows lack some."
    sections = [
        _conditions(report),
        _measures(report),
        _drift(report),
        _columns(report),
        _quality(report),
        _notes(report),
    ]
    return document(watched.monitor, subtitle, made, sections)


def _conditions(report: Report) -> str:
    rows = [(each.condition, each.seen, "holds" if each.passed else "") for each in report.watched.outcomes]
    then = ", ".join(report.watched.then) or "only a note"
    return section("Conditions", f"As they are now. What follows when all of them hold: {then}.", table((), rows))


def _measures(report: Report) -> str:
    """What is watched, then how many answers, scores and latencies, by window."""
    figures = []
    for name in dict.fromkeys([*report.measures, *_ALWAYS]):
        points = [_point(each, name, report.every) for each in report.windows]
        figures.append(_chart(report, name, points))
    about = "By window. A dashed line is the bound of a condition, a band the 95 % interval."
    return section("Measures", about, f'<div class="wide">{"".join(figures)}</div>')


def _drift(report: Report) -> str:
    """The population stability index of each column in each window."""
    names = sorted(report.reference.columns, key=lambda name: (-_psi(report.latest, name), name))
    rows = [[_cell(each, name, report.every) for each in report.windows] for name in names]
    heads = [_moment(each.start, report.every) for each in report.windows]
    latest = report.latest
    if latest is None:
        found = "No window has enough answers to be compared."
    elif report.drifted:
        level = f"{latest.comparison.level:.0%}"
        told = ", ".join(f"{name} ({_psi(latest, name):.2f})" for name in report.drifted)
        found = f"More than chance (false discoveries {level}), in the window from {_full(latest.start)}: {told}."
    else:
        found = f"No column of the window from {_full(latest.start)} differs by more than chance."
    about = (
        "The population stability index by column and window; 0.25 is commonly called a shift. A dot marks a column "
        "that differs by more than chance, corrected for the number of columns (Benjamini-Hochberg). Empty: too few "
        "answers."
    )
    body = f"<p>{escape(found)}</p>{heat_map(names, rows, heads)}"
    return section("Drift", about, body)


def _columns(report: Report) -> str:
    """The histograms of the reference and of the latest window that could be compared."""
    window = report.latest
    if window is None:
        return ""
    names = sorted(report.reference.columns, key=lambda name: (-_psi(window, name), name))
    figures = [_column(name, report.reference.columns[name], window) for name in names[:COLUMNS]]
    about = (
        f'<i class="then"></i>the reference, <i class="now"></i>the window from {_full(window.start)}. Bars are shares '
        "of all rows. Numbers are counted between twentieths of the reference, with what lies below and above it, and "
        "without a value, at the ends."
    )
    left = "" if len(names) <= COLUMNS else f"<p>The other {len(names) - COLUMNS} columns differ less.</p>"
    body = f'<p class="about">{about}</p><div class="grid">{"".join(figures)}</div>{left}'
    return section("Columns", "", body + _quantiles(report, names[:COLUMNS]))


def _column(name: str, reference: Counts, window: Told) -> str:
    counts, shift = window.profile.columns[name], window.comparison.columns[name]
    if isinstance(reference, NumberCounts) and isinstance(counts, NumberCounts):
        bars, marks = _number_bars(reference, counts)
    elif not isinstance(reference, NumberCounts) and not isinstance(counts, NumberCounts):
        bars, marks = _category_bars(reference, counts)
    else:
        return ""
    return figure(name, _about(shift), histogram(bars, marks, f"reference and window of {name}"))


def _about(shift: Shift) -> str:
    """The distance in a few words."""
    told = [f"PSI {spelled_number(shift.measures['psi'])}"]
    if shift.test is not None:
        told.append(p_of(shift.test))
    if shift.new:
        told.append(f"{len(shift.new)} new")
    return ", ".join(told)


def _number_bars(reference: NumberCounts, window: NumberCounts) -> tuple[list[Bar], list[tuple[float, str]]]:
    edges = [f"{each:.4g}" for each in reference.edges]
    inner = [f"{low} to {high}" for low, high in pairwise(edges)]
    names = ["below", *inner, "above", "infinite", "missing"]
    cells = [[each.below, *each.cells, each.above, each.infinite, each.missing] for each in (reference, window)]
    steps = range(_RULER + 1) if edges else ()
    places = dict.fromkeys(round(step * (len(edges) - 1) / _RULER) for step in steps)
    return _bars(names, cells, (reference.rows, window.rows)), [(place + 1.0, edges[place]) for place in places]


def _category_bars(reference: CategoryCounts, window: CategoryCounts) -> tuple[list[Bar], list[tuple[float, str]]]:
    """The most frequent values of both, then the others, those that the reference does not know, and the missing."""
    shown = sorted(reference.top, key=lambda value: -max(reference.top[value], window.top[value]))[:_VALUES]
    names = [*shown, "other", _UNKNOWN, "missing"]
    cells = []
    for each in (reference, window):
        told = [each.top[value] for value in shown]
        cells.append([*told, each.values - each.unseen - sum(told), each.unseen, each.missing])
    marks = [(at + 0.5, "unknown" if name == _UNKNOWN else name) for at, name in enumerate(names)]
    return _bars(names, cells, (reference.rows, window.rows)), marks if len(marks) <= _LABELS else []


def _bars(names: Sequence[str], cells: Sequence[Sequence[int]], rows: tuple[int, int]) -> list[Bar]:
    shares = [[count / max(1, of) for count in counts] for counts, of in zip(cells, rows, strict=True)]
    return [
        Bar(then, now, f"{name}: {then:.1%} before, {now:.1%} now")
        for name, then, now in zip(names, *shares, strict=True)
    ]


def _quantiles(report: Report, names: Sequence[str]) -> str:
    """How many different values, and the quantiles, of the reference and the latest window."""
    window = report.latest
    rows, heads = [], ["", "", "different"]
    for name in names:
        for side, counts in (("reference", report.reference.columns[name]), ("window", _counts(window, name))):
            if counts is None:
                continue
            told = quantiles_of(counts)
            heads = ["", "", "different", *told] if told else heads
            different = "" if counts.different is None else f"{counts.different:,.0f}"
            rows.append([name if side == "reference" else "", side, different, *map(spelled_number, told.values())])
    width = len(heads)
    return table(heads, [[*row, *[""] * (width - len(row))] for row in rows], numbers=range(2, width))


def _quality(report: Report) -> str:
    """The metrics of answers whose labels are known, with intervals."""
    windows = [each for each in report.windows if each.quality is not None]
    if not windows:
        return ""
    names = dict.fromkeys(name for each in windows if each.quality for name in each.quality.metrics if name != "rows")
    guessed = [f"estimated({name})" for each in windows[-1:] if each.quality for name in each.quality.estimated]
    others = [name for name in [*names, *guessed] if name not in (*report.measures, "estimated(rows)")]
    figures = [_chart(report, name, [_point(each, name, report.every) for each in report.windows]) for name in others]
    rows = [
        [
            _full(each.start),
            f"{each.quality.labelled:,} of {each.quality.rows:,}",
            *(_spelled(each.quality.metrics.get(name)) for name in names),
        ]
        for each in windows
        if each.quality is not None
    ]
    heads = ["window from", "labelled", *names]
    about = (
        "Of the answers whose labels are known by now, with 95 % intervals. What is estimated is told of all answers "
        "by their scores alone (confidence-based performance estimation), right as far as these are calibrated."
    )
    shown = table(heads, rows, numbers=range(1, len(heads)))
    return section("Quality", about, f'<div class="wide">{"".join(figures)}</div>{shown}')


def _notes(report: Report) -> str:
    rows = [(f"{each.at:%Y-%m-%d %H:%M:%S}", each.kind.value, each.reason) for each in reversed(report.watched.notes)]
    about = "Alerts, what was done about them, and what was held back and why, newest first."
    return section("Notes", about, table(("UTC", "", ""), rows) if rows else "<p>None.</p>")


def _chart(report: Report, name: str, points: Sequence[Point]) -> str:
    if all(point.value is None for point in points):
        return ""
    ends = _moment(report.windows[0].start, report.every), _moment(report.windows[-1].start, report.every)
    known = [point.value for point in points if point.value is not None]
    return figure(
        name, f"latest {spelled_number(known[-1])}", line_chart(points, ends, report.watched.bounds.get(name), name)
    )


def _point(window: Told, name: str, every: Every) -> Point:
    value, metric = window.value(name), _metric(window, name)
    interval = f", {_spelled(metric)}" if metric.low is not None else ""
    about = f"{_moment(window.start, every)}: {spelled_number(value)}{interval}"
    return Point(value, metric.low, metric.high, about)


def _metric(window: Told, name: str) -> Estimate:
    """A measure with its interval, where it is one of quality."""
    if window.quality is None:
        return Estimate(None)
    return window.quality.share if name == "labelled" else window.quality.metrics.get(name, Estimate(None))


def _cell(window: Told, name: str, every: Every) -> Cell:
    shift = window.comparison.columns.get(name)
    about = f"{name}, {_moment(window.start, every)}, {window.answers:,} answers"
    if shift is None:
        return Cell(None, marked=False, about=f"{about}: too few")
    return Cell(shift.measures["psi"], marked=bool(shift.significant), about=f"{about}: {_about(shift)}")


def _counts(window: Told | None, name: str) -> Counts | None:
    return None if window is None else window.profile.columns[name]


def _psi(window: Told | None, name: str) -> float:
    shift = None if window is None else window.comparison.columns.get(name)
    return 0.0 if shift is None else shift.measures["psi"] or 0.0


def _spelled(found: Estimate | None) -> str:
    if found is None or found.value is None:
        return ""
    if found.low is None:
        return spelled_number(found.value)
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _moment(at: datetime, every: Every) -> str:
    return f"{at:%H:%M}" if every is Every.HOUR else f"{at:%d %b}"


def _full(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"

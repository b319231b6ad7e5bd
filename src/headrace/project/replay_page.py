"""The report of a replay as one HTML file that needs nothing else: the plot is drawn here, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Final

from headrace.ports.durations import spell
from headrace.project.replay_report import value_of, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from headrace.monitors.intervals import Estimate
    from headrace.project.replay_report import PolicyReport, Report

_COLORS: Final = ("#6b7280", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900")
"""The first one, of what the others are compared with, is grey; all of them read on white and on dark grey."""
_WIDTH, _HEIGHT, _LANE = 960, 320, 16
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 26
_TICKS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_MOST_TICKS: Final = 7

_LEGEND: Final = (
    "<p class=about>Bands are 95 % intervals. Below, by policy: ticks are models that went live, crosses those that "
    "were not published. Then the share of the answers whose label is known.</p>"
)
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2937; --dim: #6b7280; --line: #d1d5db; --paper: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --dim: #9ca3af; --line: #4b5563; --paper: #1f2226; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0.2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.about { color: var(--dim); margin-top: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th, td { white-space: nowrap; }
th:first-child, td:first-child, td.text { text-align: left; } td.text { white-space: normal; }
th { font-weight: 600; } .scroll { overflow-x: auto; } summary { cursor: pointer; margin: 0.5rem 0; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 12px; }
svg .axis { stroke: var(--line); } i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; }
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where moments and values lie in the drawing."""

    start: datetime
    end: datetime
    low: float
    high: float

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def page(report: Report) -> str:
    """The whole page."""
    start, first, end = report.span
    title = f"{report.endpoint} of {report.environment}, replayed from {start:%Y-%m-%d} to {_last(end)}"
    about = (
        f"First model of {first:%Y-%m-%d}, then {report.questions:,} questions; monitors and schedules are looked at "
        f"every {spell(report.every)}. {report.models:,} different models made in {report.spent:.0f} s: what several "
        "policies ask for is made once, and the seconds of a policy are what it would have cost alone."
    )
    parts = [
        f"<h1>{escape(title)}</h1>\n<p class=about>{escape(about)}</p>",
        _summary(report),
        f"<h2>{escape(report.metric)} by week</h2>",
        _plot(report),
        _LEGEND,
        "<h2>What is watched</h2>",
        _table((), [(name, f"!{text}") for name, text in sorted(report.monitors.items())]),
        *(f"<p>{escape(note)}</p>" for note in report.notes),
        "<h2>Week by week</h2>",
        _weeks(report),
        "<h2>What happened</h2>",
        *(_story(each) for each in report.policies),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _summary(report: Report) -> str:
    heads = (
        "policy",
        report.metric,
        "95 % interval",
        "worst week",
        "labelled",
        "made",
        "refused",
        "failed",
        "alerts",
        "training",
    )
    rows = []
    for number, each in enumerate(report.policies):
        whole = value_of(each.whole, report.metric)
        rows.append(
            (
                f"<i style='background:{_color(number)}'></i>{escape(each.policy.name)}",
                _number(whole.value),
                _interval(whole),
                _number(worst(each, report.metric)),
                _share(each.whole.share.value),
                str(each.count("made")),
                str(each.count("refused")),
                str(each.count("failed")),
                str(each.happened("raised")),
                f"{each.seconds:.1f} s",
            )
        )
    against = [(each.policy.name, _against(each)) for each in report.policies if each.compared is not None]
    head = (f"against {report.policies[0].policy.name}, by week", f"{report.metric}, 95 % interval of the mean")
    return _table(heads, rows, markup=True) + (f"<br>{_table(head, against)}" if against else "")


def _against(each: PolicyReport) -> str:
    if each.compared is None or each.compared.difference.value is None:
        return "cannot be compared"
    found = each.compared
    low, value, high = found.difference.low, found.difference.value, found.difference.high
    interval = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"{value:+.3f}{interval}, better in {found.better} of {found.weeks} weeks"


def _plot(report: Report) -> str:
    """Lines with bands; below them a lane for each policy with its retrainings, and one with the share of labels."""
    frame = _frame(report)
    if frame is None:
        return "<p>No week has labels enough.</p>"
    lanes = len(report.policies)
    height = _HEIGHT + (lanes + 2) * _LANE + 8
    shapes = [*_axes(frame)]
    for number, each in enumerate(report.policies):
        shapes += _line(frame, each, report.metric, _color(number))
        shapes += _lane(frame, each, _HEIGHT + 6 + number * _LANE, _color(number))
    shapes += _labelled(frame, report.policies[0], _HEIGHT + 10 + lanes * _LANE)
    label = f"{report.metric} by week for {', '.join(each.policy.name for each in report.policies)}"
    opening = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return "\n".join([opening, *shapes, "</svg>"])


def _frame(report: Report) -> _Frame | None:
    known = [
        value
        for each in report.policies
        for week in each.weeks
        for value in _bounds(value_of(week.part, report.metric))
        if value is not None
    ]
    if not known:
        return None
    low, high = min(known), max(known)
    margin = 0.04 * (high - low) or 0.5
    return _Frame(report.span[1], report.span[2], low - margin, high + margin)


def _bounds(found: Estimate) -> tuple[float | None, ...]:
    """The ends of an interval, unless it is so wide that it would flatten everything else; the value itself."""
    value, low, high = found.value, found.low, found.high
    if value is None or low is None or high is None or high - low > abs(value) / 2:
        return (value,)
    return value, low, high


def _axes(frame: _Frame) -> Iterable[str]:
    step = next((each for each in _TICKS if (frame.high - frame.low) / each <= _MOST_TICKS), _TICKS[-1])
    value = -(-frame.low // step) * step
    while value <= frame.high:
        y = frame.y(value)
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:.3g}</text>'
        value += step
    for at in _months(frame.start, frame.end):
        x = frame.x(at)
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - 20}"/>'
        yield f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="middle">{at:%b %y}</text>'


def _months(start: datetime, end: datetime) -> list[datetime]:
    """The beginnings of months of a period, a dozen at most."""
    found, at = [], start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while at < end:
        if at >= start:
            found.append(at)
        at = (at + timedelta(days=32)).replace(day=1)
    return found[:: len(found) // 12 + 1]


def _line(frame: _Frame, each: PolicyReport, metric: str, color: str) -> Iterable[str]:
    """A band and a line, broken where a week has no value; a dot tells its week."""
    points, band = [], []
    for week in each.weeks:
        found = value_of(week.part, metric)
        if found.value is None:
            continue
        x = frame.x(week.start + (week.end - week.start) / 2)
        points.append((x, frame.y(found.value), week.start, found))
        if found.low is not None and found.high is not None:
            band.append((x, *(frame.y(max(frame.low, min(frame.high, one))) for one in (found.low, found.high))))
    if band:
        outline = [f"{x},{low}" for x, low, _ in band] + [f"{x},{high}" for x, _, high in reversed(band)]
        yield f'<polygon points="{" ".join(outline)}" fill="{color}" opacity="0.15"/>'
    path = " ".join(f"{x},{y}" for x, y, _, _ in points)
    yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
    for x, y, start, found in points:
        told = f"{each.policy.name}, week of {start:%Y-%m-%d}: {_number(found.value)} ({_interval(found)})"
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"><title>{escape(told)}</title></circle>'


def _lane(frame: _Frame, each: PolicyReport, top: int, color: str) -> Iterable[str]:
    yield f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">{escape(each.policy.name)}</text>'
    for one in each.retrainings:
        x, bottom = frame.x(one.at), top + 11
        shape = (
            f"M{x} {top}V{bottom}"
            if one.outcome == "made"
            else f"M{x - 4} {top}L{x + 4} {bottom}M{x + 4} {top}L{x - 4} {bottom}"
        )
        told = escape(f"{one.at:%Y-%m-%d}, {one.outcome}: {one.told or one.reason}")
        yield f'<path d="{shape}" stroke="{color}" stroke-width="2"><title>{told}</title></path>'


def _labelled(frame: _Frame, each: PolicyReport, top: int) -> Iterable[str]:
    yield f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">labels</text>'
    for week in each.weeks:
        share = week.part.share.value or 0.0
        x, wide = frame.x(week.start), max(1.0, frame.x(week.end) - frame.x(week.start) - 1)
        told = f"<title>week of {week.start:%Y-%m-%d}: {_share(share)} of {week.part.rows:,} answers</title>"
        tall = round(11 * share, 1)
        place = f'x="{x}" y="{top + 11 - tall}" width="{wide:.1f}" height="{tall}"'
        yield f'<rect {place} fill="#9ca3af">{told}</rect>'


def _weeks(report: Report) -> str:
    heads = ("week of", "answers", "labelled", *(each.policy.name for each in report.policies))
    rows = []
    for number, week in enumerate(report.policies[0].weeks):
        values = [value_of(each.weeks[number].part, report.metric) for each in report.policies]
        cells = [
            f"{_number(each.value)} ({_interval(each)})" if each.low is not None else _number(each.value)
            for each in values
        ]
        rows.append((f"{week.start:%Y-%m-%d}", f"{week.part.rows:,}", _share(week.part.share.value), *cells))
    return f"<details><summary>Every week, with its interval</summary>{_table(heads, rows)}</details>"


def _story(each: PolicyReport) -> str:
    made = [
        (f"{one.at:%Y-%m-%d %H:%M}", one.outcome, f"{one.seconds:.1f} s", f"!{one.reason}", f"!{one.told}")
        for one in each.retrainings
    ]
    events = [(f"{one.at:%Y-%m-%d %H:%M}", one.about, one.kind, f"!{one.text}") for one in each.events]
    told = f"{each.policy.name}: {len(made)} times to make the model, {len(events)} events"
    first = _table(("at", "outcome", "training", "why", "what was seen"), made)
    second = _table(("at", "of", "what", "seen"), events)
    return f"<details><summary>{escape(told)}</summary>{first}<br>{second}</details>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, markup: bool = False) -> str:
    """Cells that begin with "!" are text that may be long. With `markup`, the first cell of a row is HTML already."""
    head = "<tr>" + "".join(f"<th>{escape(each)}</th>" for each in heads) + "</tr>" if heads else ""
    lines = []
    for row in rows:
        cells = [
            each if markup and not at else escape(each.removeprefix("!"), quote=False) for at, each in enumerate(row)
        ]
        kinds = [" class=text" if each.startswith("!") else "" for each in row]
        lines.append("<tr>" + "".join(f"<td{k}>{c}</td>" for k, c in zip(kinds, cells, strict=True)) + "</tr>")
    return f"<div class=scroll><table>{head}{''.join(lines)}</table></div>"


def _color(number: int) -> str:
    return _COLORS[number % len(_COLORS)]


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def _last(end: datetime) -> str:
    return f"{end - timedelta(microseconds=1):%Y-%m-%d}"

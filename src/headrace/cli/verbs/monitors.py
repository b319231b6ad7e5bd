"""`monitors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, moment, number
from headrace.cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from headrace.monitors.intervals import Estimate
    from headrace.ports.records import Json
    from headrace.project.measured_quality import Late
    from headrace.project.monitoring import Looked

Name = Annotated[str | None, typer.Argument(metavar="MONITOR", help="One monitor, with all that it measures.")]
Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]
_NOTES = 10


def monitors(cli: Session, monitor: Name = None, environment: Env = None) -> None:
    """What the monitors of an environment see in the latest answers.

    `headrace up` looks once a minute, notes what it sees, and acts. This verb shows its notes, and the window as it is
    now, and does nothing about it.

    Example: headrace monitors carrier_drift
    """
    from headrace.errors import HeadraceError, suggestion
    from headrace.project.monitoring import look, monitors_of

    name = cli.environment(environment)
    known = {each.node: each for each in monitors_of(cli.workspace, name)}
    if monitor is not None and monitor not in known:
        raise HeadraceError("HR983", f"{name} has no monitor {monitor!r}", fix=suggestion(monitor, known))
    wanted = known.values() if monitor is None else (known[monitor],)
    found = [look(cli.workspace, name, each, full=monitor is not None) for each in wanted]
    if cli.out.as_json:
        cli.out.json([_json(each) for each in found])
    elif not found:
        cli.out.data(f"{name} has no monitor. Declare one: pipeline.monitor(...)")
    else:
        for at, each in enumerate(found):
            cli.out.data(*([""] if at else []), *_lines(each, full=monitor is not None))


def _lines(looked: Looked, *, full: bool) -> list[str]:
    from headrace.project.monitoring import state_of

    lines = [f"{looked.monitor.node}: {state_of(looked)}, by {_rows(looked)} of {_endpoint(looked)}"]
    lines += [f"  {line}" for line in columns([(each.condition, each.seen) for each in looked.outcomes])]
    lines += [f"  ! {each}" for each in looked.monitor.manifest.facts.get("remarks", ())]
    lines += [f"  then {each}" for each in looked.watch.then]
    if looked.notes:
        rows = [(moment(note.at.isoformat()), note.kind.value, note.reason) for note in looked.notes[-_NOTES:]]
        lines += ["  notes", *(f"    {line}" for line in columns(rows))]
    if looked.late is not None:
        lines += _quality_lines(looked.late)
    if full:
        told = [(name, *_values(each)) for name, each in sorted(looked.seen.overall.items())]
        lines += ["  measured", *(f"    {line}" for line in columns(told, right=[1, 2, 3]))]
    return lines


def _rows(looked: Looked) -> str:
    """What the window holds of what the conditions are measured on."""
    told = [f"{count:,} {family}" for family, count in looked.seen.counts.items() if family in looked.watch.families]
    return " and ".join(told) or "the clock"


def _endpoint(looked: Looked) -> str:
    return str(looked.monitor.manifest.facts["endpoint"])


def _quality_lines(late: Late) -> list[str]:
    """How many labels are known, and what they tell of each slice; the intervals are of 95 %."""
    part = late.quality.overall
    share = part.share
    known = f"{part.labelled:,} of {part.rows:,} labels known"
    if share.value is not None and share.low is not None and share.high is not None:
        known += f" ({share.value:.1%}, {share.low:.1%} to {share.high:.1%})"
    lines = [f"  quality of the answers from {_minute(late.start)} to {_minute(late.end)}: {known}"]
    if late.keyed < part.rows:
        lines.append(f"    {part.rows - late.keyed:,} answers carried no key to find a label by")
    rows = [("", name, *_values(each)) for name, each in sorted(part.metrics.items()) if name != "rows"]
    for column, parts in late.quality.slices.items():
        for value, each in parts.items():
            where = f"{column} {value}"
            rows += [(where, name, *_values(found)) for name, found in sorted(each.metrics.items()) if name != "rows"]
            if not each.metrics:
                rows.append((where, f"{each.labelled} labels: too few", "", "", ""))
    heads = ("slice", "metric", "value", "low", "high") if rows else ()
    return [*lines, *(f"    {line}" for line in columns(rows, heads, right=[2, 3, 4]))]


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _values(each: Estimate) -> tuple[str, str, str]:
    """A value and its interval; an interval that cannot be told is left empty."""
    low, high = ("" if bound is None else number(bound) for bound in (each.low, each.high))
    return number(each.value), low, high


def _json(looked: Looked) -> Json:
    from headrace.project.monitoring import measured_of, state_of

    return {
        "monitor": looked.monitor.node,
        "endpoint": looked.monitor.manifest.facts["endpoint"],
        "model": looked.monitor.manifest.facts["model"],
        "state": state_of(looked),
        "conditions": [each.to_json() for each in looked.outcomes],
        "then": [str(each) for each in looked.watch.then],
        "lacks": looked.lacks,
        "remarks": looked.monitor.manifest.facts.get("remarks", []),
        "measured": measured_of(looked),
        "intervals": {
            name: [each.low, each.high] for name, each in looked.seen.overall.items() if each.low is not None
        },
        "quality": None if looked.late is None else looked.late.to_json(),
        "notes": [
            {"at": each.at, "kind": each.kind.value, "reason": each.reason, "version": each.version}
            for each in looked.notes
        ],
    }

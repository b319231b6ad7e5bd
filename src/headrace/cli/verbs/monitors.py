"""`monitors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, moment, number
from headrace.cli.session import Session

if TYPE_CHECKING:
    from headrace.ports.records import Json
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
    found = [look(cli.workspace, name, each) for each in wanted]
    if cli.out.as_json:
        cli.out.json([_json(each) for each in found])
    elif not found:
        cli.out.data(f"{name} has no monitor. Declare one: pipeline.monitor(...)")
    else:
        for at, each in enumerate(found):
            cli.out.data(*([""] if at else []), *_lines(each, full=monitor is not None))


def _lines(looked: Looked, *, full: bool) -> list[str]:
    from headrace.project.monitoring import measured_of, state_of

    facts = looked.monitor.manifest.facts
    answers = measured_of(looked)["answers"] or 0
    lines = [f"{looked.monitor.node}: {state_of(looked)}, by {answers:,.0f} answers of {facts['endpoint']}"]
    lines += [f"  {line}" for line in columns([(each.condition, each.seen) for each in looked.outcomes])]
    lines += [f"  then {each}" for each in looked.watch.then]
    if looked.notes:
        rows = [(moment(note.at.isoformat()), note.kind.value, note.reason) for note in looked.notes[-_NOTES:]]
        lines += ["  notes", *(f"    {line}" for line in columns(rows))]
    if full:
        told = [(name, number(value)) for name, value in sorted(measured_of(looked).items())]
        lines += ["  measured", *(f"    {line}" for line in columns(told, right=[1]))]
    return lines


def _json(looked: Looked) -> Json:
    from headrace.project.monitoring import measured_of, state_of

    return {
        "monitor": looked.monitor.node,
        "endpoint": looked.monitor.manifest.facts["endpoint"],
        "model": looked.monitor.manifest.facts["model"],
        "state": state_of(looked),
        "conditions": [each.to_json() for each in looked.outcomes],
        "then": [str(each) for each in looked.watch.then],
        "measured": measured_of(looked),
        "notes": [
            {"at": each.at, "kind": each.kind.value, "reason": each.reason, "version": each.version}
            for each in looked.notes
        ],
    }

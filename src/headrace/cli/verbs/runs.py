"""`runs`, `logs`, `cancel`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, moment
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.ports.ledger import SendSignal
from headrace.ports.records import RunState
from headrace.runtime.observer import Observer
from headrace.runtime.printed import texts
from headrace.runtime.recovery import crashed

if TYPE_CHECKING:
    from headrace.ports.records import Attempt, Json, Run

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run, by its id or the beginning of it.")]


def runs(
    cli: Session,
    environment: Annotated[str | None, typer.Option("--env", metavar="ENV", help="Of one environment only.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, at most.")] = 20,
) -> None:
    """The latest runs and how they ended.

    Example: headrace runs --env prod
    """
    found = [_as_it_is(cli, run) for run in cli.workspace.ledger.runs(environment, limit=limit)]
    if cli.out.as_json:
        cli.out.json([_run_json(run) for run in found])
        return
    rows = [
        (run.id, run.environment, run.state.value, moment(run.started_at), moment(run.ended_at), _told(run))
        for run in found
    ]
    heads = ("run", "environment", "state", "started (UTC)", "ended (UTC)", "")
    cli.out.data(*(columns(rows, heads) if rows else ["No run yet. Begin with: headrace apply"]))


def _as_it_is(cli: Session, run: Run) -> Run:
    """A run, with the state that the next process that writes will record of it."""
    return replace(run, state=RunState.CRASHED) if crashed(run, cli.workspace.owners) else run


def _told(run: Run) -> str:
    parts = ("made", "adopted", "failed", "unobserved", "refused", "published")
    counts = [(len(run.summary.get(what, ())), what) for what in parts]
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def _run_json(run: Run) -> Json:
    return {
        "run": run.id,
        "environment": run.environment,
        "state": run.state.value,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "summary": dict(run.summary),
    }


def logs(
    cli: Session,
    run: RunId,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="One step of it; all if left out.")] = None,
) -> None:
    """What the steps of a run printed, and how each try of them ended.

    Example: headrace logs 3f9a departures
    """
    found = _run(cli, run)
    attempts = [each for each in cli.workspace.ledger.attempts(found.id) if node in (None, each.node)]
    logged = texts(cli.workspace.settings.logs / found.id)
    logged = {name: text for name, text in logged.items() if node in (None, name)}
    if node is not None and not attempts and not logged and node not in found.summary.get("unobserved", {}):
        raise HeadraceError("HR822", f"run {found.id} has no step {node!r}")
    found = _as_it_is(cli, found)
    if cli.out.as_json:
        steps = [_attempt_json(each) for each in attempts]
        cli.out.json({"run": _run_json(found), "attempts": steps, "logs": logged})
        return
    cli.out.data(*columns([_attempt_row(each) for each in attempts], ("step", "try", "state", "started (UTC)", "")))
    for name, error in found.summary.get("unobserved", {}).items():
        if node in (None, name):
            cli.out.data(f"{name} could not be observed: {error['code']} {error['what']}")
    for name, text in logged.items():
        cli.out.data("", f"{name}:", *text.splitlines())


def _attempt_row(attempt: Attempt) -> tuple[str, str, str, str, str]:
    error = "" if attempt.error is None else f"{attempt.error.get('code')} {attempt.error.get('what')}"
    return attempt.node, str(attempt.number), attempt.state.value, moment(attempt.started_at), error


def _attempt_json(attempt: Attempt) -> Json:
    return {
        "node": attempt.node,
        "key": attempt.key,
        "number": attempt.number,
        "state": attempt.state.value,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "error": None if attempt.error is None else dict(attempt.error),
    }


def cancel(cli: Session, run: RunId) -> None:
    """Ask a run to stop. What it has finished stays.

    A run whose process died is recorded as crashed instead, so that nothing waits for it.

    Example: headrace cancel 3f9a
    """
    workspace = cli.workspace
    workspace.recover(Observer())
    found = _run(cli, run)
    if found.state is RunState.RUNNING:
        for answer in workspace.ledger.write(SendSignal("cancel", found.id)):
            answer.get()
    if cli.out.as_json:
        cli.out.json({**_run_json(found), "asked_to_stop": found.state is RunState.RUNNING})
    elif found.state is RunState.RUNNING:
        cli.out.data(f"Run {found.id} was asked to stop.")
    else:
        cli.out.data(f"Run {found.id} is not at work: {found.state.value}.")


def _run(cli: Session, run: str) -> Run:
    found = cli.workspace.ledger.run(run)
    if found is None:
        raise HeadraceError("HR821", f"there is no run {run!r}")
    return found

"""`rollout`: where the roll-out of an endpoint stands, and the steps that a person takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, moment, short
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.ports.durations import spell

if TYPE_CHECKING:
    from headrace.endpoints.rollout import Action, Standing
    from headrace.ports.records import Json
    from headrace.project.rollouts import Answering

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint.")]
Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]


def rollout(  # noqa: PLR0913 - one parameter for each option
    cli: Session,
    endpoint: Endpoint,
    environment: Env = None,
    *,
    advance: Annotated[bool, typer.Option("--advance", help="Begin the next stage now, or finish the last.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Stay in this stage until resumed.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on by itself again.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Return to the settled version, and stay there.")] = False,
) -> None:
    """Where a roll-out stands, or take its next step by hand.

    A server advances a roll-out by itself, and aborts it where a declared condition says so. After an abort the
    endpoint and its model are held, until `headrace release`.

    Example: headrace rollout scores --advance
    """
    from headrace.endpoints.rollout import Action, asked_for
    from headrace.project import rollouts

    name = cli.environment(environment)
    ledger = cli.workspace.ledger
    given = {Action.ADVANCE: advance, Action.HOLD: hold, Action.RESUME: resume, Action.ABORT: abort}
    actions: list[Action] = [action for action, is_given in given.items() if is_given]
    if len(actions) > 1:
        raise HeadraceError("HR945", " and ".join(f"--{action}" for action in actions))
    found = rollouts.find(ledger, name, endpoint)
    if actions:
        if found.standing is None:
            raise HeadraceError("HR942", f"{endpoint} in {name}")
        rollouts.take(ledger, cli.workspace.clock, found.standing, asked_for(found.standing, actions[0]))
        found = rollouts.find(ledger, name, endpoint)
    if cli.out.as_json:
        cli.out.json(_json(name, endpoint, found))
    else:
        cli.out.data(*_lines(name, endpoint, found))


def _lines(environment: str, endpoint: str, found: Answering) -> list[str]:
    standing = found.standing
    if standing is None:
        return [
            f"{endpoint} in {environment}: {short(found.settled.key)} answers everything; no roll-out is under way."
        ]
    lines = [f"{endpoint} in {environment}: {_state(standing)} since {moment(standing.since.isoformat())} UTC"]
    rows = [("settled", short(found.settled.key), f"made {moment(found.settled.made_at)}")]
    if found.candidate is not None:
        rows.append(("candidate", short(found.candidate.key), f"made {moment(found.candidate.made_at)}"))
    lines += [f"  {line}" for line in columns(rows)]
    stages = [
        (">" if n == standing.stage else " ", str(stage), f"for {_spelled(stage.seconds)} at least")
        for n, stage in enumerate(standing.stages)
    ]
    lines += ["  stages", *(f"  {line}" for line in columns(stages))]
    lines += [f"  needs {standing.plan.answers:,} answers in each stage"] if standing.plan.answers else []
    lines += [f"  aborts if {condition}" for condition in standing.plan.abort_if]
    steps = [(moment(each.at.isoformat()), each.by, str(each.action), each.reason) for each in standing.steps]
    return [*lines, *(["  steps"] if steps else []), *(f"    {line}" for line in columns(steps))]


def _state(standing: Standing) -> str:
    if standing.ended is not None:
        return f"{standing.ended}ed"
    number = f"{standing.current} ({standing.stage + 1} of {len(standing.stages)})"
    return f"held in {number}" if standing.held else number


def _spelled(seconds: float) -> str:
    from datetime import timedelta

    return spell(timedelta(seconds=seconds))


def _json(environment: str, endpoint: str, found: Answering) -> Json:
    standing = found.standing
    shared = {"environment": environment, "endpoint": endpoint, "settled": found.settled.key}
    if standing is None or found.candidate is None:
        return {**shared, "candidate": None, "share": 0}
    return {
        **shared,
        "candidate": found.candidate.key,
        "share": standing.share,
        "stage": str(standing.current),
        "stages": [str(stage) for stage in standing.stages],
        "since": standing.since,
        "held": standing.held,
        "ended": standing.ended,
        "abort_if": [str(condition) for condition in standing.plan.abort_if],
        "steps": [
            {"at": each.at, "by": each.by, "action": str(each.action), "reason": each.reason} for each in standing.steps
        ],
    }

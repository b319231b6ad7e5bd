"""`triggers` and `trigger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.applying import unobserved_lines
from headrace.cli.output import columns, counted, moment
from headrace.cli.session import Session

if TYPE_CHECKING:
    from headrace.project.triggering import Stand

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The trigger, or a node that a trigger makes.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the signal.")]


def triggers(cli: Session, environment: Env = None) -> None:
    """What makes nodes besides new data: each schedule and trigger, its last fire, and its next time.

    `headrace up` fires them. A signal that waits is an event, or a call of `headrace trigger`, that no fire has taken
    yet: it waits for as long as nobody looks after the environment.

    Example: headrace triggers prod
    """
    from headrace.project.triggering import stands

    name = cli.environment(environment)
    found = stands(cli.workspace, name)
    if cli.out.as_json:
        cli.out.json([each.to_json() for each in found])
    elif not found:
        cli.out.data("No schedule and no trigger is declared: pipeline.schedule(...), pipeline.trigger(...)")
    else:
        heads = ("TRIGGER", "NODE", "ON", "LAST", "CAME OF IT", "NEXT", "WAITING")
        cli.out.data(*columns([_row(each) for each in found], heads, right=(6,)))


def _row(stand: Stand) -> tuple[str, ...]:
    last = stand.last
    return (
        stand.trigger.name,
        stand.trigger.target,
        str(stand.trigger.cause),
        "never" if last is None else moment(last.at),
        "" if last is None else last.outcome or "it is not over",
        "" if stand.following is None else moment(stand.following.isoformat()),
        str(len(stand.waiting) or ""),
    )


def trigger(cli: Session, name: Name, environment: Env = None, reason: Reason = "") -> None:
    """Fire a trigger by hand: `headrace up` then makes its node.

    Says what that will make as things are now. Where nobody looks after the environment, the signal waits until
    somebody does; it is taken once.

    Example: headrace trigger lateness
    """
    from headrace.project.pacing import Pacing
    from headrace.project.triggering import fire_by_hand, trigger_of

    workspace, env = cli.workspace, cli.environment(environment)
    found = trigger_of(workspace.pipeline.triggers, name)
    made = Pacing.of(workspace.pipeline, workspace.graph).made_with(found.target)
    plan = workspace.plan(workspace.question(env, only=made))
    heard = fire_by_hand(workspace, env, found, reason)
    new = [step.node for step in plan.to_do]
    if cli.out.as_json:
        unobserved = {node: error.to_json() for node, error in plan.unobserved.items()}
        cli.out.json(
            {"trigger": found.name, "environment": env, "makes": new, "unobserved": unobserved, "heard": heard}
        )
        return
    for node, error in plan.unobserved.items():
        cli.out.data(*unobserved_lines(node, error))
    what = f"{counted(len(new), 'node')} to make: {', '.join(new)}" if new else "nothing new to learn from as yet"
    until = "it begins at once" if heard else f"nobody looks after {env} now: it waits for `headrace up {env}`"
    cli.out.data(f"{found.name}: {what}; {until}.")

"""One apply as the command line runs it: plan, watch, sum up, exit code."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from headrace.cli.exits import Exit
from headrace.cli.progress import Narrator, conditions
from headrace.plan.render import has_changes
from headrace.ports.records import RunState
from headrace.ports.work import Action

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from headrace.cli.session import Session
    from headrace.errors import HeadraceError
    from headrace.ports.records import Json
    from headrace.ports.work import Step
    from headrace.runtime.applied import Applied
    from headrace.runtime.survey import Question


def apply_plan(cli: Session, question: Question) -> int:
    """Plan, apply and sum up; answers the exit code."""
    code, done, lines = apply_and_tell(cli, question)
    if cli.out.as_json:
        cli.out.json(done)
    else:
        cli.out.data(*lines)
    return code


def apply_and_tell(cli: Session, question: Question) -> tuple[Exit, Json, list[str]]:
    """Plan and apply; answers the exit code, and what was done: as plain data, and as lines to be read."""
    plan = cli.workspace.plan(question)
    standing = [step for step in plan.steps if step.action is Action.REFUSED]
    before = {"refused_before": [step.node for step in standing]}
    with watching(cli) as narrator:
        if not (has_changes(plan) or plan.unobserved or _failed_last(cli, plan.environment)):
            cli.workspace.recover(narrator)
            nothing: dict[str, Any] = {"environment": plan.environment, "run": None, "made": [], "published": []}
            code = Exit.REFUSED if standing else Exit.DONE
            return code, {**nothing, **before}, ["Nothing to do.", *map(_standing, standing)]
        applied = cli.workspace.apply(question, narrator, plan)
    lines = [*summary_lines(applied, plan.environment), *map(_standing, standing)]
    return _exit_code(applied, standing), {**_applied_json(applied, plan.environment), **before}, lines


def _failed_last(cli: Session, environment: str) -> bool:
    """Whether the last run failed: whoever was told of that is to hear that all is well, though nothing is made."""
    return any(run.state is RunState.FAILED for run in cli.workspace.ledger.runs(environment, limit=1))


def watching(cli: Session) -> AbstractContextManager[Narrator]:
    """Bars on a terminal, plain lines elsewhere."""
    if not cli.out.style.quiet and sys.stderr.isatty():
        from headrace.cli.bars import Bars

        return Bars(color=cli.out.colored(sys.stderr))
    return nullcontext(Narrator(cli.out.say))


def _exit_code(applied: Applied, standing: Sequence[Step]) -> Exit:
    if applied.failed:
        return Exit.STEP_FAILED
    if applied.unobserved:
        return Exit.ERROR
    return Exit.REFUSED if applied.refused or standing else Exit.DONE


def _standing(step: Step) -> str:
    return f"  x {step.node}: this version was {step.reason}"


def summary_lines(applied: Applied, environment: str) -> list[str]:
    """The last lines of an apply, with the commands to go on."""
    lines = [line for node, error in applied.unobserved.items() for line in unobserved_lines(node, error)]
    for node, error in applied.failed.items():
        lines += [
            f"  x {node} failed: {error['code']} {error['what']}",
            f"      why: {error['why']}",
            f"      fix: {error['fix']}",
            f"      log: headrace logs {applied.run} {node}",
        ]
    for decision in applied.refused.values():
        lines += [f"  x {decision.node} was refused by its gate:", *conditions(decision)]
    for warning in applied.warnings:
        lines += [f"  ! {warning.code} {warning.what}", f"      fix: {warning.fix}"]
    counts = [
        (len(applied.made), "made"),
        (len(applied.adopted), "reused"),
        (len(applied.failed), "failed"),
        (len(applied.refused), "refused"),
        (len(applied.unobserved), "not observed"),
        (len(applied.skipped), "left out because of that"),
    ]
    told = ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing to make"
    published = f"{len(applied.published)} published to {environment}" if applied.published else "nothing published"
    return [*lines, f"Run {applied.run}: {told}; {published}."]


def unobserved_lines(node: str, error: HeadraceError) -> list[str]:
    """Why a node could not be observed."""
    return [f"  x {node} cannot be observed: {error.code} {error.what}", *(f"      {line}" for line in error.advice)]


def _applied_json(applied: Applied, environment: str) -> dict[str, Json]:
    return {
        "environment": environment,
        "run": applied.run,
        "made": list(applied.made),
        "reused": list(applied.adopted),
        "failed": {node: dict(error) for node, error in applied.failed.items()},
        "unobserved": {node: error.to_json() for node, error in applied.unobserved.items()},
        "skipped": list(applied.skipped),
        "refused": {node: decision.to_json() for node, decision in applied.refused.items()},
        "published": list(applied.published),
        "warnings": [warning.to_json() for warning in applied.warnings],
    }

"""`backfill`: make batches of a table again, part by part, and publish all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.applying import apply_and_tell, summary_lines, unobserved_lines, watching
from headrace.cli.exits import Exit
from headrace.cli.output import columns, counted
from headrace.cli.session import Session
from headrace.cli.verbs.work import verbs_of
from headrace.plan.render import render_steps, spelled_cost

if TYPE_CHECKING:
    from headrace.project.backfill import Backfill, Part

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]


def backfill(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The incremental table.")],
    environment: Env = None,
    partition: Annotated[
        list[str] | None,
        typer.Option(
            "--partition", metavar="NAME", help="A partition, several (2013-04..2013-06), or a batch. May be repeated."
        ),
    ] = None,
    again: Annotated[  # noqa: FBT002
        bool, typer.Option("--again", help="Also what the present code has made already.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,  # noqa: FBT002
) -> int:
    """Make batches of a table again, part by part, and publish all of it at once.

    Shows what would be made of an incremental table, what it costs, and what it touches downstream; does it with --yes.
    All is made beside what is live, and published in one transaction at the end. Interrupted at any moment (Ctrl-C, or
    `headrace cancel`), the same command goes on where it was.

    Example: headrace backfill departures --partition 2013-04..2013-06
    """
    from headrace.project.backfill import Choice
    from headrace.project.backfill import backfill as planned

    choice = Choice(tuple(partition or ()), again)
    if yes:
        cli.start_workers()
    found = planned(cli.workspace, environment, node, choice)
    if not found.parts:
        return _nothing(cli, found)
    if not yes:
        return _show(cli, found)
    return _perform(cli, found)


def _nothing(cli: Session, found: Backfill) -> int:
    if cli.out.as_json:
        cli.out.json(found.to_json())
    else:
        cli.out.data(
            f"Nothing to backfill: the present code has made what was chosen of {found.node}. "
            "--again makes it once more."
        )
    return Exit.DONE


def _show(cli: Session, found: Backfill) -> int:
    unobserved = found.plan.unobserved
    code = Exit.ERROR if unobserved else Exit.DONE
    if cli.out.as_json:
        cli.out.json(found.to_json())
        return code
    rows = [_row(found, part) for part in found.parts]
    lines = columns(rows, right={2, 3})
    if found.stay:
        verb, them = ("stays", "it") if found.stay == 1 else ("stay", "them")
        lines.append(f"  {counted(found.stay, 'batch', 'batches')} {verb} as earlier code made {them}")
    touched = render_steps(found.downstream, verbs_of(cli.workspace.graph))
    if touched:
        lines += ["Published with it:", *touched]
    lines += [line for name, error in unobserved.items() for line in unobserved_lines(name, error)]
    left = found.left
    cost = found.seconds(left)
    about = f", {spelled_cost(cost)}" if left and cost is not None else ""
    done = len(found.parts) - len(left)
    made = f", {done} made already" if done else ""
    cli.out.data(*lines, f"{counted(len(left), 'part')} to make{about}{made}. Nothing is changed yet: add --yes")
    return code


def _row(found: Backfill, part: Part) -> list[str]:
    cost = found.seconds([part])
    state = "made" if part.done else "" if cost is None else spelled_cost(cost)
    sign = "=" if part.done else "+"
    return [f"  {sign} {part.name}", counted(len(part.batches), "batch", "batches"), counted(part.rows, "row"), state]


def _perform(cli: Session, found: Backfill) -> int:
    from headrace.project.backfill import make_parts

    def told(part: Part, number: int, total: int) -> None:
        cli.out.say(f"[{number}/{total}] {part.name}: {counted(len(part.batches), 'batch', 'batches')}")

    with watching(cli) as narrator:
        failed = make_parts(cli.workspace, found, narrator, told)
    if failed is not None:
        if cli.out.as_json:
            cli.out.json({**found.to_json(), "applied": {"failed": dict(failed.failed)}})
        else:
            cli.out.data(
                *summary_lines(failed, found.question.environment), "What is made stays; run the same command to go on."
            )
        return Exit.STEP_FAILED
    code, done, lines = apply_and_tell(cli, found.question)
    if cli.out.as_json:
        result: dict[str, Any] = {**found.to_json(), "applied": done}
        cli.out.json(result)
    else:
        cli.out.data(*lines)
    return code

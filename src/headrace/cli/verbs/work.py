"""`check`, `plan`, `apply`, `retrain`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.applying import apply_plan
from headrace.cli.exits import Exit
from headrace.cli.output import counted
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.plan.render import has_changes, render

if TYPE_CHECKING:
    from headrace.graph.graph import Graph
    from headrace.plan.plan import Plan
    from headrace.project.workspace import Workspace
    from headrace.runtime.survey import Question

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]
Refresh = Annotated[
    list[str] | None,
    typer.Option("--refresh", metavar="NODE", help="Make this node again although nothing changed. May be repeated."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NODE", help="Only this node and what it is made from. May be repeated."),
]

Forward = Annotated[
    list[str] | None,
    typer.Option(
        "--forward-only",
        metavar="NODE",
        help="Let rows stay that earlier code made: only new and changed batches see the new code. May be repeated.",
    ),
]


def check(
    cli: Session,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no database.")] = False,  # noqa: FBT002
) -> int:
    """Look for mistakes before anything is made.

    Imports the pipeline, checks the wiring, takes every fingerprint, and lets each node check its declaration. Where
    data has been read, incremental tables are tried on a sample of two batches, apart and together. Databases are asked
    whether they answer within three seconds; one that does not is a warning.

    Example: headrace check
    """
    from headrace.project.reaching import unanswered

    problems, nodes = _problems(cli)
    silent = unanswered(cli.workspace, offline=offline) if nodes else []
    problems += [each.error for each in silent if each.wrong]
    warnings = [each for each in silent if not each.wrong]
    if cli.out.as_json:
        told = [{**each.error.to_json(), "sources": list(each.sources)} for each in warnings]
        cli.out.json({"nodes": nodes, "problems": [problem.to_json() for problem in problems], "warnings": told})
        return Exit.FOUND if problems else Exit.DONE
    for problem in problems:
        cli.out.data(*_told(problem))
    for each in warnings:
        cli.out.data(*_told(each.error, f"warning: {', '.join(each.sources)}: "))
    found = counted(len(problems), "problem") if problems else "no problem"
    warned = f", {counted(len(warnings), 'warning')}" if warnings else ""
    cli.out.data(f"{counted(nodes, 'node')}, {found}{warned}.")
    return Exit.FOUND if problems else Exit.DONE


def _told(error: HeadraceError, before: str = "") -> tuple[str, str, str]:
    return f"{before}{error.code} {error.what}", f"  why: {error.why}", f"  fix: {error.fix}"


def _problems(cli: Session) -> tuple[list[HeadraceError], int]:
    """Every mistake that is found, and the number of nodes."""
    from headrace.graph.coding import code_of

    workspace = cli.workspace
    try:
        graph = workspace.graph
    except HeadraceError as error:  # a declaration that is refused at once, or a module that cannot be imported
        return [error], 0
    problems: list[HeadraceError] = []
    for node in graph:
        problems += node.check()
        try:
            code_of(node, workspace.settings.folder)
        except HeadraceError as error:
            problems.append(error)
    if not problems and workspace.settings.state.exists():
        problems += _of_samples(workspace)
    from headrace.project.pacing import Pacing

    return [*problems, *Pacing.of(workspace.pipeline, graph).problems()], len(graph)


def _of_samples(workspace: Workspace) -> list[HeadraceError]:
    """What a sample of the data shows, of nodes whose inputs have been made."""
    problems: list[HeadraceError] = []
    for node in workspace.graph:
        newest = {each.name: found[-1] for each in node.inputs if (found := workspace.ledger.versions(each.name))}
        if len(newest) == len(node.inputs):
            problems += node.check_sample(newest, workspace.stores)
    return problems


def plan(  # noqa: PLR0913, PLR0917 - one parameter for each option
    cli: Session,
    environment: Env = None,
    refresh: Refresh = None,
    only: Only = None,
    forward_only: Forward = None,
    everything: Annotated[bool, typer.Option("--all", help="Give each unchanged node a line.")] = False,  # noqa: FBT002
    exit_code: Annotated[  # noqa: FBT002
        bool, typer.Option("--exit-code", help="End with 5 when there is something to do.")
    ] = False,
) -> int:
    """Show what apply would do, and why. Changes nothing.

    Signs: + new, ~ changed, = reused, x refused, not observed, or waiting for such a node, # held, - removed,
    ! a note.
    A source that cannot be observed stays where it is, with what is made from it: the rest is planned, and the exit
    code is 1.

    Example: headrace plan dev
    """
    question = cli.workspace.question(environment, refresh=refresh or (), only=only or (), forward=forward_only or ())
    found = _with_paces(cli, cli.workspace.plan(question))
    if cli.out.as_json:
        cli.out.json(found.to_json())
    else:
        cli.out.data(*render(found, verbs_of(cli.workspace.graph), everything=everything, command=_command(question)))
    if found.unobserved:
        return Exit.ERROR
    return Exit.FOUND if exit_code and has_changes(found) else Exit.DONE


def _with_paces(cli: Session, found: Plan) -> Plan:
    """The same plan, which also says what makes the nodes that new data alone does not make."""
    from headrace.project.pacing import Pacing

    paces = Pacing.of(cli.workspace.pipeline, cli.workspace.graph).paces
    details = {name: f"headrace up makes it {' or '.join(causes)}" for name, causes in paces.items()}
    steps = [
        replace(step, details=(*step.details, details[step.node])) if step.node in details else step
        for step in found.steps
    ]
    return replace(found, steps=tuple(steps))


def verbs_of(graph: Graph) -> dict[str, str]:
    """What making each node is called, and whether its gate is asked."""
    return {node.name: f"{node.verb}, gate" if node.apart else node.verb for node in graph}


def _command(question: Question) -> str:
    """The command that applies what was planned."""
    options = [f"--refresh {name}" for name in sorted(question.refresh)]
    options += [f"--only {name}" for name in sorted(question.only)]
    options += [f"--forward-only {name}" for name in sorted(question.forward)]
    return " ".join(["headrace apply", question.environment, *options])


def apply(
    cli: Session,
    environment: Env = None,
    refresh: Refresh = None,
    only: Only = None,
    forward_only: Forward = None,
    rebase: Annotated[  # noqa: FBT002
        bool, typer.Option("--rebase", help="First let the environment start from what the main one has now.")
    ] = False,
) -> int:
    """Make what is out of date, and publish it.

    What is made already, by whichever environment, is reused. Steps run in parallel. A source that cannot be observed,
    a step that fails, or a model that its gate refuses, stays back with what is made from it; the rest is published.
    Interrupted at any moment, the same command goes on from there.

    Example: headrace apply dev
    """
    cli.start_workers()
    if rebase:
        cli.workspace.rebase(cli.environment(environment))
    question = cli.workspace.question(environment, refresh=refresh or (), only=only or (), forward=forward_only or ())
    return apply_plan(cli, question)


def retrain(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node to make again.")],
    environment: Env = None,
) -> int:
    """Make a node again although nothing it is made from changed, and what is made from it.

    The same as `headrace apply ENV --refresh NODE`.

    Example: headrace retrain lateness
    """
    cli.start_workers()
    return apply_plan(cli, cli.workspace.question(environment, refresh=[node]))

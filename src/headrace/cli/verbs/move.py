"""`promote`, `rollback`, `release`, `accept`: pointers move, or may; nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, short
from headrace.cli.session import Session
from headrace.runtime import environments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.ports.records import PointerMove

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The node.")]


def promote(
    cli: Session,
    source: Annotated[str, typer.Argument(metavar="FROM", help="The environment with the change.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The environment that gets it.")],
) -> None:
    """Let one environment point to what another one has. Computes nothing.

    Only what FROM changed since it began moves, in one transaction. Refused when TO moved on in the same place.

    Example: headrace promote dev prod
    """
    moved = environments.promote(cli.workspace.graph, cli.workspace.ledger, source, target)
    if cli.out.as_json:
        cli.out.json(_json(moved.environment, moved.moves, moved.reason))
    else:
        cli.out.data(*_moves(moved.moves), f"Promoted {source} to {target}.")


def rollback(
    cli: Session,
    node: Node,
    environment: Env = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="KEY", help="To this version: its key, or the beginning of it.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="FILE", help="Leave this file of a source out instead. May be repeated."),
    ] = None,
) -> None:
    """Go back to an earlier version, and stay there until released.

    The node and everything made from it go back to where they stood together, and are held: apply does not advance
    them before `headrace release`. With --exclude, a file of a source is left out of the environment instead.

    Example: headrace rollback lateness --to 3f9a
    """
    name = cli.environment(environment)
    workspace = cli.workspace
    if exclude:
        released = environments.exclude(workspace.graph, workspace.ledger, name, node, frozenset(exclude))
        _tell_excluded(cli, name, node, exclude, released)
        return
    moved = environments.roll_back(workspace.graph, workspace.ledger, name, node, to)
    if cli.out.as_json:
        cli.out.json(_json(name, moved.moves, moved.reason))
        return
    cli.out.data(*_moves(moved.moves), f"Rolled back in {name}, and held there.")
    cli.out.say(f"When the cause is mended: headrace release {node} {name}")


def _tell_excluded(cli: Session, environment: str, node: str, batches: Sequence[str], released: Sequence[str]) -> None:
    if cli.out.as_json:
        facts = {"environment": environment, "node": node, "excluded": sorted(batches), "released": list(released)}
        cli.out.json(facts)
        return
    cli.out.data(f"{node} leaves out {', '.join(sorted(batches))} in {environment}.")
    if released:
        cli.out.data(f"Released: {', '.join(released)}.")
    cli.out.say(f"To make what follows from that: headrace apply {environment}")


def release(cli: Session, node: Node, environment: Env = None) -> None:
    """Let a node that was rolled back advance again, with what is made from it.

    Example: headrace release lateness
    """
    name = cli.environment(environment)
    released = environments.release(cli.workspace.graph, cli.workspace.ledger, name, node)
    if cli.out.as_json:
        cli.out.json({"environment": name, "released": list(released)})
        return
    cli.out.data(f"Released in {name}: {', '.join(released)}.")
    cli.out.say(f"To bring them up to date: headrace apply {name}")


def accept(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")],
    environment: Env = None,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why it is right: kept on record.")] = "",
) -> None:
    """Let a changed schema of a source be published, that its rule has stopped.

    It is recorded as a decision about these changes, and holds for more data with the same changes.

    Example: headrace accept raw_flights --because "the new export has no tail numbers"
    """
    from headrace.cli.progress import conditions
    from headrace.project.accepting import accept as record

    name = cli.environment(environment)
    decision = record(cli.workspace, name, node, because)
    if cli.out.as_json:
        cli.out.json({"environment": name, **decision.to_json()})
        return
    cli.out.data(f"Accepted for {node} in {name}:", *conditions(decision))
    cli.out.say(f"To publish it: headrace apply {name}")


def _moves(moves: Sequence[PointerMove]) -> list[str]:
    rows = [(move.node, short(move.expected) or "nothing", "->", short(move.key) or "nothing") for move in moves]
    return [f"  ~ {line}" for line in columns(rows)]


def _json(environment: str, moves: Sequence[PointerMove], reason: str) -> dict[str, object]:
    return {
        "environment": environment,
        "reason": reason,
        "moves": [{"node": move.node, "from": move.expected, "to": move.key} for move in moves],
    }

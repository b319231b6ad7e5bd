"""What a monitor does to an environment by itself: going back, and staying where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.ports.ledger import MovePointers
from headrace.ports.records import PointerMove
from headrace.runtime.environments import existing, roll_back, write

if TYPE_CHECKING:
    from headrace.monitors.reactions import Reaction
    from headrace.project.workspace import Workspace


def react_by(workspace: Workspace, environment: str, reaction: Reaction, monitor: str) -> str:
    """Do it; answers what was done, empty where there was nothing to do. Raises HR104, HR609, HR713 and HR714."""
    if reaction.kind == "rollback":
        roll_back(workspace.graph, workspace.ledger, environment, reaction.node)
        return f"{reaction.node} is rolled back, and held there"
    return pause_here(workspace, environment, reaction.node, monitor)


def pause_here(workspace: Workspace, environment: str, node: str, monitor: str) -> str:
    """Hold a node and what is made from it where they are, until they are released; those that are held stay so."""
    snapshot = existing(workspace.ledger, environment)
    names = (workspace.graph[node].name, *workspace.graph.descendants(node))
    moves = [
        PointerMove(name, snapshot.pointers[name], snapshot.pointers[name])
        for name in names
        if name in snapshot.pointers and name not in snapshot.holds
    ]
    if not moves:
        return ""
    reason = f"paused by {monitor}"
    write(workspace.ledger, MovePointers(environment, moves, reason, hold=reason))
    return f"{node} is held where it is"

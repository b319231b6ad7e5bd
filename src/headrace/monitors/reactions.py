"""What is done when an alert is raised, besides telling of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.graph.node import Node


@dataclass(frozen=True, slots=True)
class Reaction:
    """What is done: `kind` is "retrain", "run", "rollback" or "pause", `node` what it is done to."""

    kind: str
    node: str

    def __str__(self) -> str:
        return f"{self.kind} {self.node}"

    @property
    def makes(self) -> bool:
        """Whether the node is made of what has come in since."""
        return self.kind in ("retrain", "run")


def retrain(node: Node) -> Reaction:
    """Make a model again of what has come in since, with what is made from it; its gate decides as ever."""
    return Reaction("retrain", node.name)


def run(node: Node) -> Reaction:
    """Bring any node up to date, with what it is made from and what is made from it: `run(refund)`."""
    return Reaction("run", node.name)


def rollback(node: Node) -> Reaction:
    """Go back to the version before, and stay there until released."""
    return Reaction("rollback", node.name)


def pause(node: Node) -> Reaction:
    """Stay at the present version, with what is made from it, until released: nothing new is published meanwhile."""
    return Reaction("pause", node.name)

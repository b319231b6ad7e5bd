"""What the code and the settings of each node come to, part by part, so that a plan can say what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.fingerprint import fingerprint
from headrace.graph.keys import SETTING, Coded
from headrace.ports.canonical import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.graph.graph import Graph
    from headrace.graph.node import Node


def code_of(node: Node, project: Path) -> Coded:
    """The fingerprint of one node. Raises HR2xx where its code cannot be fingerprinted."""
    settings = node.settings()
    found = fingerprint(node.functions(), settings, project=project)
    parts = dict(found.parts)
    parts.update({f"{SETTING}{name}": digest_of(value) for name, value in settings.items()})
    return Coded(found.digest, parts, tuple(found.libraries))


def code_of_graph(graph: Graph, project: Path) -> dict[str, Coded]:
    """The fingerprints of all nodes, by name."""
    return {node.name: code_of(node, project) for node in graph}

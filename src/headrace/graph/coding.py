"""What the code and the settings of each node come to, part by part, so that a plan can say what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.fingerprint import fingerprint
from headrace.graph.keys import SETTING, Coded

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.graph.graph import Graph
    from headrace.graph.node import Node


def code_of(node: Node, project: Path) -> Coded:
    """The fingerprint of one node. Raises HR2xx where its code cannot be fingerprinted."""
    found = fingerprint(node.functions(), node.settings(), project=project)
    settings = {f"{SETTING}{name}": digest for name, digest in found.settings.items()}
    return Coded(found.digest, {**found.parts, **settings}, tuple(found.libraries))


def code_of_graph(graph: Graph, project: Path) -> dict[str, Coded]:
    """The fingerprints of all nodes, by name."""
    return {node.name: code_of(node, project) for node in graph}

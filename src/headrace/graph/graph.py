"""A graph of nodes in the order of work, checked: unique names, no cycle, no input from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.graph.node import Node


@dataclass(frozen=True)
class Graph:
    """Nodes by name; iterating gives each node after all of its inputs."""

    nodes: Mapping[str, Node]

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Graph:
        """Check the nodes and put them in order. Raises HR101 (name twice), HR102 (cycle), HR103 (foreign input)."""
        named: dict[str, Node] = {}
        for node in nodes:
            if named.setdefault(node.name, node) is not node:
                raise HeadraceError("HR101", f"two nodes are called {node.name!r}")
        for node in named.values():
            _refuse_foreign_inputs(node, named)
        return cls({name: named[name] for name in _order(named)})

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            raise HeadraceError("HR104", f"there is no node {name!r}", fix=suggestion(name, self.nodes))
        return self.nodes[name]

    def descendants(self, name: str) -> tuple[str, ...]:
        """Every node that is made from this one, directly or not, in order of work."""
        found = {name}
        for node in self:
            if any(parent.name in found for parent in node.inputs):
                found.add(node.name)
        return tuple(each for each in self.nodes if each in found and each != name)

    def ancestors(self, names: Iterable[str]) -> tuple[str, ...]:
        """These nodes, everything that they are made from, and their companions, in order of work."""
        wanted: set[str] = set()
        waiting = [self[name] for name in names]
        while waiting:
            node = waiting.pop()
            if node.name not in wanted:
                wanted.add(node.name)
                waiting += (*node.inputs, *node.companions)
        return tuple(each for each in self.nodes if each in wanted)


def _refuse_foreign_inputs(node: Node, named: Mapping[str, Node]) -> None:
    for parent in node.inputs:
        if named.get(parent.name) is not parent:
            raise HeadraceError("HR103", f"{node.name} takes {parent.name!r}, which is not a node of this pipeline")


def _order(named: Mapping[str, Node]) -> tuple[str, ...]:
    """The names in order of work; among those that are ready together, as declared."""
    sorter = TopologicalSorter({name: [parent.name for parent in node.inputs] for name, node in named.items()})
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        path = " -> ".join(reversed(error.args[1]))
        raise HeadraceError("HR102", f"the graph has a cycle: {path}") from error

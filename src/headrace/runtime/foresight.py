"""What can be told of new data before anything is made: how it differs, and which nodes and columns that touches.

It looks at the beginning of what is new, and traces columns through the nodes. Nothing that is planned depends on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.ports.work import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.graph import Graph
    from headrace.plan.plan import Plan
    from headrace.ports.outside import Foreseen, Outside
    from headrace.ports.records import Version
    from headrace.ports.work import Step

_ALL = "*"
_SHOWN = 6


def with_foresight(plan: Plan, graph: Graph, pointed: Mapping[str, Version], outside: Outside) -> Plan:
    """The plan, its details with what can be foreseen of the sources that it lands."""
    steps = []
    for step in plan.steps:
        before = pointed.get(step.node)
        seen: Sequence[Foreseen] = ()
        if step.action is Action.MAKE and before is not None and before.fingerprint == step.fingerprint:
            seen = graph[step.node].foresee(step.observation, before, outside) if step.observation else ()
        steps.append(_told(step, seen, graph, pointed) if seen else step)
    return replace(plan, steps=tuple(steps))


def _told(step: Step, seen: Sequence[Foreseen], graph: Graph, pointed: Mapping[str, Version]) -> Step:
    details = list(step.details)
    for each in seen:
        details.append(each.text)
        touched = _touched(graph, step.node, frozenset(each.columns), pointed)
        if touched:
            named = [_named(name, columns) for name, columns in touched.items()]
            more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
            details.append(f"  touches {', '.join(named[:_SHOWN])}{more}")
    return replace(step, details=tuple(details))


def _named(node: str, columns: frozenset[str]) -> str:
    return node if _ALL in columns else f"{node} ({', '.join(sorted(columns))})"


def _touched(
    graph: Graph, source: str, columns: frozenset[str], pointed: Mapping[str, Version]
) -> dict[str, frozenset[str]]:
    """The nodes that are made of these columns, with those of their own columns that follow from them."""
    found = {source: columns}
    for node in graph:
        given = {parent.name: found[parent.name] for parent in node.inputs if parent.name in found}
        if given and columns:
            follows = node.touched(given, pointed)
            if follows:
                found[node.name] = follows
    del found[source]
    return found

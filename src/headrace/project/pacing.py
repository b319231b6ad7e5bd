"""Which nodes are made when: with new data, or at a pace of their own, that of a schedule, a trigger or a monitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.online import OnlineFeatures
from headrace.monitors.monitor import Monitor
from headrace.ports.durations import spell
from headrace.runtime.schedule import Cron, Every, longest_gap
from headrace.runtime.triggers import ByHand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from headrace.graph.graph import Graph
    from headrace.pipeline import Pipeline
    from headrace.runtime.triggers import Trigger


@dataclass(frozen=True)
class Pacing:
    """The paces of one pipeline. A node with a pace is made at it, with what is made from it; new data does not do."""

    graph: Graph
    triggers: Sequence[Trigger] = field(default=())

    @classmethod
    def of(cls, pipeline: Pipeline, graph: Graph | None = None) -> Pacing:
        """Those of a pipeline, whose checked graph may be at hand."""
        return cls(pipeline.graph() if graph is None else graph, pipeline.triggers)

    @cached_property
    def paces(self) -> Mapping[str, tuple[str, ...]]:
        """When each node is made that has a pace of its own, in words: "on every("1d")", "when drifted asks"."""
        found: dict[str, list[str]] = {}
        for trigger in self.triggers:
            told = str(trigger.cause) if isinstance(trigger.cause, ByHand) else f"on {trigger.cause}"
            found.setdefault(trigger.target, []).append(told)
        for node in self.graph:
            for reaction in node.watch.then if isinstance(node, Monitor) else ():
                if reaction.makes:
                    found.setdefault(reaction.node, []).append(f"when {node.name} asks")
        return {name: tuple(dict.fromkeys(causes)) for name, causes in found.items()}

    @cached_property
    def paced(self) -> frozenset[str]:
        """The nodes that new data alone does not make."""
        return frozenset(self.paces).union(*(self.graph.descendants(name) for name in self.paces))

    @property
    def unpaced(self) -> frozenset[str]:
        """The nodes that new data makes."""
        return frozenset(self.graph.nodes) - self.paced

    def made_with(self, name: str) -> frozenset[str]:
        """What is made when this node is: itself and what is made from it, up to what has a pace of its own."""
        below = self.graph.descendants(name)
        others = [each for each in below if each in self.paces]
        return frozenset((name, *below)) - frozenset(others).union(*map(self.graph.descendants, others))

    def refuse_too_slow(self) -> None:
        """Raise the first of `problems`."""
        for problem in self.problems():
            raise problem

    def problems(self) -> list[HeadraceError]:
        """HR969 for each view that promises to be visible sooner than its schedule publishes it."""
        found = []
        for node in self.graph:
            if isinstance(node, OnlineFeatures) and node.name in self.paced:
                gap, delay = self._gap(node.name), node.view.terms.delay
                if gap is not None and delay < gap[0]:
                    what = f"{node.view.name} has a delay of {spell(delay)}, but is published on {gap[1].cause}"
                    fix = f'Declare delay="{spell(gap[0])}" or longer for it, or publish it more often.'
                    found.append(HeadraceError("HR969", what, fix=fix))
        return found

    def _gap(self, name: str) -> tuple[timedelta, Trigger] | None:
        """The longest time for which a schedule leaves a node as it is, of those that make it the shortest."""
        gaps = [
            (longest_gap(trigger.cause), trigger)
            for trigger in self.triggers
            if isinstance(trigger.cause, Every | Cron) and name in self.graph.ancestors(self.made_with(trigger.target))
        ]
        return min(gaps, key=lambda each: each[0], default=None)

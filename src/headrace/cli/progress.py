"""What an apply says while it is at work, in plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.output import columns, counted
from headrace.plan.render import spelled_seconds
from headrace.ports.work import Action
from headrace.runtime.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.errors import HeadraceError
    from headrace.plan.plan import Plan
    from headrace.ports.records import Decision, Lease, PointerMove, Version


class Narrator(Observer):
    """Tells of an apply, a line for each event that is worth one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def run_started(self, run: str, plan: Plan) -> None:
        """See `Observer`."""
        made = plan.count(Action.MAKE)
        rest = plan.count(Action.REUSE, Action.KEEP)
        self._say(f"Run {run} on {plan.environment}: {made} to make, {rest} reused.")
        for node, error in plan.unobserved.items():
            self._say(f"  x {node} cannot be observed: {error.code} {error.what}")

    def step_made(self, version: Version) -> None:
        """See `Observer`."""
        rows = "" if version.rows is None else f", {counted(version.rows, 'row')}"
        self._say(f"  + {version.node} made{rows}, {spelled_seconds(version.seconds)}")
        for warning in version.manifest.facts.get("warnings", ()):
            self._say(f"  ! {version.node}: {warning}")

    def step_adopted(self, version: Version) -> None:
        """See `Observer`."""
        self._say(f"  = {version.node} reused, made by run {version.run}")

    def step_retried(self, node: str, error: Mapping[str, str], seconds: float) -> None:
        """See `Observer`."""
        self._say(
            f"  ! {node} failed and is tried again in {spelled_seconds(seconds)}: {error['code']} {error['what']}"
        )

    def step_failed(self, node: str, error: Mapping[str, str]) -> None:
        """See `Observer`."""
        self._say(f"  x {node} failed: {error['code']} {error['what']}")

    def step_waits(self, node: str, lease: Lease, owner: str) -> None:
        """See `Observer`."""
        self._say(f"  ! {node} is being made by run {lease.run} ({owner}); waiting for it")

    def decided(self, decision: Decision) -> None:
        """See `Observer`."""
        if not decision.passed:
            self._say(f"  x {decision.node} did not pass its gate")
            return
        for line in [f"  + {decision.node} passed its gate:", *conditions(decision)]:
            self._say(line)
        for warning in decision.facts.get("warned", ()):
            self._say(f"  ! {decision.node}: {warning} does not hold")

    def published(self, moves: Sequence[PointerMove]) -> None:
        """See `Observer`."""
        self._say(f"  > published: {', '.join(move.node for move in moves)}")

    def warned(self, error: HeadraceError) -> None:
        """See `Observer`."""
        self._say(f"  ! {error.code} {error.what}")

    def took_over(self, run: str, owner: str) -> None:
        """See `Observer`."""
        self._say(f"  ! run {run} had died ({owner}); what it finished is kept, what it was at is made again")


def conditions(decision: Decision) -> list[str]:
    """The conditions of a gate with what was seen, one in a line."""
    rows = [("ok" if outcome.passed else "no", outcome.condition, outcome.seen) for outcome in decision.outcomes]
    return [f"      {line}" for line in columns(rows)]

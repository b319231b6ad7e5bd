"""What an apply tells whoever watches it. The command line draws bars from it; a program may ignore it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.errors import HeadraceError
    from headrace.plan.plan import Plan
    from headrace.ports.records import Decision, Lease, PointerMove, Version


class Observer:
    """Hears of everything and does nothing: derive from it and override what is of interest."""

    def run_started(self, run: str, plan: Plan) -> None:
        """A run began."""

    def step_started(self, node: str, attempt: int) -> None:
        """A step began, for the first time or again."""

    def step_progressed(self, node: str, done: int, total: int) -> None:
        """A step is this far."""

    def step_made(self, version: Version) -> None:
        """A version was made and recorded."""

    def step_adopted(self, version: Version) -> None:
        """A version was there already: made by another run, or finished by one that died before it could record it."""

    def step_retried(self, node: str, error: Mapping[str, str], seconds: float) -> None:
        """A step failed and is tried again after `seconds`."""

    def step_failed(self, node: str, error: Mapping[str, str]) -> None:
        """A step failed for good."""

    def step_waits(self, node: str, lease: Lease, owner: str) -> None:
        """Another run makes this step; it is waited for."""

    def decided(self, decision: Decision) -> None:
        """A gate decided."""

    def published(self, moves: Sequence[PointerMove]) -> None:
        """Pointers moved, in one transaction."""

    def warned(self, error: HeadraceError) -> None:
        """Something did not go well after the publish, which stands."""

    def took_over(self, run: str, owner: str) -> None:
        """A run was found whose owner is dead; its leases are free."""

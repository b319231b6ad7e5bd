"""The sources as a supervisor sees them: what each of them holds, since when, and which cannot be observed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.runtime.survey import observe
from headrace.runtime.triggers import observed_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.ports.records import Snapshot
    from headrace.project.workspace import Workspace


class Lookout:
    """Looks at the sources of an environment again and again. Its answers may be read by any thread.

    `digests` says what each source holds, None before the first look; of one that cannot be observed, what it was seen
    to hold last. `changed` and `failing` are moments, in seconds since 1970: when a source was seen to change, and
    since when it cannot be observed, 0 where it can.

    A source counts as lost once two looks in a row have failed: the next apply asks anew what was a mishap of a moment.
    """

    def __init__(self, workspace: Workspace, environment: str) -> None:
        self._workspace = workspace
        self._environment = environment
        self._errors: Mapping[str, HeadraceError] = {}
        self._lost: frozenset[str] = frozenset()
        self.digests: dict[str, str] | None = None
        self.changed: dict[str, float] = {}
        self.failing: dict[str, float] = {}

    def look(self) -> list[str]:
        """Look; answers why the environment is to be applied since the look before, if it is."""
        of = self._workspace
        snapshot = of.ledger.snapshot(self._environment)
        seen = observe(of.graph, of.coded, of.ledger, snapshot, of.outside)
        before, failed_before = self.digests, self._errors.keys()
        digests = {name: observed_digest(each) for name, each in seen.observations.items()}
        self._note_changes(digests, snapshot)
        now = of.clock.now().timestamp()
        self.failing = {
            **dict.fromkeys(digests, 0.0),
            **{name: self.failing.get(name) or now for name in seen.unobserved},
        }
        last = {name: before[name] for name in seen.unobserved if name in before} if before else {}
        self.digests, self._errors = {**digests, **last}, seen.unobserved
        if before is None:
            self._lost = frozenset(seen.unobserved)  # what is applied at the beginning will tell
            return []
        lost, back = (seen.unobserved.keys() & failed_before) - self._lost, self._lost - seen.unobserved.keys()
        self._lost = (self._lost | lost) - back
        reasons = ["new data"] if self.digests != before else []
        reasons += [f"{_named(lost)} cannot be observed"] if lost else []
        return reasons + ([f"{_named(back)} can be observed again"] if back else [])

    @property
    def problem(self) -> HeadraceError | None:
        """Why sources cannot be observed; None where all can. The code is that of the first of them."""
        if not self._errors:
            return None
        first = self._errors[min(self._errors)]
        what = "; ".join(f"{name}: {error.what}" for name, error in sorted(self._errors.items()))
        return HeadraceError(first.code, what, why=first.why, fix=first.fix)

    def _note_changes(self, digests: Mapping[str, str], snapshot: Snapshot) -> None:
        """When each source changed: now, or, as far as that is not known, when its present version was made."""
        now, before = self._workspace.clock.now().timestamp(), self.digests or {}
        for name, digest in digests.items():
            if name not in before:
                version = self._workspace.ledger.version(snapshot.pointers.get(name, ""))
                self.changed[name] = now if version is None else datetime.fromisoformat(version.made_at).timestamp()
            elif before[name] != digest:
                self.changed[name] = now


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

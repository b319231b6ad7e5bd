"""How one apply ended, and the tally that is kept while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.errors import HeadraceError
    from headrace.ports.records import Decision, Facts


@dataclass(frozen=True, slots=True)
class Applied:
    """How one apply ended: nodes by what became of them. `conflict` says that another run published first."""

    run: str
    made: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    failed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unobserved: Mapping[str, HeadraceError] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    refused: Mapping[str, Decision] = field(default_factory=dict)
    published: tuple[str, ...] = ()
    conflict: HeadraceError | None = None
    warnings: tuple[HeadraceError, ...] = ()
    """What did not go well after the publish, which stands."""

    def summary(self) -> Facts:
        """What the ledger keeps of it."""
        return {
            "made": list(self.made),
            "adopted": list(self.adopted),
            "failed": {name: error["code"] for name, error in self.failed.items()},
            "unobserved": {name: error.to_json() for name, error in self.unobserved.items()},
            "refused": sorted(self.refused),
            "published": list(self.published),
        }


@dataclass(slots=True)
class Tally:
    """What became of the steps so far; `unobserved` are the nodes whose plan could not be made."""

    unobserved: Mapping[str, HeadraceError] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    failed: dict[str, Mapping[str, str]] = field(default_factory=dict)
    refused: dict[str, Decision] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)

    @property
    def is_bad(self) -> bool:
        """Whether something could not be done. What a gate refuses is done."""
        return bool(self.failed or self.unobserved)

    def applied(self, run: str, skipped: list[str], conflict: HeadraceError | None = None) -> Applied:
        """The end result."""
        return Applied(
            run=run,
            made=tuple(self.made),
            adopted=tuple(self.adopted),
            failed=dict(self.failed),
            unobserved=self.unobserved,
            skipped=tuple(skipped),
            refused=dict(self.refused),
            published=tuple(self.published),
            conflict=conflict,
        )

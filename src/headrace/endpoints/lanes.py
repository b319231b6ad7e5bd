"""Which version a request goes to while one takes over, and what is measured of both meanwhile. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from headrace.graph.conditions import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PARTS: Final = 10_000


def falls_to(share: int, salt: str, values: Sequence[object]) -> bool:
    """Whether a request of this entity is among the `share` percent of all entities that the new version answers.

    It is the same for an entity in every process, and stays so while the share grows. `salt` is of the roll-out, so
    that it is not the same entities that try each new version.
    """
    digest = blake2b(repr((salt, values)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _PARTS < share * _PARTS // 100


@dataclass(frozen=True, slots=True)
class Counts:
    """What a version did so far: requests that it answered or failed, rows and their scores, seconds until answers.

    `seconds` counts answers by upper bound, each bound including those below it; `total` is their sum. `unloaded` says
    how often it could not be loaded.
    """

    answers: float = 0.0
    failures: float = 0.0
    rows: float = 0.0
    scores: float = 0.0
    total: float = 0.0
    unloaded: float = 0.0
    seconds: Mapping[float, float] = field(default_factory=dict)

    def since(self, before: Counts) -> Counts:
        """What was added after an earlier count."""
        seconds = {bound: count - before.seconds.get(bound, 0.0) for bound, count in self.seconds.items()}
        return Counts(
            self.answers - before.answers,
            self.failures - before.failures,
            self.rows - before.rows,
            self.scores - before.scores,
            self.total - before.total,
            self.unloaded - before.unloaded,
            seconds,
        )

    def measured(self) -> Measured:
        """The metrics that a condition of a roll-out can name; None where there is nothing to tell them from."""
        asked = self.answers + self.failures
        found = {
            "answers": asked,
            "error_share": self.failures / asked if asked else None,
            "mean_ms": 1000 * self.total / self.answers if self.answers else None,
            "mean_score": self.scores / self.rows if self.rows else None,
        }
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            seconds = quantile(self.seconds, share)
            found[name] = None if seconds is None else 1000 * seconds
        return Measured(found)


def quantile(counts: Mapping[float, float], share: float) -> float | None:
    """A quantile of what was counted by upper bound: linear within a bound, as Prometheus' histogram_quantile has it.

    Beyond the last finite bound, that bound; None when nothing was counted.
    """
    bounds = sorted(counts.items())
    if not bounds or not bounds[-1][1]:
        return None
    rank = share * bounds[-1][1]
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *bounds]):
        if upto >= rank:
            return low if high == float("inf") else low + (high - low) * (rank - below) / max(upto - below, 1e-12)
    return bounds[-1][0]

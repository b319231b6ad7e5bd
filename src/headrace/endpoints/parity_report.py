"""What a replay of an endpoint's answers found, in a size that does not grow with their number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.endpoints.replay import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.endpoints.log_lines import Prediction
    from headrace.endpoints.replay import Difference, Reason, Replayed
    from headrace.features.lag import Lag
    from headrace.ports.records import Json

EXAMPLES = 3
"""How many differences of one feature are kept to be shown."""


@dataclass(slots=True)
class FeatureParity:
    """One feature of a view: how many values were compared, how many differ, why, and the first few."""

    view: str
    feature: str
    compared: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many values differ."""
        return self.reasons.total()

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "view": self.view,
            "feature": self.feature,
            "compared": self.compared,
            "differing": self.differing,
            "share": self.differing / self.compared if self.compared else 0.0,
            "reasons": {str(reason): count for reason, count in sorted(self.reasons.items())},
            "examples": [_example(each) for each in self.examples],
        }


def _example(each: Difference) -> Json:
    return {
        "id": each.answer.id,
        "at": each.answer.at,
        "cutoff": each.answer.cutoff,
        "stage": each.answer.stage,
        "entity": dict(each.entity),
        "online": each.online,
        "offline": each.offline,
        "reason": str(each.reason),
        "why": MEANINGS[each.reason],
    }


@dataclass(slots=True)
class ParityReport:
    """All of it. `first` and `last` are when the first and the last answer were given, in microseconds since 1970.

    `unknown` answers are of models that the ledger does not know, `skipped` look-ups are of a definition of which
    nothing is left, or cannot be read, `sent` values came from the callers.
    """

    environment: str
    endpoint: str
    answers: int = 0
    first: int | None = None
    last: int | None = None
    unknown: int = 0
    skipped: int = 0
    sent: int = 0
    features: dict[tuple[str, str], FeatureParity] = field(default_factory=dict)
    lags: Sequence[Lag] = ()

    @property
    def compared(self) -> int:
        """How many values were compared."""
        return sum(each.compared for each in self.features.values())

    @property
    def differing(self) -> int:
        """How many of them differ."""
        return sum(each.differing for each in self.features.values())

    def count(self, answers: Iterable[Prediction]) -> None:
        """Take answers into account, before what their look-ups gave."""
        for each in answers:
            self.answers += 1
            self.first = each.at if self.first is None else min(self.first, each.at)
            self.last = each.at if self.last is None else max(self.last, each.at)

    def add(self, view: str, found: Replayed) -> None:
        """Take what a batch of look-ups of one view gave."""
        self.sent += found.sent
        self.skipped += found.skipped
        for name, count in found.compared.items():
            self._feature(view, name).compared += count
        for each in found.differences:
            feature = self._feature(view, each.feature)
            feature.reasons[each.reason] += 1
            if len(feature.examples) < EXAMPLES:
                feature.examples.append(each)

    def _feature(self, view: str, name: str) -> FeatureParity:
        return self.features.setdefault((view, name), FeatureParity(view, name))

    def to_json(self) -> Json:
        """Plain data. Moments are microseconds since 1970."""
        compared, differing = self.compared, self.differing
        return {
            "environment": self.environment,
            "endpoint": self.endpoint,
            "answers": self.answers,
            "first": self.first,
            "last": self.last,
            "compared": compared,
            "differing": differing,
            "share": differing / compared if compared else 0.0,
            "unknown": self.unknown,
            "skipped": self.skipped,
            "sent": self.sent,
            "features": [each.to_json() for each in self.features.values()],
            "lags": [each.to_json() for each in self.lags],
        }

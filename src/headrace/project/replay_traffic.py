"""Who answers in a simulated life, and what: a version that is settled, and one that takes over stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.endpoints.lanes import falls_to
from headrace.endpoints.rollout import Watched, next_step
from headrace.graph.conditions import Measured
from headrace.project.rollouts import answering, settle, take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from headrace.endpoints.rollout import Standing
    from headrace.ports.records import Version
    from headrace.project.replay_answers import Floats, Scores
    from headrace.project.replay_scratch import Life
    from headrace.project.replay_world import World
    from headrace.project.rollouts import Answering

NOBODY: Final = -1
_LOOK: Final = timedelta(hours=1)
"""How often a roll-out is looked at, besides the moment at which a stage has lasted long enough."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a life. `kind` is one word; `about` is the node; `text` is for people."""

    at: datetime
    kind: str
    about: str
    text: str


@dataclass(slots=True)
class _Sum:
    """What a version did in the present stage. Latency is not known of it: nothing is sent over a network."""

    answers: int = 0
    failures: int = 0
    scores: float = 0.0

    def add(self, scores: Floats) -> None:
        good = scores[np.isfinite(scores)]
        self.answers += len(good)
        self.failures += len(scores) - len(good)
        self.scores += float(good.sum())

    def measured(self) -> Measured:
        asked = self.answers + self.failures
        return Measured(
            {
                "answers": float(asked),
                "error_share": self.failures / asked if asked else None,
                "mean_score": self.scores / self.answers if self.answers else None,
            }
        )


class Traffic:
    """The answers of a life: by question the score (NaN: none, or an error) and which model gave it."""

    def __init__(self, world: World, life: Life, scores: Scores) -> None:
        self._world = world
        self._life = life
        self._scores = scores
        self._found: Answering | None = None
        self._pointed: Mapping[str, Version] = {}
        self._known: dict[str, Version] = {}
        self._stage: tuple[int, int] | None = None
        self._sums = _Sum(), _Sum()
        self.score: Floats = np.full(len(world.at), np.nan)
        self.by: npt.NDArray[np.int32] = np.full(len(world.at), NOBODY, dtype=np.int32)
        self.models: list[str] = []
        self.events: list[Event] = []

    @property
    def pointed(self) -> Mapping[str, Version]:
        """What the environment points to, as of the last `refresh`."""
        return self._pointed

    def refresh(self) -> None:
        """See who answers, after pointers moved."""
        life, endpoint = self._life, self._world.endpoint.name
        found = answering(life.ledger, life.ledger.snapshot(life.environment)).get(endpoint)
        if found is not None:
            settle(life.ledger, life.ledger.snapshot(life.environment), found)
        self._found, self._pointed = found, life.pointed()

    def answer(self, until: datetime) -> None:
        """Answer what is asked from now until then; the clock moves on, and a roll-out with it."""
        clock = self._life.clock
        while (now := clock.now()) < until:
            found = self._found
            standing = None if found is None else found.standing
            stop = until if standing is None else self._next_look(standing, now, until)
            low, high = self._world.rows(now, stop)
            if found is not None and high > low:
                self._fill(found, low, high)
            clock.sleep((stop - now).total_seconds())
            if standing is not None:
                self._step(standing)

    def _next_look(self, standing: Standing, now: datetime, until: datetime) -> datetime:
        due = standing.since + timedelta(seconds=standing.current.seconds)
        return min(until, now + _LOOK, *([due] if due > now else []))

    def _fill(self, found: Answering, low: int, high: int) -> None:
        """Have questions answered: all of them by the settled version, then the candidate's share by the candidate."""
        self._put(found.settled, np.arange(low, high))
        standing, candidate = found.standing, found.candidate
        if standing is None or candidate is None:
            return
        ours = np.arange(low, high) if standing.shadowed else self._share(standing, candidate, low, high)
        scores = self._of(candidate, low, high)[ours - low]
        if self._stage != (stage := (standing.subject.published.entry, standing.stage)):
            self._stage, self._sums = stage, (_Sum(), _Sum())
        self._sums[0].add(scores)
        if not standing.shadowed:
            self._put(candidate, ours, scores)
        theirs = np.setdiff1d(np.arange(low, high), ours) if not standing.shadowed else ours
        self._sums[1].add(self._of(found.settled, low, high)[theirs - low])

    def _share(self, standing: Standing, candidate: Version, low: int, high: int) -> npt.NDArray[np.int64]:
        """The questions that fall to the candidate, by the rule of a server. The salt is the candidate's alone."""
        salt = f"{self._life.environment} {candidate.key}"
        rows = self._entities(candidate, low, high)
        return np.array([low + n for n, row in enumerate(rows) if falls_to(standing.share, salt, row)], dtype=np.int64)

    def _entities(self, endpoint: Version, low: int, high: int) -> Sequence[Sequence[object]]:
        facts = self._model(endpoint).manifest.facts
        looked = [name for view in facts.get("views", ()) for name in view["on"]]
        inputs = [each["name"] for each in facts["inputs"]]
        part = self._world.questions[low:high]
        if looked:
            return part.select(list(dict.fromkeys(looked))).rows()
        return [sorted(row.items()) for row in part.select(inputs).iter_rows(named=True)]

    def _step(self, standing: Standing) -> None:
        """Take the step that is due, if one is."""
        if self._stage != (standing.subject.published.entry, standing.stage):
            return
        candidate, settled = (each.measured() for each in self._sums)
        now = self._life.clock.now()
        proposed = next_step(standing, now, Watched(candidate, settled))
        if proposed is None:
            return
        take(self._life.ledger, self._life.clock, standing, proposed)
        self.refresh()
        text = f"{standing.current}: {proposed.reason}"
        self.events.append(Event(now, proposed.action.value, standing.subject.endpoint, text))

    def _put(self, endpoint: Version, rows: npt.NDArray[np.int64], scores: Floats | None = None) -> None:
        if not len(rows):
            return
        model = self._model(endpoint).key
        if model not in self.models:
            self.models.append(model)
        self.by[rows] = self.models.index(model)
        self.score[rows] = self._of(endpoint, int(rows[0]), int(rows[-1]) + 1) if scores is None else scores

    def _of(self, endpoint: Version, low: int, high: int) -> Floats:
        return self._scores.of(endpoint, self._model(endpoint), low, high)

    def _model(self, endpoint: Version) -> Version:
        key = endpoint.inputs[0][1]
        model = self._life.ledger.version(key) if key not in self._known else self._known[key]
        if model is None:
            message = f"the ledger of a replay lost version {key}"
            raise RuntimeError(message)
        self._known[key] = model
        return model

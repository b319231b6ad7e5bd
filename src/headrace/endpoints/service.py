"""What the protocols of an endpoint (our own, V2, MLflow's) have in common: calls, answers, and who answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a record: `kind` is "number", "boolean" or "text".

    A field with a `view` is a feature of that view: what the caller does not send is looked up. `entity` fields are
    what it is looked up by; a field can be both an input of the model and an entity. A `key` finds the label of the
    answer when it is known: it is logged, and nothing else is done with it. A `closed` field takes its categories only.
    """

    name: str
    kind: str
    required: bool
    view: str | None = None
    entity: bool = False
    categories: tuple[str, ...] | None = None
    key: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """What a version makes of some rows, in their order.

    `features` are the values that the model saw, by name of its input; `seen` says for each view when the newest row
    behind them became visible (microseconds since 1970; None: no row).
    """

    scores: Scores
    features: Sequence[Mapping[str, object]]
    seen: Sequence[Mapping[str, int | None]]


class Served(Protocol):
    """One loaded version of an endpoint. Every method may be called from any thread."""

    key: str  # of the endpoint's version
    model: str  # the key of the model's version
    fields: tuple[Field, ...]
    generations: Mapping[str, str]  # feature view -> key of the generation in the online store that is read now
    quick: bool  # whether a small batch is scored in microseconds, so that it need not leave the event loop

    def score(self, rows: Sequence[Mapping[str, object]], at: Sequence[int]) -> Scored:
        """Look up and score rows that `check_rows` accepts. `at` are the cut-offs, in microseconds since 1970."""

    def contributions(self, features: Sequence[Mapping[str, object]], top: int) -> Sequence[Mapping[str, float]]:
        """How much each input moved the prediction, the `top` largest by size."""


class Lane(NamedTuple):
    """The version that a request goes to; `stage` is "canary" or "shadow" while it takes over, else None."""

    served: Served
    stage: str | None = None


class Traffic(Protocol):
    """Which versions answer. Changes while requests are under way; each keeps the version that it began with."""

    def endpoints(self) -> Sequence[str]:
        """The names of the endpoints that have a version to answer with."""

    def route(self, endpoint: str) -> Served:
        """Who answers now, but for those requests that a new version gets already. Raises HR901, HR902."""

    def version(self, endpoint: str, key: str) -> Served:
        """A loaded version by its key, or the beginning of it. Raises HR903."""

    def versions(self, endpoint: str) -> Sequence[Served]:
        """The loaded versions, the one that answers first."""


class Lanes(Traffic, Protocol):
    """Traffic in which a new version takes over by and by."""

    def lane(self, endpoint: str, row: Mapping[str, object]) -> Lane:
        """Who answers this row: the same for each entity. Raises HR901, HR902."""

    def divided(self, endpoint: str) -> bool:
        """Whether two versions answer now, each some of the entities. Raises HR901, HR902."""

    def shadow(self, endpoint: str) -> Lane | None:
        """Who is asked besides, if anybody."""


class Call(NamedTuple):
    """One request, whatever protocol it came by. `at` is the cut-off in microseconds; None: now.

    `text` is the rows as JSON, one after the other with commas between, on one line, where the caller sent them so.
    """

    endpoint: str
    rows: Sequence[Mapping[str, object]]
    at: int | None = None
    version: str | None = None
    top: int = 0  # how many contributions to say
    text: bytes | None = None


class Answered(NamedTuple):
    """What came of a call, in the order of its rows; `warnings` are about all of it.

    `made` says for each row which version answered it and by which model, where they differ; `key` and `model` are then
    those of the first row.
    """

    ids: Sequence[str]
    scored: Scored
    key: str
    model: str
    contributions: Sequence[Mapping[str, float]] = ()
    warnings: Sequence[str] = ()
    made: Sequence[tuple[str, str]] = ()


def together(parts: Sequence[Answered], places: Sequence[Sequence[int]]) -> Answered:
    """One answer of several, each of which is of the rows at its `places`."""
    order = np.argsort(np.concatenate([np.asarray(each) for each in places])).tolist()

    def mixed(what: Callable[[Answered], Iterable[Any]]) -> list[Any]:
        found = [each for part in parts for each in what(part)]
        return [found[place] for place in order] if found else []

    scored = Scored(
        np.concatenate([each.scored.scores for each in parts])[order],
        mixed(lambda part: part.scored.features),
        mixed(lambda part: part.scored.seen),
    )
    made: list[tuple[str, str]] = mixed(lambda part: [(part.key, part.model)] * len(part.ids))
    ids, told = mixed(lambda part: part.ids), mixed(lambda part: part.contributions)
    key, model = made[0]
    return Answered(ids, scored, key, model, contributions=told, made=made)


@dataclass(frozen=True, slots=True)
class Logged:
    """What one version made in one turn, as it goes to the log.

    `at` is when it was answered, in microseconds since 1970; `micros` how long each request had waited and taken;
    `stage` is that of the lane. What is of the stage "shadow" was given to nobody. `text` is the rows as in `Call`.
    """

    endpoint: str
    key: str
    model: str
    generations: Mapping[str, str]
    at: int
    ids: Sequence[str]
    rows: Sequence[Mapping[str, object]]
    cutoffs: Sequence[int]
    scored: Scored
    micros: Sequence[int]
    stage: str | None = None
    text: bytes | None = None


class PredictionLog(Protocol):
    """Where answers are written down before they are given."""

    def ids(self, count: int) -> Sequence[str]:
        """New prediction ids."""

    def append(self, batch: Logged) -> None:
        """Write one batch by one write(2). Never raises: what cannot be written is counted and reported."""


class Service(Protocol):
    """Answers calls: checks rows, batches them, scores, logs, counts."""

    async def predict(self, call: Call) -> Answered:
        """Answer a call. Raises a HeadraceError of the HR9xx codes; `statuses` has their HTTP status."""

    @property
    def traffic(self) -> Traffic:
        """Who answers."""

    def ready(self) -> bool:
        """Whether requests are taken: loaded, and not draining."""

"""The durable facts: what was made, what was decided, where an environment points.

All of them are immutable plain data that survive a round trip through JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Any  # None, bool, int, float, str, list or dict of the same; JSON has no better type in Python
Facts: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Ref:
    """Where one output lies: a table directory at a version, or a file named by its content.

    `store` says which store holds it ("table", "artefact", "online"), `path` is relative to that store's root or names
    a generation, `version` counts the commits of a table directory (else 0), `digest` is of the content (sha256 hex).
    """

    store: str
    path: str
    digest: str
    version: int = 0

    def to_json(self) -> Json:
        """Plain data."""
        return {"store": self.store, "path": self.path, "digest": self.digest, "version": self.version}

    @classmethod
    def from_json(cls, data: Facts) -> Ref:
        """The inverse of `to_json`."""
        return cls(data["store"], data["path"], data["digest"], data["version"])


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a step made: references to its outputs, and facts about them (rows, metrics, batches, libraries)."""

    key: str
    outputs: Mapping[str, Ref] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "key": self.key,
            "outputs": {name: ref.to_json() for name, ref in self.outputs.items()},
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, data: Facts) -> Manifest:
        """The inverse of `to_json`."""
        outputs = {name: Ref.from_json(ref) for name, ref in data["outputs"].items()}
        return cls(data["key"], outputs, data["facts"])


@dataclass(frozen=True, slots=True)
class Version:
    """One thing that a node made, for ever.

    `key` is the recipe (see `headrace.graph.keys`), `inputs` are pairs of input node and its key in declared order,
    `parts` are the digests of each piece of code that the fingerprint covers, so that a plan can name what changed.
    """

    key: str
    node: str
    kind: str
    fingerprint: str
    inputs: tuple[tuple[str, str], ...]
    manifest: Manifest
    parts: Mapping[str, str] = field(default_factory=dict)
    batches: Mapping[str, str] = field(default_factory=dict)
    generation: int = 0
    run: str = ""
    made_at: str = ""
    seconds: float = 0.0

    @property
    def rows(self) -> int | None:
        """Rows made, where the node makes rows."""
        rows = self.manifest.facts.get("rows")
        return None if rows is None else int(rows)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "key": self.key,
            "node": self.node,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "inputs": [list(pair) for pair in self.inputs],
            "manifest": self.manifest.to_json(),
            "parts": dict(self.parts),
            "batches": dict(self.batches),
            "generation": self.generation,
            "run": self.run,
            "made_at": self.made_at,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Facts) -> Version:
        """The inverse of `to_json`."""
        inputs = tuple((name, key) for name, key in data["inputs"])
        rest = {name: value for name, value in data.items() if name not in ("inputs", "manifest")}
        return cls(inputs=inputs, manifest=Manifest.from_json(data["manifest"]), **rest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One condition of a decision: its text, whether it held, and what was seen."""

    condition: str
    passed: bool
    seen: str

    def to_json(self) -> Json:
        """Plain data."""
        return {"condition": self.condition, "passed": self.passed, "seen": self.seen}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a version may replace another one: a version of its own, about a version.

    `key` hashes the conditions, the candidate, the champion or none, and the evaluation rows.
    """

    key: str
    node: str
    candidate: str
    champion: str | None
    passed: bool
    outcomes: tuple[Outcome, ...]
    facts: Facts = field(default_factory=dict)
    run: str = ""
    made_at: str = ""

    @property
    def reason(self) -> str:
        """The conditions that failed, or all of them when all passed."""
        shown = [outcome for outcome in self.outcomes if outcome.passed == self.passed]
        return "; ".join(f"{outcome.condition} ({outcome.seen})" for outcome in shown)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "key": self.key,
            "node": self.node,
            "candidate": self.candidate,
            "champion": self.champion,
            "passed": self.passed,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "facts": dict(self.facts),
            "run": self.run,
            "made_at": self.made_at,
        }

    @classmethod
    def from_json(cls, data: Facts) -> Decision:
        """The inverse of `to_json`."""
        outcomes = tuple(Outcome(**outcome) for outcome in data["outcomes"])
        return cls(outcomes=outcomes, **{name: value for name, value in data.items() if name != "outcomes"})


@dataclass(frozen=True, slots=True)
class Hold:
    """A node of an environment that does not advance until it is released."""

    node: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An environment at one moment of the ledger: what each node points to.

    `started` are the pointers that the environment began with (a promotion compares against them), `base` is the
    environment they came from, `excluded` are source batches that the environment leaves out: node -> batch ids.
    """

    environment: str
    pointers: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    started: Mapping[str, str] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    exists: bool = True


@dataclass(frozen=True, slots=True)
class PointerMove:
    """One pointer that moves by compare-and-set: it must point to `expected` (None: to nothing) when it moves."""

    node: str
    expected: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class PointerChange:
    """A pointer move as the ledger remembers it."""

    entry: int
    environment: str
    node: str
    previous: str | None
    key: str | None
    reason: str
    run: str
    at: str


class RunState(StrEnum):
    """Where a run is. `CRASHED` is found by the next process: the owner's operating-system lock is free."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger: its number, when it was written, its kind ("version", "run ended"), and what it says."""

    number: int
    at: str
    kind: str
    body: Facts


@dataclass(frozen=True, slots=True)
class Run:
    """One `apply`: who runs it, over which environment, and how it ended."""

    id: str
    environment: str
    owner: str
    state: RunState
    started_at: str
    ended_at: str | None = None
    summary: Facts = field(default_factory=dict)


class AttemptState(StrEnum):
    """Where one try of one step is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one step: `number` counts from 1 within its run."""

    run: str
    node: str
    key: str
    number: int
    state: AttemptState
    started_at: str
    ended_at: str | None = None
    error: Facts | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who makes a node in an environment. `fence` grows with each new holder, and each write of a holder shows it."""

    environment: str
    node: str
    owner: str
    run: str
    fence: int
    since: str


@dataclass(frozen=True, slots=True)
class Signal:
    """A durable message for a run or an environment, consumed exactly once (cancel, refresh, an event)."""

    id: int
    kind: str
    subject: str
    body: Facts
    at: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One immutable piece of a source: `id` names it to people, `digest` is of its content, `size` in bytes.

    `location` tells where what was observed lies, where it is not found by its id; `facts` are kept with it.
    """

    id: str
    digest: str
    size: int
    location: str = ""
    facts: Facts = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a source holds now: its batches, sorted by id."""

    node: str
    batches: tuple[Batch, ...]

    def without(self, excluded: frozenset[str]) -> Observation:
        """The same observation, less the excluded batch ids."""
        return Observation(self.node, tuple(batch for batch in self.batches if batch.id not in excluded))

    def identity(self) -> dict[str, str]:
        """Batch id to content digest: what the key of a source version covers."""
        return {batch.id: batch.digest for batch in self.batches}

"""The durable facts: what was made, what was decided, where an environment points.

All of them are immutable plain data that survive a round trip through JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.ports.identities import identity
from headrace.ports.mappings import Codec, PieceList, Pieces, trees
from headrace.ports.pieces import Head, Tree, nothing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.ports.pieces import Fetch

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


REFS = Codec(Ref.to_json, Ref.from_json)
"""References as plain data."""


def _stored(value: object) -> Json:
    """How a mapping or list in pieces is named where it is stored: its root, and how to read it."""
    if isinstance(value, PieceList):
        return ["list", *value.tree.root]
    if isinstance(value, Pieces):
        return ["refs" if value.codec == REFS else "plain", *value.tree.root]
    return None


def _read(stored: Sequence[Json], fetch: Fetch) -> Pieces[Json] | PieceList:
    how, *root = stored
    tree = Tree(Head(*root), None, fetch)
    if how == "list":
        return PieceList(tree)
    return Pieces(tree, REFS) if how == "refs" else Pieces(tree)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a step made: references to its outputs, and facts about them (rows, metrics, batches, libraries).

    Outputs, and facts that are mappings or lists, may be in pieces (see `headrace.ports.mappings`).
    """

    key: str
    outputs: Mapping[str, Ref] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data."""
        apart = {f"facts.{name}": found for name, value in self.facts.items() if (found := _stored(value))}
        outputs = _stored(self.outputs)
        if outputs:
            apart["outputs"] = outputs
        return {
            "key": self.key,
            "outputs": {} if outputs else {name: ref.to_json() for name, ref in self.outputs.items()},
            "facts": {name: value for name, value in self.facts.items() if f"facts.{name}" not in apart},
            **({"pieces": apart} if apart else {}),
        }

    @classmethod
    def from_json(cls, data: Facts, fetch: Fetch = nothing) -> Manifest:
        """The inverse of `to_json`; `fetch` finds the pieces of what is not in the data itself."""
        outputs: Mapping[str, Ref] = {name: Ref.from_json(ref) for name, ref in data["outputs"].items()}
        apart = {name: _read(stored, fetch) for name, stored in data.get("pieces", {}).items()}
        found = apart.pop("outputs", None)
        if isinstance(found, Pieces):
            outputs = found
        facts = data["facts"]
        if apart:
            facts = {**facts, **{name.removeprefix("facts."): value for name, value in apart.items()}}
        return cls(data["key"], outputs, facts)

    def trees(self) -> Iterator[Tree]:
        """What of it is in pieces."""
        return trees(self.outputs, *self.facts.values())


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

    def trees(self) -> Iterator[Tree]:
        """What of it is in pieces."""
        yield from trees(self.batches)
        yield from self.manifest.trees()

    def to_json(self) -> Json:
        """Plain data."""
        batches = _stored(self.batches)
        return {
            "key": self.key,
            "node": self.node,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "inputs": [list(pair) for pair in self.inputs],
            "manifest": self.manifest.to_json(),
            "parts": dict(self.parts),
            "batches": {} if batches else dict(self.batches),
            "generation": self.generation,
            "run": self.run,
            "made_at": self.made_at,
            "seconds": self.seconds,
            **({"pieces": {"batches": batches}} if batches else {}),
        }

    @classmethod
    def from_json(cls, data: Facts, fetch: Fetch = nothing) -> Version:
        """The inverse of `to_json`; `fetch` finds the pieces of what is not in the data itself."""
        inputs = tuple((name, key) for name, key in data["inputs"])
        rest = {name: value for name, value in data.items() if name not in ("inputs", "manifest", "pieces")}
        if "pieces" in data:
            rest["batches"] = _read(data["pieces"]["batches"], fetch)
        return cls(inputs=inputs, manifest=Manifest.from_json(data["manifest"], fetch), **rest)


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
    _identity: Mapping[str, str] | None = field(default=None, init=False, compare=False, repr=False)

    def without(self, excluded: frozenset[str]) -> Observation:
        """The same observation, less the excluded batch ids."""
        if not excluded:
            return self
        return Observation(self.node, tuple(batch for batch in self.batches if batch.id not in excluded))

    def identity(self) -> Mapping[str, str]:
        """Batch id to content digest: what the key of a source version covers."""
        if self._identity is None:
            object.__setattr__(self, "_identity", identity(self.node, self.batches))
        return self._identity or {}

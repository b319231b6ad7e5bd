"""The ledger as others see it: what can be written, what can be asked.

A write is a list of items. Each item is atomic by itself and refused by itself; all items of one call, and those of
other threads that wait at the same moment, are made durable by one commit (group commit). An item that is refused
answers with its error and leaves the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from headrace.errors import HeadraceError
    from headrace.ports.records import (
        Attempt,
        AttemptState,
        Decision,
        Entry,
        Facts,
        Lease,
        PointerChange,
        PointerMove,
        Ref,
        Run,
        RunState,
        Signal,
        Snapshot,
        Version,
    )


@dataclass(frozen=True, slots=True)
class StartRun:
    """Record that a run began. The answer's value is the run."""

    run: Run


@dataclass(frozen=True, slots=True)
class EndRun:
    """Record how a run ended; the first end wins (a crashed run that was taken over stays crashed)."""

    run: str
    state: RunState
    summary: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Record that a step is being tried."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """Record how a try ended."""

    attempt: Attempt
    state: AttemptState
    error: Facts | None = None


@dataclass(frozen=True, slots=True)
class AddVersion:
    """Append a version, once. Value: the version that the ledger holds under this key (the first one wins).

    `lease` is the writer's; a stale fence refuses the item (HR603). A key that was collected comes to life again.
    What of the version is in pieces is written with it, as far as the ledger does not hold it.
    """

    version: Version
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class AddDecision:
    """Append a decision, once. Value: the decision that the ledger holds under this key (the first one wins)."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class CreateEnvironment:
    """Create an environment with the pointers, holds and exclusions of `base`, or empty. A second time: no-op."""

    environment: str
    base: str | None = None


@dataclass(frozen=True, slots=True)
class MovePointers:
    """Move pointers of one environment, all or none.

    Refused with HR602 when a pointer does not point to what the move expects (unless it already points to the goal),
    with HR603 when one of the leases is no longer held, with HR604 when a node is held and `force` is false.
    """

    environment: str
    moves: Sequence[PointerMove]
    reason: str
    run: str = ""
    leases: Sequence[Lease] = ()
    force: bool = False
    hold: str | None = None  # hold every moved node, for this reason, in the same transaction (rollback)


@dataclass(frozen=True, slots=True)
class Promote:
    """Move the target's pointers and make them the source's new start, in one transaction. Refused like a move."""

    source: str
    target: str
    moves: Sequence[PointerMove]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Rebase:
    """Make `pointers` the start of an environment, and move those pointers that it had not changed itself."""

    environment: str
    started: Mapping[str, str]
    moves: Sequence[PointerMove]


@dataclass(frozen=True, slots=True)
class Release:
    """Release held nodes of an environment. Value: the names that were held."""

    environment: str
    nodes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Exclude:
    """Leave batches of a source out of an environment (or take them in again with `include`)."""

    environment: str
    node: str
    batches: frozenset[str]
    include: bool = False


@dataclass(frozen=True, slots=True)
class TakeLease:
    """Take the lease of a node. Value: the new lease, or, when another owner has it, that owner's lease unchanged.

    `from_dead` names an owner found dead by the caller: a lease that it holds is taken over with a higher fence.
    """

    environment: str
    node: str
    owner: str
    run: str
    from_dead: str | None = None


@dataclass(frozen=True, slots=True)
class DropLease:
    """Give a lease back; a lease that is no longer held is left alone."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Collect:
    """Mark versions as collected: their data may be removed, their record stays."""

    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Relocate:
    """Record that the outputs of a live version lie elsewhere now, the same rows. Value: whether that was recorded.

    `expected` is where they lay; nothing is recorded where the version has other outputs, or is not live. The places
    that are left are kept among the facts of the version (`moved`), with the time.
    """

    key: str
    outputs: Mapping[str, Ref]
    expected: Mapping[str, Ref]


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Leave a durable message. Value: the signal with its id."""

    kind: str
    subject: str
    body: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsumeSignal:
    """Take a message. Value: True for exactly one caller, False for every other."""

    id: int


Item: TypeAlias = (
    StartRun
    | EndRun
    | StartAttempt
    | EndAttempt
    | AddVersion
    | AddDecision
    | CreateEnvironment
    | MovePointers
    | Promote
    | Rebase
    | Release
    | Exclude
    | TakeLease
    | DropLease
    | Collect
    | Relocate
    | SendSignal
    | ConsumeSignal
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item: its value, or the error that refused it."""

    value: Any = None
    error: HeadraceError | None = None

    def get(self) -> Any:  # noqa: ANN401 - each kind of item documents the type of its value
        """The value; raises the error of a refused item."""
        if self.error is not None:
            raise self.error
        return self.value


class Ledger(Protocol):
    """The durable record. Every method may be called from any thread."""

    def write(self, *items: Item) -> list[Answer]:
        """Write items in order, durably; one answer for each."""

    def version(self, key: str) -> Version | None:
        """The version of this key, live or collected."""

    def live(self, keys: Sequence[str]) -> Mapping[str, Version]:
        """Those of the keys that have a live (not collected) version."""

    def versions(self, node: str | None = None, *, collected: bool = False) -> Sequence[Version]:
        """Versions of one node, or of all, oldest first; collected ones only when asked for."""

    def newest_versions(self, node: str, limit: int) -> Sequence[Version]:
        """The newest live versions of a node, at most so many, oldest first."""

    def pieces(self, digests: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of these pieces of versions that it holds (see `headrace.ports.pieces`)."""

    def decisions(self, candidates: Sequence[str]) -> Sequence[Decision]:
        """Every decision about these candidates, oldest first."""

    def snapshot(self, environment: str) -> Snapshot:
        """An environment as it is now, read in one transaction; `exists` is false when there is none of this name."""

    def environments(self) -> Sequence[str]:
        """The names of all environments, sorted."""

    def history(self, environment: str, node: str | None = None) -> Sequence[PointerChange]:
        """Every pointer move of an environment, oldest first. Moves of one transaction share their entry number."""

    def runs(self, environment: str | None = None, *, state: RunState | None = None, limit: int = 50) -> Sequence[Run]:
        """The latest runs, newest first; of one environment and in one state where asked for."""

    def run(self, run: str) -> Run | None:
        """One run, by its id or by an unambiguous beginning of it."""

    def attempts(self, run: str) -> Sequence[Attempt]:
        """The attempts of one run, oldest first."""

    def entries(self, after: int, limit: int = 500) -> Sequence[Entry]:
        """What was written after the entry of this number, oldest first, at most so many. What came in all is in it."""

    def newest_entry(self) -> int:
        """The number of the newest entry; 0 where there is none."""

    def leases(self, environment: str | None = None) -> Sequence[Lease]:
        """The leases that are held now."""

    def signals(self, kind: str, subject: str) -> Sequence[Signal]:
        """Messages that nobody has consumed yet, oldest first."""

    def change_counter(self) -> int:
        """A number that differs after any write of any process: cheap to ask, for those who wait."""

    def verify(self) -> int:
        """Check the hash chain and that the state follows from it; answers the number of entries (HR605, HR606)."""

    def backup(self, target: Path) -> None:
        """Write a consistent copy into a new file while others go on writing; any kind of database can restore it."""

    def close(self) -> None:
        """Let go of the database."""


class Connection(Protocol):
    """One open transaction of a database, in the words that the ledger needs."""

    def run(self, statement: str, values: Mapping[str, object] | None = None) -> int:
        """Execute one named-parameter statement (`:name`); answers the number of rows it touched."""

    def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Execute a query and fetch all of it."""

    def stream(self, statement: str, values: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        """Execute a query and fetch it piece by piece, for results that may be too large for memory."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A nested transaction: an exception inside undoes what was done inside, and goes on."""


class Database(Protocol):
    """A database that can hold a ledger: one short exclusive write at a time, consistent reads at any time."""

    dialect: str  # names the folder of SQL files where a statement differs between databases

    def writing(self) -> AbstractContextManager[Connection]:
        """An exclusive transaction; durable when the block ends. Waits for its turn; never answers "locked"."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A consistent read-only transaction."""

    def change_counter(self) -> int:
        """See `Ledger.change_counter`."""

    def close(self) -> None:
        """Close every connection."""

"""Whatever is written in whatever order: pointers, holds, versions and leases are those of a simple model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import (
    AddVersion,
    Collect,
    CreateEnvironment,
    DropLease,
    EndRun,
    MovePointers,
    Promote,
    Release,
    StartRun,
    TakeLease,
)
from headrace.ports.records import Lease, PointerMove, RunState
from headrace.testing.ledgers import run_of, version_of

if TYPE_CHECKING:
    from headrace.ports.ledger import Answer
    from headrace.ports.records import Version

ENVIRONMENTS = st.sampled_from(["prod", "dev", "nowhere"])
NODES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from([None, "k1", "k2"])
MOVES = st.lists(st.builds(PointerMove, NODES, KEYS, KEYS), max_size=3, unique_by=lambda move: move.node)
RUNS = st.sampled_from(["r1", "r2", "r3"])


@dataclass
class Place:
    """An environment of the model."""

    pointers: dict[str, str] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    changes: int = 0


def put(pointers: dict[str, str], node: str, key: str | None) -> None:
    if key is None:
        pointers.pop(node, None)
    else:
        pointers[node] = key


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-model-")
        self.path = Path(self._folder.name) / "ledger.db"
        self.ledger = SqlLedger(SqliteDatabase(self.path), SimulatedClock())
        self.places: dict[str, Place] = {}
        self.versions: dict[str, tuple[Version, bool]] = {}
        self.leases: dict[str, Lease] = {}
        self.fences: dict[str, int] = {}
        self.known: list[Lease] = []

    @initialize()
    def begin(self) -> None:
        self.ledger.write(CreateEnvironment("prod"), *(StartRun(run_of(run)) for run in ("r1", "r2", "r3")))
        self.places["prod"] = Place()

    def teardown(self) -> None:
        self.ledger.verify()
        self.ledger.close()
        self._folder.cleanup()

    def refusal(self, environment: str, moves: list[PointerMove], *, force: bool) -> str | None:
        """The code with which a move must be refused."""
        place = self.places.get(environment)
        if place is None:
            return "HR609"
        real = [move for move in moves if place.pointers.get(move.node) != move.key]
        if any(place.pointers.get(move.node) != move.expected for move in real):
            return "HR602"
        if not force and any(move.node in place.held for move in real):
            return "HR604"
        return None

    def moved(self, environment: str, moves: list[PointerMove], answer: Answer, code: str | None) -> bool:
        """Compare an answer with what must be refused; bring the model's pointers up to date."""
        assert (answer.error and answer.error.code) == code
        if code is not None:
            return False
        place = self.places[environment]
        real = {move.node for move in moves if place.pointers.get(move.node) != move.key}
        assert set(answer.get()) == real
        place.changes += len(real)
        for move in moves:
            put(place.pointers, move.node, move.key)
        return True

    @rule(environment=ENVIRONMENTS, moves=MOVES, force=st.booleans(), hold=st.sampled_from([None, None, "why"]))
    def move(self, environment: str, moves: list[PointerMove], force: bool, hold: str | None) -> None:
        code = self.refusal(environment, moves, force=force)
        [answer] = self.ledger.write(MovePointers(environment, moves, "why", force=force, hold=hold))
        if self.moved(environment, moves, answer, code) and hold is not None:
            self.places[environment].held |= {move.node for move in moves}

    @rule(moves=MOVES, to=ENVIRONMENTS, source=ENVIRONMENTS)
    def promote(self, moves: list[PointerMove], source: str, to: str) -> None:
        code = "HR609" if source not in self.places else self.refusal(to, moves, force=False)
        [answer] = self.ledger.write(Promote(source, to, moves))
        if self.moved(to, moves, answer, code):
            for move in moves:
                put(self.places[source].started, move.node, move.key)

    @precondition(lambda self: "dev" not in self.places)
    @rule()
    def branch(self) -> None:
        assert self.ledger.write(CreateEnvironment("dev", "prod"))[0].get() is True
        base = self.places["prod"]
        self.places["dev"] = Place(dict(base.pointers), dict(base.pointers), set(base.held))

    @rule(nodes=st.sets(NODES), environment=st.sampled_from(["prod"]))
    def release(self, environment: str, nodes: set[str]) -> None:
        place = self.places[environment]
        assert set(self.ledger.write(Release(environment, sorted(nodes)))[0].get()) == place.held & nodes
        place.held -= nodes

    @rule(number=st.integers(1, 3), seconds=st.floats(0, 9))
    def add_version(self, number: int, seconds: float) -> None:
        version = version_of(number, seconds=seconds)
        stored, live = self.versions.get(version.key, (version, False))
        if not live:
            stored = version
        assert self.ledger.write(AddVersion(version))[0].get() == stored
        self.versions[version.key] = (stored, True)

    @rule(keys=st.sets(st.sampled_from(["table-1", "table-2", "table-9"])))
    def collect(self, keys: set[str]) -> None:
        live = {key for key in keys if self.versions.get(key, (None, False))[1]}
        assert set(self.ledger.write(Collect(sorted(keys)))[0].get()) == live
        self.versions |= {key: (self.versions[key][0], False) for key in live}

    @rule(node=NODES, run=RUNS, dead=RUNS | st.none())
    def take_lease(self, node: str, run: str, dead: str | None) -> None:
        held = self.leases.get(node)
        from_dead = dead and f"owner of {dead}"
        lease = self.ledger.write(TakeLease("prod", node, f"owner of {run}", run, from_dead))[0].get()
        if held is not None and held.owner != from_dead:
            assert lease == held
            return
        assert (lease.run, lease.fence) == (run, self.fences.get(node, 0) + 1)
        self.fences[node] = lease.fence
        self.leases[node] = lease
        self.known.append(lease)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def drop_lease(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.known))
        held = self.leases.get(lease.node) == lease
        assert self.ledger.write(DropLease(lease))[0].get() is held
        if held:
            del self.leases[lease.node]

    @precondition(lambda self: self.known)
    @rule(data=st.data(), moves=MOVES)
    def move_with_a_lease(self, data: st.DataObject, moves: list[PointerMove]) -> None:
        lease = data.draw(st.sampled_from(self.known))
        code = self.refusal("prod", moves, force=True) if self.leases.get(lease.node) == lease else "HR603"
        [answer] = self.ledger.write(MovePointers("prod", moves, "why", leases=[lease], force=True))
        self.moved("prod", moves, answer, code)

    @rule(run=RUNS)
    def end_run(self, run: str) -> None:
        before = self.ledger.run(run)
        assert before is not None
        self.ledger.write(EndRun(run, RunState.CRASHED))
        if before.state is RunState.RUNNING:
            self.leases = {node: lease for node, lease in self.leases.items() if lease.run != run}

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = SqlLedger(SqliteDatabase(self.path), SimulatedClock())

    @invariant()
    def agrees(self) -> None:
        for name, place in self.places.items():
            snapshot = self.ledger.snapshot(name)
            assert (snapshot.pointers, snapshot.started) == (place.pointers, place.started)
            assert set(snapshot.holds) == place.held
            assert len(self.ledger.history(name)) == place.changes
        assert {lease.node: lease for lease in self.ledger.leases()} == self.leases
        live = {key: version for key, (version, live) in self.versions.items() if live}
        assert self.ledger.live(["table-1", "table-2", "table-3"]) == live
        assert {version.key: version for version in self.ledger.versions(collected=True)} == {
            key: version for key, (version, _) in self.versions.items()
        }


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLedgerAgreesWithTheModel = LedgerMachine.TestCase

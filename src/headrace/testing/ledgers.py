"""A conformance suite for ledgers: whoever writes a database for one derives a class, opens it, and runs pytest.

    class TestMyLedger(LedgerSuite):
        def open_ledger(self, folder):
            return SqlLedger(MyDatabase(folder / "ledger"), SystemClock())

`open_ledger` is called with the same folder for a second handle on the same ledger. A database that needs no folder
uses its name to tell one test from another.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from threading import Barrier, Thread
from typing import TYPE_CHECKING

from headrace.ports.ledger import (
    AddDecision,
    AddVersion,
    Collect,
    ConsumeSignal,
    DropLease,
    EndAttempt,
    EndRun,
    Relocate,
    SendSignal,
    StartAttempt,
    StartRun,
    TakeLease,
)
from headrace.ports.records import (
    Attempt,
    AttemptState,
    Decision,
    Manifest,
    Outcome,
    Ref,
    Run,
    RunState,
    Version,
)
from headrace.testing.expectations import expect, expect_code, expect_coded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Lease

AT = "2026-01-01T00:00:00.000000+00:00"


def version_of(number: int, node: str = "table", **changes: object) -> Version:
    """A version with every field filled in; its key ends in the number."""
    key = f"{node}-{number}"
    manifest = Manifest(
        key, {"rows": Ref("table", f"{node}/{number}", "d" * 64, number)}, {"rows": number, "text": "é ☂ \\u0000 '\""}
    )
    version = Version(
        key=key,
        node=node,
        kind="table",
        fingerprint="f" * 64,
        inputs=(("source", "s-1"), ("other", "o-1")),
        manifest=manifest,
        parts={"body": "b" * 64},
        batches={"2026-01": "digest"},
        generation=1,
        run="run",
        made_at=AT,
        seconds=0.25,
    )
    return replace(version, **changes)  # type: ignore[arg-type]


def decision_of(number: int, candidate: str, *, passed: bool = True) -> Decision:
    """A decision about a candidate."""
    outcomes = (Outcome("roc_auc >= 0.65", passed, "0.7"),)
    return Decision(f"decision-{number}", "model", candidate, None, passed, outcomes, {"rows": 10}, "run", AT)


def run_of(name: str, environment: str = "prod") -> Run:
    """A run that has just begun."""
    return Run(name, environment, f"owner of {name}", RunState.RUNNING, AT, None, {})


def attempt_of(run: str, node: str, number: int = 1, state: AttemptState = AttemptState.RUNNING) -> Attempt:
    """An attempt at a node."""
    return Attempt(run, node, f"{node}-{number}", number, state, AT)


class LedgerTests:
    """Opens ledgers and closes them after each test."""

    def open_ledger(self, folder: Path) -> Ledger:
        """A ledger in the folder. To be written by the derived class."""
        raise NotImplementedError

    def setup_method(self) -> None:
        """Pytest calls this before each test."""
        self._opened = ExitStack()

    def teardown_method(self) -> None:
        """Pytest calls this after each test."""
        self._opened.close()

    def ledger(self, folder: Path) -> Ledger:
        """A ledger that is closed when the test is over."""
        ledger = self.open_ledger(folder)
        self._opened.callback(ledger.close)
        return ledger

    def lease(self, ledger: Ledger, run: str, node: str = "table", from_dead: str | None = None) -> Lease:
        """Take a lease of a node in prod for a run."""
        lease: Lease = ledger.write(TakeLease("prod", node, f"owner of {run}", run, from_dead))[0].get()
        return lease


class LedgerSuite(LedgerTests):
    """Versions, decisions, runs, leases, signals, the chain. See `EnvironmentSuite` for the rest."""

    def test_what_was_written_can_be_followed(self, tmp_path: Path) -> None:
        """From any entry on, in parts."""
        ledger = self.ledger(tmp_path)
        expect(ledger.newest_entry() == 0 and not ledger.entries(0), "a new ledger is empty")
        ledger.write(AddVersion(version_of(1)), SendSignal("kind", "subject", {"text": "é"}), AddVersion(version_of(1)))
        first, second = ledger.entries(0)
        expect((first.number, first.kind, first.body["key"]) == (1, "version", "table-1"), "the first entry is told")
        expect((second.number, second.kind, second.body["body"]) == (2, "signal", {"text": "é"}), "so is the second")
        expect(ledger.newest_entry() == second.number, "a version that is there already is no entry")
        expect(list(ledger.entries(0, limit=1)) == [first] and list(ledger.entries(1)) == [second], "in parts too")
        expect(not ledger.entries(second.number), "and nothing comes after the newest")

    def test_nothing_to_write_is_nothing(self, tmp_path: Path) -> None:
        """No items, no entry."""
        ledger = self.ledger(tmp_path)
        expect(ledger.write() == [], "no answers")
        expect(ledger.verify() == 0, "no entries")

    def test_versions_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        """Every field, through a second handle too."""
        ledger = self.ledger(tmp_path)
        version = version_of(1)
        expect(ledger.write(AddVersion(version))[0].get() == version, "the answer is the version")
        other = self.ledger(tmp_path)
        expect(other.version(version.key) == version, "another handle sees it")
        expect(other.version("unknown") is None, "an unknown key has none")
        expect(other.live([version.key, "unknown"]) == {version.key: version}, "it is live")
        expect(other.live([]) == {}, "no keys, no versions")

    def test_the_first_version_of_a_key_wins(self, tmp_path: Path) -> None:
        """A second one is no error and changes nothing."""
        ledger = self.ledger(tmp_path)
        first, second = version_of(1), version_of(1, seconds=9.0)
        ledger.write(AddVersion(first))
        expect(ledger.write(AddVersion(second))[0].get() == first, "the answer is the first")
        expect(ledger.verify() == 1, "the second left no entry")

    def test_versions_are_listed_oldest_first(self, tmp_path: Path) -> None:
        """Of a node or of all; collected ones when asked for."""
        ledger = self.ledger(tmp_path)
        made = [version_of(3), version_of(1, "other"), version_of(2)]
        ledger.write(*map(AddVersion, made))
        ledger.write(Collect([made[0].key]))
        expect(ledger.versions() == made[1:], "live ones")
        expect(ledger.versions(collected=True) == made, "all of them")
        expect(ledger.versions("table") == [made[2]], "of a node")
        expect(ledger.versions("table", collected=True) == [made[0], made[2]], "of a node, all of them")
        expect(ledger.newest_versions("table", 5) == [made[2]], "the newest of a node")
        ledger.write(AddVersion(version_of(4)))
        expect(ledger.newest_versions("table", 1) == [version_of(4)], "no more of them than asked for")

    def test_a_version_is_relocated_where_it_is_expected(self, tmp_path: Path) -> None:
        """It keeps its key; its outputs lie elsewhere, and where they lay is known."""
        ledger = self.ledger(tmp_path)
        version = version_of(1)
        old, new = {"rows": Ref("table", "t/a", "d", 70)}, {"rows": Ref("table", "t/b", "e")}
        version = replace(version, manifest=replace(version.manifest, outputs=old))
        ledger.write(AddVersion(version), AddVersion(version_of(2)))
        [wrong, right, again] = ledger.write(
            Relocate(version.key, old, new), Relocate(version.key, new, old), Relocate(version.key, new, old)
        )
        expect([each.get() for each in (wrong, right, again)] == [False, True, False], "once, from where it was")
        moved = ledger.version(version.key)
        expect(moved is not None and dict(moved.manifest.outputs) == new, "the outputs lie elsewhere")
        expect(moved is not None and list(moved.manifest.facts["moved"]["from"]) == ["rows"], "where they lay is known")
        expect(ledger.live([version.key])[version.key] == moved, "everybody sees that")
        ledger.write(Collect([version.key]))
        expect(not ledger.write(Relocate(version.key, old, new))[0].get(), "what is collected is not relocated")
        ledger.verify()

    def test_a_collected_version_stays_known_and_can_be_made_again(self, tmp_path: Path) -> None:
        """Its record stays; adding its key again brings the new one to life."""
        ledger = self.ledger(tmp_path)
        first, again = version_of(1), version_of(1, seconds=9.0)
        ledger.write(AddVersion(first))
        expect(ledger.write(Collect([first.key, "unknown"]))[0].get() == (first.key,), "one was live")
        expect(ledger.version(first.key) == first, "it stays known")
        expect(ledger.live([first.key]) == {}, "it is not live")
        expect(ledger.write(AddVersion(again))[0].get() == again, "the new one counts")
        expect(ledger.live([first.key]) == {first.key: again}, "it is live")
        expect(ledger.verify() == 3, "three entries")  # noqa: PLR2004 - see above

    def test_decisions(self, tmp_path: Path) -> None:
        """The first of a key wins; asked for by candidate."""
        ledger = self.ledger(tmp_path)
        first = decision_of(1, "a")
        second = decision_of(2, "a", passed=False)
        ledger.write(AddDecision(first), AddDecision(second), AddDecision(decision_of(3, "b")))
        expect(ledger.write(AddDecision(decision_of(1, "a", passed=False)))[0].get() == first, "the first wins")
        expect(ledger.decisions(["a"]) == [first, second], "oldest first")
        expect(len(ledger.decisions(["b", "a"])) == 3, "of several candidates")  # noqa: PLR2004 - see above
        expect(ledger.decisions([]) == [], "of none")

    def test_what_is_no_json_is_refused_alone(self, tmp_path: Path) -> None:
        """The items beside it are written."""
        ledger = self.ledger(tmp_path)
        bad = version_of(1, parts={"body": object()})
        answers = ledger.write(AddVersion(version_of(2)), AddVersion(bad), AddVersion(version_of(3)))
        expect_code(answers[1], "HR601")
        expect([version.key for version in ledger.versions()] == ["table-2", "table-3"], "the others are there")
        expect(ledger.version(bad.key) is None, "the bad one is not")
        expect(ledger.verify() == 2, "two entries")  # noqa: PLR2004 - see above

    def test_a_lease_has_one_holder(self, tmp_path: Path) -> None:
        """Others get the holder's lease as the answer, the holder its own."""
        ledger = self.ledger(tmp_path)
        mine = self.lease(ledger, "r1")
        expect((mine.run, mine.owner, mine.fence) == ("r1", "owner of r1", 1), "the first has it")
        expect(self.lease(ledger, "r1") == mine, "taking it again changes nothing")
        expect(self.lease(ledger, "r2") == mine, "the second does not get it")
        expect(self.lease(ledger, "r2", "other").run == "r2", "another node is free")
        expect([lease.node for lease in ledger.leases("prod")] == ["other", "table"], "both are held")
        expect(ledger.leases("dev") == [], "none in another environment")
        expect(len(ledger.leases()) == 2, "in all environments")  # noqa: PLR2004 - both

    def test_fences_grow_for_ever(self, tmp_path: Path) -> None:
        """A lease that was given back, or taken from the dead, comes with a higher fence."""
        ledger = self.ledger(tmp_path)
        first = self.lease(ledger, "r1")
        expect(ledger.write(DropLease(first))[0].get() is True, "it was held")
        expect(ledger.write(DropLease(first))[0].get() is False, "it was not held any more")
        second = self.lease(ledger, "r2")
        expect(second.fence == first.fence + 1, "one higher")
        ledger.write(DropLease(first))
        expect(ledger.leases() == [second], "an old lease cannot drop a new one")
        expect(self.lease(ledger, "r3", from_dead="somebody") == second, "the holder is not the dead one")
        third = self.lease(ledger, "r3", from_dead=second.owner)
        expect((third.run, third.fence) == ("r3", second.fence + 1), "taken from the dead")

    def test_a_stale_fence_cannot_add_a_version(self, tmp_path: Path) -> None:
        """HR603, and nothing of the item is written."""
        ledger = self.ledger(tmp_path)
        stale = self.lease(ledger, "r1")
        fresh = self.lease(ledger, "r2", from_dead=stale.owner)
        answers = ledger.write(AddVersion(version_of(1), stale), AddVersion(version_of(2), fresh))
        expect_code(answers[0], "HR603")
        expect([version.key for version in ledger.versions()] == ["table-2"], "the fresh one is")
        ledger.write(DropLease(fresh))
        expect_code(ledger.write(AddVersion(version_of(3), fresh))[0], "HR603")

    def test_a_run_from_its_start_to_its_end(self, tmp_path: Path) -> None:
        """The first end wins."""
        ledger = self.ledger(tmp_path)
        expect(ledger.write(StartRun(run_of("r1")))[0].get() == run_of("r1"), "it runs")
        expect(ledger.run("r1") == run_of("r1"), "it is found")
        ended = ledger.write(EndRun("r1", RunState.DONE, {"made": ["table"]}))[0].get()
        expect((ended.state, ended.summary) == (RunState.DONE, {"made": ["table"]}), "how it ended")
        expect(ended.ended_at is not None, "when it ended")
        expect(ledger.write(EndRun("r1", RunState.CRASHED))[0].get() == ended, "the first end wins")
        expect(ledger.run("r1") == ended, "and stays")
        expect_code(ledger.write(EndRun("r9", RunState.DONE))[0], "HR610")

    def test_the_end_of_a_run_ends_what_it_held(self, tmp_path: Path) -> None:
        """Its leases go back, its running attempts end like it."""
        ledger = self.ledger(tmp_path)
        ledger.write(StartRun(run_of("r1")), StartRun(run_of("r2")))
        self.lease(ledger, "r1")
        kept = self.lease(ledger, "r2", "other")
        done = attempt_of("r1", "a", 1, AttemptState.DONE)
        ledger.write(*map(StartAttempt, [done, attempt_of("r1", "b"), attempt_of("r2", "c")]))
        ledger.write(EndRun("r1", RunState.CRASHED))
        expect(ledger.leases() == [kept], "the leases of others stay")
        states = [attempt.state for attempt in ledger.attempts("r1")]
        expect(states == [AttemptState.DONE, AttemptState.CRASHED], "what ran has crashed")
        expect(ledger.attempts("r1")[1].ended_at is not None, "then")
        expect(ledger.attempts("r2")[0].state is AttemptState.RUNNING, "the attempts of others run on")
        ledger.write(EndRun("r2", RunState.CANCELLED))
        expect(ledger.attempts("r2")[0].state is AttemptState.CANCELLED, "cancelled")

    def test_runs_are_found(self, tmp_path: Path) -> None:
        """Newest first; by environment, state, beginning of the id."""
        ledger = self.ledger(tmp_path)
        ledger.write(*(StartRun(run_of(name, environment)) for name, environment in _RUNS))
        ledger.write(EndRun("ab2", RunState.FAILED))
        names = [run.id for run in ledger.runs()]
        expect(names == ["b1", "ab2", "ab1"], "newest first")
        expect([run.id for run in ledger.runs(limit=1)] == ["b1"], "not more than asked for")
        expect([run.id for run in ledger.runs("dev")] == ["ab2"], "of an environment")
        expect([run.id for run in ledger.runs(state=RunState.RUNNING)] == ["b1", "ab1"], "in a state")
        expect([run.id for run in ledger.runs("prod", state=RunState.FAILED)] == [], "both")
        found = [ledger.run(name) for name in ("b", "ab1", "x", "B")]
        expect([run and run.id for run in found] == ["b1", "ab1", None, None], "by the beginning of the id")
        expect_coded(lambda: ledger.run("ab"), "an ambiguous beginning is refused")

    def test_attempts(self, tmp_path: Path) -> None:
        """They end once; a number that is used again does not write over what ended."""
        ledger = self.ledger(tmp_path)
        first = attempt_of("r1", "a")
        ledger.write(StartAttempt(first))
        expect(ledger.attempts("r1") == [first], "it runs")
        ledger.write(EndAttempt(first, AttemptState.FAILED, {"code": "HR101"}))
        ledger.write(EndAttempt(first, AttemptState.DONE))
        [ended] = ledger.attempts("r1")
        expect((ended.state, ended.error) == (AttemptState.FAILED, {"code": "HR101"}), "the first end wins")
        ledger.write(StartAttempt(attempt_of("r1", "a", 1, AttemptState.CRASHED)))
        states = [attempt.state for attempt in ledger.attempts("r1")]
        expect(states == [AttemptState.FAILED, AttemptState.CRASHED], "both are kept")
        ledger.write(EndAttempt(attempt_of("r2", "a"), AttemptState.DONE))
        expect(ledger.attempts("r2")[0].state is AttemptState.DONE, "an end without a start")

    def test_a_signal_is_taken_once(self, tmp_path: Path) -> None:
        """Oldest first, by kind and subject."""
        ledger = self.ledger(tmp_path)
        sent = [ledger.write(SendSignal("cancel", "r1", {"by": name}))[0].get() for name in ("ann", "bob")]
        ledger.write(SendSignal("cancel", "r2"))
        expect(ledger.signals("cancel", "r1") == sent, "those of a subject, oldest first")
        expect(ledger.signals("refresh", "r1") == [], "none of another kind")
        taken = ledger.write(ConsumeSignal(sent[0].id), ConsumeSignal(sent[0].id), ConsumeSignal(12345))
        expect([answer.get() for answer in taken] == [True, False, False], "once, and only what is there")
        expect(ledger.signals("cancel", "r1") == sent[1:], "it is gone")
        expect(ledger.verify() == 4, "three sent, one taken")  # noqa: PLR2004 - see above

    def test_threads_write_at_once(self, tmp_path: Path) -> None:
        """Each gets its own answers; the chain stays whole."""
        ledger = self.ledger(tmp_path)
        threads, rounds = 8, 10
        self._at_once(threads, lambda number: self._write_many(ledger, number, rounds))
        expect(len(ledger.versions()) == threads * rounds, "all are there")
        expect(ledger.verify() == threads * rounds, "the chain is whole")

    def test_handles_write_at_once(self, tmp_path: Path) -> None:
        """As threads do, each with a connection of its own."""
        ledgers = [self.ledger(tmp_path) for _ in range(4)]
        self._at_once(4, lambda number: self._write_many(ledgers[number], number, 10))
        expect(ledgers[0].verify() == 40, "the chain is whole")  # noqa: PLR2004 - 4 times 10

    def test_the_change_counter_tells_of_every_write(self, tmp_path: Path) -> None:
        """Of this handle and of others, and stands still in between."""
        ledger, other = self.ledger(tmp_path), self.ledger(tmp_path)
        seen = [ledger.change_counter()]
        for writer in (ledger, other, ledger, other):
            writer.write(SendSignal("refresh", "prod"))
            seen.append(ledger.change_counter())
        expect(len(set(seen)) == len(seen), "each write is seen")
        expect(ledger.change_counter() == seen[-1], "no write, no change")

    def test_a_backup_is_a_new_file(self, tmp_path: Path) -> None:
        """Never written over another one."""
        ledger = self.ledger(tmp_path)
        ledger.write(AddVersion(version_of(1)))
        ledger.backup(tmp_path / "backup")
        expect((tmp_path / "backup").stat().st_size > 0, "it is there")
        expect_coded(lambda: ledger.backup(tmp_path / "backup"), "it is not written over")

    def _write_many(self, ledger: Ledger, thread: int, rounds: int) -> None:
        for number in range(rounds):
            version = version_of(number, f"node{thread}")
            expect(ledger.write(AddVersion(version))[0].get() == version, "its own answer")

    def _at_once(self, threads: int, act: Callable[[int], None]) -> None:
        barrier = Barrier(threads)
        errors: list[BaseException] = []

        def work(number: int) -> None:
            barrier.wait()
            try:
                act(number)
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                errors.append(error)

        workers = [Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]


_RUNS = (("ab1", "prod"), ("ab2", "dev"), ("b1", "prod"))

"""The part of a ledger's conformance suite that is about environments: pointers, holds, exclusions, promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.ports.ledger import (
    CreateEnvironment,
    DropLease,
    Exclude,
    MovePointers,
    Promote,
    Rebase,
    Release,
)
from headrace.ports.records import PointerMove
from headrace.testing.expectations import expect, expect_code
from headrace.testing.ledgers import LedgerTests

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.ledger import Ledger


def move(environment: str, *moves: tuple[str, str | None, str | None], reason: str = "apply") -> MovePointers:
    """An item that moves pointers: (node, expected, key) each."""
    return MovePointers(environment, [PointerMove(*each) for each in moves], reason, run="r1")


class EnvironmentSuite(LedgerTests):
    """Derive from this and from `LedgerSuite`, and write `open_ledger` once."""

    def prepared(self, folder: Path) -> Ledger:
        """A ledger with an environment `prod` in which a points to a1 and b to b1."""
        ledger = self.ledger(folder)
        ledger.write(CreateEnvironment("prod"), move("prod", ("a", None, "a1"), ("b", None, "b1")))
        return ledger

    def test_an_environment_is_created_once(self, tmp_path: Path) -> None:
        """And is known from then on."""
        ledger = self.ledger(tmp_path)
        expect(not ledger.snapshot("prod").exists, "there is none")
        answers = ledger.write(*map(CreateEnvironment, ("prod", "dev", "prod")))
        expect([answer.get() for answer in answers] == [True, True, False], "the third is there already")
        expect(ledger.environments() == ["dev", "prod"], "sorted")
        snapshot = ledger.snapshot("prod")
        expect(snapshot.exists and snapshot.pointers == {} and snapshot.base is None, "empty")

    def test_unknown_environments_are_refused(self, tmp_path: Path) -> None:
        """With HR609, by every item that needs one."""
        ledger = self.prepared(tmp_path)
        items = (
            move("prd", ("a", None, "a1")),
            Promote("prd", "prod", []),
            Promote("prod", "prd", []),
            Rebase("prd", {}, []),
            Release("prd", ["a"]),
            Exclude("prd", "a", frozenset({"x"})),
            CreateEnvironment("dev", "prd"),
        )
        for answer in ledger.write(*items):
            expect_code(answer, "HR609")
        expect(answer.error is not None and "prod" in answer.error.fix, "what was meant is named")
        expect(ledger.environments() == ["prod"], "nothing was made")

    def test_pointers_move_together_or_not_at_all(self, tmp_path: Path) -> None:
        """By compare-and-set."""
        ledger = self.prepared(tmp_path)
        expect(ledger.snapshot("prod").pointers == {"a": "a1", "b": "b1"}, "both moved")
        [refused] = ledger.write(move("prod", ("a", "a1", "a2"), ("b", "b0", "b2"), ("c", None, "c1")))
        expect_code(refused, "HR602")
        expect(ledger.snapshot("prod").pointers == {"a": "a1", "b": "b1"}, "none moved")
        expect_code(ledger.write(move("prod", ("a", None, "a2")))[0], "HR602")
        moved = ledger.write(move("prod", ("a", "a1", "a2"), ("b", "b1", None), ("c", None, "c1")))[0].get()
        expect(moved == ("a", "b", "c"), "the answer names what moved")
        expect(ledger.snapshot("prod").pointers == {"a": "a2", "c": "c1"}, "a key of None removes the pointer")

    def test_a_pointer_that_is_at_its_goal_is_left(self, tmp_path: Path) -> None:
        """Whatever was expected; no entry is written for it."""
        ledger = self.prepared(tmp_path)
        entries = ledger.verify()
        expect(ledger.write(move("prod", ("a", "a0", "a1"), ("c", "c0", None)))[0].get() == (), "nothing moved")
        expect(ledger.verify() == entries, "no entry")
        ledger.write(move("prod", ("a", "a0", "a1"), ("b", "b1", "b2")))
        expect([change.node for change in ledger.history("prod")] == ["a", "b", "b"], "real changes only")

    def test_the_history_is_kept(self, tmp_path: Path) -> None:
        """Oldest first; moves of one transaction share their entry."""
        ledger = self.prepared(tmp_path)
        ledger.write(move("prod", ("b", "b1", None), reason="removed"))
        history = ledger.history("prod")
        seen = [(change.node, change.previous, change.key, change.reason, change.run) for change in history]
        first = [("a", None, "a1", "apply", "r1"), ("b", None, "b1", "apply", "r1")]
        expect(seen == [*first, ("b", "b1", None, "removed", "r1")], "all of it")
        expect(history[0].entry == history[1].entry < history[2].entry, "entries tell waves apart")
        expect(ledger.history("prod", "b") == history[1:], "of one node")
        expect(ledger.history("dev") == [], "of another environment")

    def test_a_branch_starts_with_all_of_its_base(self, tmp_path: Path) -> None:
        """Pointers, holds and exclusions; and goes its own way."""
        ledger = self.prepared(tmp_path)
        ledger.write(
            MovePointers("prod", [PointerMove("b", "b1", "b0")], "bad", force=True, hold="bad b1"),
            Exclude("prod", "a", frozenset({"x", "y"})),
            CreateEnvironment("dev", "prod"),
            move("dev", ("a", "a1", "a2")),
        )
        branch = ledger.snapshot("dev")
        expect(branch.base == "prod", "it knows its base")
        expect(branch.pointers == {"a": "a2", "b": "b0"}, "its pointers move")
        expect(branch.started == {"a": "a1", "b": "b0"}, "it knows where it began")
        expect(branch.holds.keys() == {"b"} and branch.holds["b"].reason == "bad b1", "holds come along")
        expect(branch.excluded == {"a": frozenset({"x", "y"})}, "exclusions come along")
        expect(ledger.snapshot("prod").pointers == {"a": "a1", "b": "b0"}, "the base stays")
        expect([change.node for change in ledger.history("dev")] == ["a"], "its history is its own")

    def test_a_held_node_does_not_move(self, tmp_path: Path) -> None:
        """HR604, until it is released or the move is forced."""
        ledger = self.prepared(tmp_path)
        kept, back = PointerMove("a", "a1", "a1"), PointerMove("b", "b1", "b0")
        ledger.write(MovePointers("prod", [kept, back], "rolled back", force=True, hold="rolled back"))
        expect(set(ledger.snapshot("prod").holds) == {"a", "b"}, "moved and kept ones are held")
        expect_code(ledger.write(move("prod", ("c", None, "c1"), ("a", "a1", "a2")))[0], "HR604")
        expect("c" not in ledger.snapshot("prod").pointers, "nothing moved")
        expect(ledger.write(move("prod", ("a", "a0", "a1")))[0].error is None, "what stays may stay")
        forced = MovePointers("prod", [PointerMove("a", "a1", "a3")], "by hand", force=True)
        expect(ledger.write(forced)[0].get() == ("a",), "force moves it")
        expect(ledger.write(Release("prod", ["a", "c"]))[0].get() == ("a",), "only what was held")
        expect(set(ledger.snapshot("prod").holds) == {"b"}, "the other stays held")
        expect(ledger.write(move("prod", ("a", "a3", "a4")))[0].error is None, "it moves again")

    def test_a_move_needs_its_leases(self, tmp_path: Path) -> None:
        """HR603 when one of them is gone."""
        ledger = self.prepared(tmp_path)
        lease = self.lease(ledger, "r1", "a")
        item = MovePointers("prod", [PointerMove("a", "a1", "a2")], "apply", "r1", [lease])
        ledger.write(DropLease(lease))
        expect_code(ledger.write(item)[0], "HR603")
        lease = self.lease(ledger, "r1", "a")
        moved = ledger.write(MovePointers("prod", item.moves, "apply", "r1", [lease]))[0].get()
        expect(moved == ("a",), "with its lease it moves")

    def test_promotion(self, tmp_path: Path) -> None:
        """Moves the target and gives the source a new start, in one transaction, refused like a move."""
        ledger = self.prepared(tmp_path)
        ledger.write(CreateEnvironment("dev", "prod"), move("dev", ("a", "a1", "a2"), ("b", "b1", None)))
        moves = [PointerMove("a", "a1", "a2"), PointerMove("b", "b1", None)]
        expect_code(ledger.write(Promote("dev", "prod", [*moves, PointerMove("c", "c0", "c1")]))[0], "HR602")
        expect(ledger.snapshot("dev").started == {"a": "a1", "b": "b1"}, "a refusal changes no start")
        expect(ledger.write(Promote("dev", "prod", moves, "r2"))[0].get() == ("a", "b"), "both moved")
        expect(ledger.snapshot("prod").pointers == {"a": "a2"}, "the target has them")
        expect(ledger.snapshot("dev").started == {"a": "a2"}, "the source starts from them")
        change = ledger.history("prod", "a")[-1]
        expect((change.reason, change.run) == ("promoted from dev", "r2"), "the history says so")

    def test_rebase(self, tmp_path: Path) -> None:
        """A new start, and the moves that follow it, together."""
        ledger = self.prepared(tmp_path)
        ledger.write(CreateEnvironment("dev", "prod"), move("dev", ("a", "a1", "a9")), move("prod", ("b", "b1", "b2")))
        start = dict(ledger.snapshot("prod").pointers)
        expect_code(ledger.write(Rebase("dev", start, [PointerMove("b", "b0", "b2")]))[0], "HR602")
        expect(ledger.snapshot("dev").started == {"a": "a1", "b": "b1"}, "a refusal changes no start")
        expect(ledger.write(Rebase("dev", start, [PointerMove("b", "b1", "b2")]))[0].get() == ("b",), "it follows")
        branch = ledger.snapshot("dev")
        expect(branch.pointers == {"a": "a9", "b": "b2"}, "its own change stays")
        expect(branch.started == {"a": "a1", "b": "b2"}, "it starts from its base")
        ledger.write(Rebase("dev", {"b": "b2"}, []))
        expect(ledger.snapshot("dev").started == {"b": "b2"}, "what is no longer in the start goes")

    def test_exclusions(self, tmp_path: Path) -> None:
        """Batches go out and come in again."""
        ledger = self.prepared(tmp_path)
        out = Exclude("prod", "a", frozenset({"x", "y"}))
        expect(ledger.write(out)[0].get() == ("x", "y"), "both are new")
        expect(ledger.write(out)[0].get() == (), "a second time changes nothing")
        expect(ledger.write(Exclude("prod", "a", frozenset({"y", "z"}), include=True))[0].get() == ("y",), "one is in")
        expect(ledger.snapshot("prod").excluded == {"a": frozenset({"x"})}, "one is out")

    def test_the_chain_tells_all_of_it(self, tmp_path: Path) -> None:
        """`verify` agrees after every kind of item."""
        ledger = self.prepared(tmp_path)
        ledger.write(
            CreateEnvironment("dev", "prod"),
            move("dev", ("a", "a1", "a2"), ("b", "b1", None)),
            MovePointers("dev", [PointerMove("a", "a2", "a1")], "back", force=True, hold="bad"),
            Release("dev", ["a"]),
            Exclude("dev", "a", frozenset({"x"})),
            Exclude("dev", "a", frozenset({"x"}), include=True),
            Promote("dev", "prod", [PointerMove("b", "b1", None)]),
            Rebase("dev", {"a": "a1"}, []),
        )
        expect(ledger.verify() == 10, "each of them is an entry")  # noqa: PLR2004 - two before

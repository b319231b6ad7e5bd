"""The conformance suite for online stores: whoever writes an adapter derives the class, gives it a store, runs pytest.

    class TestMyOnlineStore(OnlineStoreSuite):
        def make_store(self, folder):
            return MyOnlineStore(folder)

`make_store` is called with the same folder for a second store of the same content. A store that needs no folder uses
its name to tell one test from another.
"""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.online import LONGEST_KEY, digest_of
from headrace.testing.expectations import expect, expect_coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from headrace.ports.online import Entry, OnlineStore

GENERATION = "a" * 64
OTHER = "b" * 64


def some(count: int, value: bytes = b"v") -> dict[bytes, bytes]:
    """That many entries, with values of different lengths, one of them empty."""
    return {b"key%08d" % number: value * (number % 100) for number in range(count)}


def coded(act: Callable[[], object], code: str) -> None:
    """Fail the test unless the action raises this code."""
    try:
        act()
    except HeadraceError as error:
        expect(error.code == code, f"{code} is raised, not {error.code}")
        return
    raise AssertionError(f"{code} is raised")


class OnlineStoreSuite:
    """What every `OnlineStore` must do."""

    def make_store(self, folder: Path) -> OnlineStore:
        """A store over the folder. To be written by the derived class."""
        raise NotImplementedError

    def test_entries_come_back(self, tmp_path: Path) -> None:
        """By key, all of them, and by another store of the same content."""
        store = self.make_store(tmp_path)
        wanted = {**some(1_000), b"\x00": b"zero", b"\xff" * LONGEST_KEY: bytes(range(256)) * 1_000}
        expect(store.fill(GENERATION, wanted.items()) == len(wanted), "the entries are counted")
        for each in (store, self.make_store(tmp_path)):
            expect(each.get(GENERATION, list(wanted)) == list(wanted.values()), "the values come back, in order")
            expect(each.get(GENERATION, [b"none", b"\x00"]) == [None, b"zero"], "a key without an entry is None")
            expect(each.get(GENERATION, []) == [], "no keys, no values")
            expect(sorted(each.entries(GENERATION)) == sorted(wanted.items()), "all entries come back")
            expect(each.complete(GENERATION), "the generation is complete")
            expect(list(each.generations()) == [GENERATION], "the generation is listed")
            expect(each.size(GENERATION) > len(wanted), "the generation has a size")

    def test_keys_come_in_any_order(self, tmp_path: Path) -> None:
        """Sorted, turned round, and mixed."""
        store = self.make_store(tmp_path)
        wanted = list(some(7_000).items())
        mixed = [*wanted[::2], *wanted[1::2]]
        for generation, entries in (("1", wanted), ("2", wanted[::-1]), ("3", mixed)):
            store.fill(generation, iter(entries))
            expect(store.get(generation, [key for key, _ in wanted]) == [value for _, value in wanted], "all are found")

    def test_a_generation_may_be_empty(self, tmp_path: Path) -> None:
        """It is there, unlike one that is not."""
        store = self.make_store(tmp_path)
        expect(store.fill(GENERATION, ()) == 0, "no entries are counted")
        expect(store.get(GENERATION, [b"key"]) == [None], "nothing is found")
        expect(store.complete(GENERATION), "the generation is complete")
        expect(list(store.entries(GENERATION)) == [], "it has no entries")

    def test_a_store_takes_what_is_larger_than_its_first_guess(self, tmp_path: Path) -> None:
        """Forty megabytes."""
        store = self.make_store(tmp_path)
        wanted = {b"%d" % number: bytes([number]) * 1_000_000 for number in range(40)}
        store.fill(GENERATION, wanted.items())
        expect(store.get(GENERATION, list(wanted)) == list(wanted.values()), "all values come back")
        expect(store.size(GENERATION) > sum(map(len, wanted.values())) // 2, "the size tells it, roughly")

    def test_a_missing_generation_is_a_coded_error(self, tmp_path: Path) -> None:
        """And not an answer of nothing."""
        store = self.make_store(tmp_path)
        expect(not store.complete(GENERATION), "it is not complete")
        expect(list(store.generations()) == [], "it is not listed")
        expect(store.size(GENERATION) == 0, "it has no size")
        coded(lambda: store.get(GENERATION, [b"key"]), "HR470")
        coded(lambda: list(store.entries(GENERATION)), "HR470")
        coded(lambda: store.verify(GENERATION, digest_of(())), "HR470")

    def test_a_complete_generation_is_left_alone(self, tmp_path: Path) -> None:
        """The entries are not even asked for."""
        store = self.make_store(tmp_path)
        store.fill(GENERATION, some(10).items())
        expect(store.fill(GENERATION, _refused()) == len(some(10)), "the entries of the first fill are counted")

    def test_doubled_and_unfit_keys_are_mistakes(self, tmp_path: Path) -> None:
        """And leave nothing that can be read."""
        store = self.make_store(tmp_path)
        for entries in ([(b"k", b"1"), (b"k", b"2")], [(b"", b"1")], [(b"k" * (LONGEST_KEY + 1), b"1")]):
            try:
                store.fill(GENERATION, entries)
            except ValueError:
                expect(not store.complete(GENERATION), "nothing can be read")
            else:
                raise AssertionError("the entries are refused")

    def test_a_fill_that_fails_leaves_nothing_to_read(self, tmp_path: Path) -> None:
        """The next one replaces it."""
        store = self.make_store(tmp_path)
        try:
            store.fill(GENERATION, _broken(6_000))
        except ZeroDivisionError:
            expect(not store.complete(GENERATION), "it is not complete")
        else:
            raise AssertionError("the error comes through")
        expect(list(store.generations()) == [], "it is not listed")
        coded(lambda: store.get(GENERATION, [b"key00000001"]), "HR470")
        expect(store.fill(GENERATION, some(3).items()) == len(some(3)), "it is filled afresh")
        expect(len(list(store.entries(GENERATION))) == len(some(3)), "nothing is left of the first fill")

    def test_what_a_killed_process_left_is_swept(self, tmp_path: Path) -> None:
        """Killed in the middle of a fill."""
        store = self.make_store(tmp_path)
        store.fill(OTHER, some(3).items())
        self._in_a_child(tmp_path, lambda child: child.fill(GENERATION, _deadly(6_000)))
        expect(not store.complete(GENERATION), "it is not complete")
        expect(store.sweep() == 1, "one fill is swept")
        expect(store.sweep() == 0, "and only once")
        expect(list(store.generations()) == [OTHER], "what is complete stays")
        expect(store.fill(GENERATION, some(2).items()) == len(some(2)), "it is filled afresh")

    def test_what_is_dropped_is_gone_and_nothing_else(self, tmp_path: Path) -> None:
        """Dropping it again is no error."""
        store = self.make_store(tmp_path)
        for generation in (GENERATION, OTHER):
            store.fill(generation, some(3).items())
        store.get(GENERATION, [b"key00000001"])
        store.drop(GENERATION)
        store.drop(GENERATION)
        expect(list(store.generations()) == [OTHER], "the other one is listed")
        coded(lambda: store.get(GENERATION, [b"key00000001"]), "HR470")
        store.fill(GENERATION, some(2, b"w").items())
        expect(store.get(GENERATION, [b"key00000001"]) == [b"w"], "a new one is read as it is")

    def test_a_digest_tells_what_was_written(self, tmp_path: Path) -> None:
        """Whatever the order."""
        store = self.make_store(tmp_path)
        wanted = some(100)
        store.fill(GENERATION, reversed(wanted.items()))
        store.verify(GENERATION, digest_of(wanted.items()))
        coded(lambda: store.verify(GENERATION, digest_of(some(99).items())), "HR471")

    def test_readers_see_whole_generations_while_others_are_filled(self, tmp_path: Path) -> None:
        """From several threads and another process."""
        store = self.make_store(tmp_path)
        store.fill("0", [(b"a", b"0"), (b"b", b"0")])
        wrong: list[object] = []
        done = threading.Event()
        readers = [threading.Thread(target=_read, args=(store, done, wrong)) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 6):
                entries = {b"a": b"%d" % number, b"b": b"%d" % number, **some(2_000)}
                self._in_a_child(tmp_path, partial(_fill, number=number, entries=entries))
        finally:
            done.set()
            for reader in readers:
                reader.join()
        expect(not wrong, f"no reader sees anything else: {wrong[:3]}")
        expect(len(store.generations()) == len("012345"), "the other process filled them")

    def test_a_forked_process_reads_on(self, tmp_path: Path) -> None:
        """What its parent had open, what it opens itself, and the parent after it."""
        store = self.make_store(tmp_path)
        store.fill(GENERATION, some(3).items())
        store.fill(OTHER, some(3).items())
        keys = list(some(3))
        store.get(GENERATION, keys)
        child = os.fork()
        if child == 0:
            try:
                right = all(store.get(each, keys) == list(some(3).values()) for each in (GENERATION, OTHER, GENERATION))
                os._exit(0 if right else 1)
            except BaseException:  # noqa: BLE001 - a forked child of pytest must not go on as pytest
                os._exit(2)
        expect(os.waitpid(child, 0)[1] == 0, "the child reads")
        expect(store.get(GENERATION, keys) == list(some(3).values()), "the parent reads on")

    def test_a_closed_store_opens_again(self, tmp_path: Path) -> None:
        """When it is used."""
        store = self.make_store(tmp_path)
        store.fill(GENERATION, some(2).items())
        store.get(GENERATION, [b"key00000001"])
        store.close()
        expect(store.get(GENERATION, [b"key00000001"]) == [b"v"], "it reads on")

    def test_a_name_does_not_lead_out(self, tmp_path: Path) -> None:
        """Whatever stands in a ledger."""
        store = self.make_store(tmp_path / "store")
        (tmp_path / "secret.lmdb").write_bytes(b"abc")
        expect_coded(lambda: store.get("../secret", [b"a"]), "a name out of the store leads nowhere")

    def _in_a_child(self, folder: Path, act: Callable[[OnlineStore], object]) -> None:
        """Do something with a store of its own in a forked process, which is killed at its end."""
        child = os.fork()
        if child == 0:
            try:
                act(self.make_store(folder))
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)


def _fill(store: OnlineStore, number: int, entries: Mapping[bytes, bytes]) -> None:
    store.fill(str(number), entries.items())


def _read(store: OnlineStore, done: threading.Event, wrong: list[object]) -> None:
    """Read the newest generation again and again."""
    while not done.is_set():
        try:
            newest = store.generations()[-1]
            values = store.get(newest, [b"a", b"b"])
        except Exception as error:  # noqa: BLE001 - the test shows it
            wrong.append(error)
            return
        if values != [newest.encode()] * 2:
            wrong.append((newest, values))


def _refused() -> Iterator[Entry]:
    raise AssertionError("a complete generation is not written again")
    yield b"", b""  # type: ignore[unreachable]  # what makes it a generator


def _broken(count: int) -> Iterator[Entry]:
    yield from some(count).items()
    yield b"broken", bytes(1 // 0)


def _deadly(count: int) -> Iterator[Entry]:
    """Entries, until the process is killed."""
    yield from some(count).items()
    os.kill(os.getpid(), signal.SIGKILL)

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters import delta_work
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.delta_log import EVERY, entry_path
from headrace.errors import HeadraceError
from headrace.ports.records import Ref
from headrace.ports.stores import Change
from headrace.testing.stores import TableStoreSuite, key_of, rows

if TYPE_CHECKING:
    from collections.abc import Callable


class TestDeltaTableStore(TableStoreSuite):
    def make_store(self, folder: Path) -> DeltaTableStore:
        return DeltaTableStore(folder / "tables")


@pytest.fixture
def store(tmp_path: Path) -> DeltaTableStore:
    return DeltaTableStore(tmp_path)


def numbers(store: DeltaTableStore, ref: Ref) -> list[int]:
    return store.scan(ref).collect().get_column("number").to_list()


def data_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.parquet"))


def test_a_table_lies_at_its_name_and_the_beginning_of_its_key(store: DeltaTableStore, tmp_path: Path) -> None:
    ref = store.write("0123456789abcdef" + "f" * 48, "departures.quarantine", rows(1))
    assert (ref.path, ref.version) == ("departures.quarantine/0123456789abcdef", 0)
    assert store.paths() == [ref.path]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["departures.quarantine"]


def test_an_append_is_one_commit_of_one_file(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(1), "table", rows(1))
    ref = store.write(key_of(2), "table", rows(2), base)
    assert (ref.path, ref.version) == (base.path, 1)
    assert len(data_files(tmp_path / ref.path)) == 2


def test_a_fork_shares_the_files_of_its_base(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(1), "table", rows(1))
    store.write(key_of(2), "table", rows(2), base)
    fork = store.write(key_of(3), "table", rows(3), base)
    assert fork.path != base.path
    assert fork.version == 0
    shared = [path for path in data_files(tmp_path / fork.path) if path.stat().st_nlink == 2]
    assert [path.name for path in shared] == [path.name for path in data_files(tmp_path / base.path)][:1]


def test_a_fork_and_an_append_have_one_digest(store: DeltaTableStore) -> None:
    base = store.write(key_of(1), "table", rows(1))
    appended = store.write(key_of(2), "table", rows(2), base)
    fork = store.write(key_of(3), "table", rows(2), base)
    assert fork.digest == appended.digest


@pytest.mark.parametrize("versions", [3, 2 * EVERY + 3])
def test_other_engines_read_the_same_rows(store: DeltaTableStore, tmp_path: Path, versions: int) -> None:
    ref = store.write(key_of(0), "table", rows(0))
    for number in range(1, versions):
        ref = store.write(key_of(number), "table", rows(number), ref)
    fork = store.write(key_of(1000), "table", rows(1000), Ref("table", ref.path, ref.digest, ref.version))
    branch = store.write(key_of(1001), "table", rows(1001), ref)
    for each in (ref, fork, branch):
        table = DeltaTable(str(tmp_path / each.path), version=each.version)
        found = pl.DataFrame(table.to_pyarrow_table()).get_column("number").to_list()
        assert sorted(found) == sorted(numbers(store, each))
        store.verify(each)
    assert branch.path != ref.path


def test_rows_that_go_away_cost_the_files_that_hold_them(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(1), "table", rows(1, 2, 3, 4, 5), change=Change(pieces=(2, 2, 1)))
    ref = store.write(key_of(2), "table", rows(6), base, Change(less=(2, 4)))
    assert (ref.path, ref.version) == (base.path, 1)
    before, after = (
        set(DeltaTable(str(tmp_path / ref.path), version=version).file_uris()) for version in (0, ref.version)
    )
    assert (len(before & after), len(before - after), len(after - before)) == (1, 2, 2)
    for each in (base, ref):
        found = pl.DataFrame(DeltaTable(str(tmp_path / each.path), version=each.version).to_pyarrow_table())
        assert sorted(found.get_column("number")) == sorted(numbers(store, each))
    assert numbers(store, ref) == [1, 2, 4, 6]


@given(st.sets(st.integers(0, 12)), st.integers(1, 5))
@settings(max_examples=25)
def test_a_large_file_that_loses_rows_is_written_again_piece_by_piece(gone: set[int], most: int) -> None:
    left = [each for each in range(14) if each not in gone]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_work, "ROWS_OF_A_FILE", most)
        store = DeltaTableStore(Path(folder))
        base = store.write(key_of(1), "table", rows(*range(10)))
        both = store.write(key_of(2), "table", rows(10, 11, 12), base)
        change = Change(less=sorted(gone))
        less = store.write(key_of(3), "table", rows(13), both, change)
        assert numbers(store, less) == left
        assert numbers(store, both) == [*range(13)]
        kept = set(store.files(both))
        assert all(path in kept or pl.read_parquet(path).height <= most for path in store.files(less))
        again = DeltaTableStore(Path(folder))
        assert again.write(key_of(3), "table", rows(13), both, change) == less
        after = again.write(key_of(4), "table", rows(14), less, Change(less=(0,)))
        assert numbers(again, after) == [*left, 14][1:]
        again.verify(after)


@pytest.mark.parametrize("change", [Change(less=(1,)), Change(less=(-1,)), Change(pieces=(1, 1))])
def test_a_change_of_rows_that_are_not_there_is_refused(store: DeltaTableStore, change: Change) -> None:
    base = store.write(key_of(1), "table", rows(1))
    with pytest.raises(ValueError, match="and there are 1"):
        store.write(key_of(2), "table", rows(6), base, change)


def test_equal_rows_give_equal_bytes_however_they_lie_in_memory(store: DeltaTableStore) -> None:
    whole = pl.DataFrame({"a": range(1000), "b": [str(number % 7) for number in range(1000)]})
    parts = pl.concat([whole[:10], whole[10:900], whole[900:]], rechunk=False)
    cut = pl.concat([whole[5:8], whole])[3:]
    ordered = whole.with_columns(pl.col("a").set_sorted())
    digests = {store.write(key_of(n), "t", frame).digest for n, frame in enumerate((whole, parts, cut, ordered))}
    assert len(digests) == 1


def test_a_key_that_begins_like_another_one_gets_a_directory_of_its_own(store: DeltaTableStore) -> None:
    first = store.write("a" * 16 + "1", "table", rows(1))
    second = store.write("a" * 16 + "2", "table", rows(2))
    assert first.path != second.path
    assert store.write("a" * 16 + "1", "table", rows(1)) == first
    assert store.write("a" * 16 + "2", "table", rows(2)) == second


def test_the_columns_of_appended_rows_are_those_of_the_base(store: DeltaTableStore) -> None:
    base = store.write(key_of(1), "table", pl.DataFrame({"a": [1], "b": ["x"]}))
    ref = store.write(key_of(2), "table", pl.DataFrame({"b": ["y"], "a": [2]}), base)
    assert store.scan(ref).collect().rows() == [(1, "x"), (2, "y")]
    with pytest.raises(HeadraceError, match="HR641"):
        store.write(key_of(3), "table", pl.DataFrame({"a": ["x"], "b": ["x"]}), base)


def test_what_a_crashed_attempt_committed_does_not_stand_in_the_way(store: DeltaTableStore) -> None:
    base = store.write(key_of(1), "table", rows(1))
    lost = store.write(key_of(2), "table", rows(2), base)
    ref = store.write(key_of(3), "table", rows(3), base)
    further = store.write(key_of(4), "table", rows(4), ref)
    assert numbers(store, further) == [1, 3, 4]
    assert numbers(store, lost) == [1, 2]
    assert store.write(key_of(2), "table", rows(2), base) == lost


def test_the_first_content_of_a_key_stands(store: DeltaTableStore) -> None:
    base = store.write(key_of(1), "table", rows(1))
    first = store.write(key_of(2), "table", rows(2), base)
    assert store.write(key_of(2), "table", rows(9), base) == first
    assert store.write(key_of(1), "table", rows(9)) == base


def test_what_dead_processes_left_is_swept_and_never_listed(store: DeltaTableStore, tmp_path: Path) -> None:
    (tmp_path / ".scratch" / "dead").mkdir(parents=True)
    assert store.paths() == []
    assert store.sweep() == 1
    assert store.paths() == []


def test_removing_sweeps(store: DeltaTableStore, tmp_path: Path) -> None:
    (tmp_path / ".scratch" / "dead" / "table").mkdir(parents=True)
    ref = store.write(key_of(1), "table", rows(1))
    store.remove(ref.path)
    assert list(tmp_path.rglob("*.parquet")) == []
    assert not (tmp_path / ".scratch" / "dead").exists()


def test_the_size_is_that_of_all_files(store: DeltaTableStore, tmp_path: Path) -> None:
    ref = store.write(key_of(1), "table", rows(1))
    expected = sum(path.stat().st_size for path in (tmp_path / ref.path).rglob("*") if path.is_file())
    assert store.size(ref.path) == expected


# Damage

LOSSES: dict[str, tuple[Callable[[Path], object], str]] = {
    "entry": (lambda directory: entry_path(directory, 1).unlink(), "HR630"),
    "empty entry": (lambda directory: entry_path(directory, 0).write_bytes(b""), "HR630"),
    "log": (lambda directory: shutil.rmtree(directory / "_delta_log"), "HR630"),
    "file": (lambda directory: data_files(directory)[0].unlink(), "HR631"),
    "end of a file": (lambda directory: data_files(directory)[0].write_bytes(b""), "HR632"),
    "directory": (shutil.rmtree, "HR631"),
}


@pytest.mark.parametrize(("lose", "code"), LOSSES.values(), ids=LOSSES)
def test_damage_is_a_coded_error(
    store: DeltaTableStore, tmp_path: Path, lose: Callable[[Path], object], code: str
) -> None:
    base = store.write(key_of(1), "table", rows(1))
    ref = store.write(key_of(2), "table", rows(2), base)
    lose(tmp_path / ref.path)
    with pytest.raises(HeadraceError, match=code):
        store.scan(ref)
    with pytest.raises(HeadraceError, match=code):
        store.verify(ref)
    with pytest.raises(HeadraceError, match=code):
        store.write(key_of(3), "table", rows(3), ref)


def test_a_changed_byte_is_found_by_verify(store: DeltaTableStore, tmp_path: Path) -> None:
    ref = store.write(key_of(1), "table", rows(1))
    (path,) = data_files(tmp_path / ref.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(HeadraceError, match="HR632"):
        store.verify(ref)


def test_a_reference_to_other_content_is_found(store: DeltaTableStore) -> None:
    ref = store.write(key_of(1), "table", rows(1))
    with pytest.raises(HeadraceError, match="HR630"):
        store.scan(Ref("table", ref.path, "0" * 64, 0))


@pytest.mark.parametrize("lose", [lose for name, (lose, _) in LOSSES.items() if name != "entry"])
def test_a_damaged_table_is_made_again(store: DeltaTableStore, tmp_path: Path, lose: Callable[[Path], object]) -> None:
    ref = store.write(key_of(1), "table", rows(1))
    lose(tmp_path / ref.path)
    again = store.write(key_of(1), "table", rows(1))
    assert again.digest == ref.digest
    assert numbers(store, again) == [1]
    assert store.write(key_of(1), "table", rows(1)) == again


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 100])
def test_a_damaged_head_is_left_behind(store: DeltaTableStore, tmp_path: Path, damage: bytes) -> None:
    base = store.write(key_of(1), "table", rows(1))
    store.write(key_of(2), "table", rows(2), base)
    entry_path(tmp_path / base.path, 1).write_bytes(damage)
    again = store.write(key_of(2), "table", rows(2), base)
    assert again.path != base.path
    assert numbers(store, again) == [1, 2]
    assert numbers(store, store.write(key_of(3), "table", rows(3), again)) == [1, 2, 3]
    assert numbers(store, base) == [1]


def test_a_head_whose_file_is_damaged_is_left_behind(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(1), "table", rows(1))
    (first,) = data_files(tmp_path / base.path)
    store.write(key_of(2), "table", rows(2), base)
    (other,) = set(data_files(tmp_path / base.path)) - {first}
    other.write_bytes(b"")
    assert numbers(store, store.write(key_of(2), "table", rows(2), base)) == [1, 2]


def test_a_checkpoint_that_was_lost_is_left_behind(store: DeltaTableStore, tmp_path: Path) -> None:
    ref = store.write(key_of(0), "table", rows(0))
    for number in range(1, EVERY + 2):
        ref = store.write(key_of(number), "table", rows(number), ref)
    (path,) = (tmp_path / ref.path / "_delta_log").glob("*.checkpoint.parquet")
    path.write_bytes(b"")
    more = store.write(key_of(1000), "table", rows(1000), ref)
    assert more.path != ref.path
    assert numbers(store, more) == [*range(EVERY + 2), 1000]


def test_another_program_in_the_directory_makes_a_fork(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(1), "table", pl.DataFrame({"number": [1]}))
    DeltaTable(str(tmp_path / base.path)).delete()
    ref = store.write(key_of(2), "table", pl.DataFrame({"number": [2]}), base)
    assert ref.path != base.path
    assert numbers(store, ref) == [1, 2]


# Two processes at once

RACE = """
import json, sys
from pathlib import Path
from headrace.adapters.delta import DeltaTableStore
from headrace.ports.records import Ref
from headrace.ports.stores import Change
from headrace.testing.stores import key_of, rows
root, number, base = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
store = DeltaTableStore(root)
print("ready", flush=True)
sys.stdin.readline()
ref = store.write(key_of(number), "table", rows(int(sys.argv[4])), base and Ref.from_json(base))
print(json.dumps(ref.to_json()))
"""


def race(root: Path, base: Ref | None, runners: list[tuple[int, int]]) -> list[Ref]:
    """Write at once by one process for each (key, row)."""
    known = json.dumps(None if base is None else base.to_json())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(root), str(key), known, str(row)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for key, row in runners
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [Ref.from_json(json.loads(process.communicate()[0])) for process in processes]


def test_of_two_appends_at_once_one_gets_the_line(store: DeltaTableStore, tmp_path: Path) -> None:
    base = store.write(key_of(0), "table", rows(0))
    refs = race(tmp_path, base, [(1, 1), (2, 2), (3, 3)])
    assert [numbers(store, ref) for ref in refs] == [[0, 1], [0, 2], [0, 3]]
    assert sum(ref.path == base.path for ref in refs) == 1
    for ref in refs:
        store.verify(ref)


@pytest.mark.parametrize("based", [True, False])
def test_of_two_attempts_at_one_key_one_counts(store: DeltaTableStore, tmp_path: Path, based: bool) -> None:
    base = store.write(key_of(0), "table", rows(0)) if based else None
    first, second, third = race(tmp_path, base, [(1, 1), (1, 1), (1, 2)])
    assert first == second == third
    assert_frame_equal(store.scan(first).collect().tail(1), rows(numbers(store, first)[-1]))
    store.verify(first)

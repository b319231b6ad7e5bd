"""Mappings in pieces are the mappings that they stand for, and depend on nothing but their entries."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.ports import pieces
from headrace.ports.mappings import (
    PieceList,
    Pieces,
    beginning,
    changed,
    counted,
    differences,
    listed,
    pieced,
    plain,
    shared,
)
from headrace.ports.pieces import LIMIT, Tree, checked
from tests.support.versions import forget_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = st.one_of(st.integers(0, 400).map(lambda number: f"data/{number:06}.csv"), st.text(max_size=3))
ENTRIES = st.dictionaries(NAMES, st.integers(0, 3), max_size=300)


def numbered(count: int, begin: int = 0) -> dict[str, int]:
    return {f"{number:06}.csv": number for number in range(begin, begin + count)}


def total(entries: Mapping[str, int]) -> int:
    return sum(entries.values())


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is at hand from another test."""
    forget_pieces(monkeypatch)


@given(ENTRIES)
def test_a_mapping_in_pieces_is_the_mapping(entries: dict[str, int]) -> None:
    found = pieced(entries)
    assert isinstance(found, Pieces) == (len(entries) > LIMIT)
    assert found == entries
    assert entries == found
    assert list(found) == sorted(entries)
    assert plain(found) == dict(found) == entries
    assert all(found[name] == value for name, value in entries.items())
    assert "no such name" not in found
    assert counted(found, total) == total(entries)


@given(ENTRIES, ENTRIES, st.sets(NAMES, max_size=40))
def test_a_changed_mapping_has_the_pieces_of_one_that_is_made_anew(
    entries: dict[str, int], put: dict[str, int], drop: set[str]
) -> None:
    gone = drop | set(list(entries)[::7])
    wanted = {**{name: value for name, value in entries.items() if name not in gone}, **put}
    found, anew = changed(pieced(entries), put, gone), pieced(wanted)
    assert found == wanted
    assert type(found) is type(anew)
    if isinstance(found, Pieces) and isinstance(anew, Pieces):
        assert found.tree.root == anew.tree.root
        assert found.tree.leaves == anew.tree.leaves
        assert found.tree.missing(()) == anew.tree.missing(())
        assert found.tree.own.keys() == found.tree.digests


@given(st.lists(st.integers(0, 3_000), min_size=70, max_size=400, unique=True), st.data())
def test_pieces_that_were_cut_by_their_size_are_cut_as_if_made_anew(numbers: list[int], data: st.DataObject) -> None:
    names = [f"{number:06}" for number in numbers if pieces._rank(f"{number:06}") == 0]  # noqa: SLF001
    entries = dict.fromkeys(names, 1)
    gone = data.draw(st.sets(st.sampled_from(names), max_size=20)) if len(names) > LIMIT + 20 else set[str]()
    put = data.draw(st.dictionaries(NAMES, st.integers(0, 3), max_size=5))
    found = changed(pieced(entries), put, gone)
    wanted = {**{name: value for name, value in entries.items() if name not in gone}, **put}
    anew = pieced(wanted)
    assert found == anew
    assert found == wanted


@given(ENTRIES, ENTRIES)
def test_differences_are_those_of_the_mappings(one: dict[str, int], other: dict[str, int]) -> None:
    wanted = {name: (one.get(name), other.get(name)) for name in one.keys() | other.keys()}
    wanted = {name: pair for name, pair in wanted.items() if pair[0] != pair[1]}
    assert differences(pieced(one), pieced(other)) == wanted
    assert differences(one, pieced(other)) == wanted
    assert shared(pieced(one), pieced(other)) == len(one.items() & other.items())


@given(ENTRIES, NAMES)
def test_the_names_that_begin_so_are_found(entries: dict[str, int], name: str) -> None:
    for prefix in (name, name[:2], name[:-1]):
        wanted = {each: value for each, value in entries.items() if each.startswith(prefix)}
        assert beginning(pieced(entries), prefix) == wanted


@given(st.lists(st.integers(), max_size=200), st.lists(st.integers(), max_size=9), st.integers(0, 3))
def test_a_long_list_goes_on_at_its_end(begin: list[int], more: list[int], instead: int) -> None:
    found = listed(begin)
    assert isinstance(found, PieceList) == (len(begin) > LIMIT)
    assert list(found) == begin
    if isinstance(found, PieceList):
        wanted = [*begin[: len(begin) - instead], *more]
        longer = found.plus(more, instead=instead)
        assert list(longer) == wanted
        assert longer == listed(wanted)
        assert [longer[0], longer[-1]] == [wanted[0], wanted[-1]]
        with pytest.raises(IndexError):
            longer[len(wanted)]


def test_one_more_entry_changes_few_pieces() -> None:
    before = pieced(numbered(10_000))
    after = changed(before, numbered(1, 10_000))
    assert isinstance(before, Pieces)
    assert isinstance(after, Pieces)
    new = after.tree.missing(before.tree.digests)
    assert len(new) <= 6
    assert sum(map(len, new.values())) < 20_000
    assert differences(before, after) == {"010000.csv": (None, 10_000)}


def test_what_was_folded_of_a_piece_is_not_folded_again() -> None:
    seen: list[int] = []

    def size(entries: Mapping[str, int]) -> int:
        seen.append(len(entries))
        return len(entries)

    before = pieced(numbered(2_000))
    assert counted(before, size) == sum(seen) == 2_000
    seen.clear()
    assert counted(changed(before, numbered(1, 2_000)), size) == 2_001
    assert sum(seen) < 100


def test_only_the_pieces_that_are_needed_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Tree.of(numbered(5_000))
    texts = made.missing(())
    forget_pieces(monkeypatch)
    asked: list[str] = []

    def fetch(digests: Sequence[str]) -> dict[str, str]:
        asked.extend(digests)
        return {digest: texts[digest] for digest in digests}

    tree = Tree(made.root, None, fetch)
    assert tree.get("004999.csv") == 4_999
    assert len(asked) <= 5
    assert tree.get("nothing") is None


def test_a_damaged_or_missing_piece_is_an_error_with_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Tree.of(numbered(100))
    texts = made.missing(())

    def reads(found: dict[str, str]) -> list[object]:
        forget_pieces(monkeypatch)
        tree = Tree(made.root, None, lambda digests: {each: found[each] for each in digests if each in found})
        return list(tree.items())

    assert len(reads(texts)) == 100
    leaf = made.leaves[0].digest
    with pytest.raises(HeadraceError, match=r"HR606.*missing"):
        reads({digest: text for digest, text in texts.items() if digest != leaf})
    with pytest.raises(HeadraceError, match=r"HR606.*not what was written"):
        reads({**texts, leaf: texts[leaf].replace(":", ": ", 1)})
    assert checked(leaf, texts[leaf]) == texts[leaf]


def test_a_mapping_in_pieces_survives_pickling() -> None:
    entries = changed(pieced(numbered(100)), {"more": 1})
    assert pickle.loads(pickle.dumps(entries)) == entries  # noqa: S301 - our own
    rows = listed(list(range(100)))
    assert pickle.loads(pickle.dumps(rows)) == rows  # noqa: S301 - our own

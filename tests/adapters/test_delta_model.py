"""Whatever is changed of whatever, by whichever store: the rows are those left of the base and then the new ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters.delta import DeltaTableStore
from headrace.ports.stores import Change
from headrace.testing.stores import key_of

if TYPE_CHECKING:
    from headrace.ports.records import Ref

Write = tuple[int, list[int], int, set[int], int]
"""One write: the number of the write that it builds on (counted from the last one; 0: none), rows, further tries, the
rows of the base that are left out where it has so many, and the rows of the first piece."""

WRITES = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.lists(st.integers(-5, 5), max_size=3),
        st.integers(0, 2),
        st.sets(st.integers(0, 6), max_size=3) | st.just(set(range(7))),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=14,
)


def change_of(before: list[int], values: list[int], less: set[int], first: int) -> Change:
    gone = sorted(number for number in less if number < len(before))
    return Change(gone, (first, len(values) - first) if first < len(values) else ())


def frame(values: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"value": pl.Series(values, dtype=pl.Int64)})


@settings(max_examples=40)
@given(WRITES)
def test_a_version_is_its_base_and_then_its_rows(writes: list[Write]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DeltaTableStore(Path(folder))
        made: list[tuple[Ref, list[int]]] = []
        for number, (back, values, tries, less, first) in enumerate(writes):
            base, before = made[-back] if 0 < back <= len(made) else (None, [])
            change = change_of(before, values, less, first)
            ref = store.write(key_of(number), "table", frame(values), base, change)
            made.append((ref, [each for place, each in enumerate(before) if place not in change.less] + values))
            for _ in range(tries):
                again = DeltaTableStore(Path(folder)).write(key_of(number), "table", frame(values), base, change)
                assert again == ref
        for ref, expected in made:
            assert store.scan(ref).collect().get_column("value").to_list() == expected
            store.verify(ref)
        assert {ref.path for ref, _ in made} == set(store.paths())
        assert len({(ref.path, ref.version) for ref, _ in made}) == len(made)


@settings(max_examples=20)
@given(WRITES)
def test_made_again_elsewhere_every_version_has_the_same_digest(writes: list[Write]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        digests = []
        for folder in (one, other):
            store = DeltaTableStore(Path(folder))
            made: list[Ref] = []
            sizes: list[list[int]] = []
            for number, (back, values, _, less, first) in enumerate(writes):
                base, before = (made[-back], sizes[-back]) if 0 < back <= len(made) else (None, [])
                change = change_of(before, values, less, first)
                made.append(store.write(key_of(number), "table", frame(values), base, change))
                sizes.append([0] * (len(before) - len(change.less) + len(values)))
            digests.append([ref.digest for ref in made])
        assert digests[0] == digests[1]

"""Reading ahead, and writing what was read: what fails there is raised where the rows are given."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier, Event, get_ident
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from headrace.sources.sinking import ParquetSink, ahead, side_by_side
from headrace.sources.texts import count

if TYPE_CHECKING:
    from collections.abc import Iterator


def numbers(first: int, last: int) -> pl.DataFrame:
    return pl.DataFrame({"n": range(first, last), "text": [f"t{n % 7}" for n in range(first, last)]})


def give(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    with ParquetSink(path, 100) as sink:
        for frame in frames:
            sink.add(frame)


def fill(path: Path, most: int) -> None:
    give(path, (numbers(0, 10) for _ in range(most)))


@pytest.mark.parametrize("group", [1, 200, 10**9])
def test_rows_keep_their_order_in_groups_of_bounded_size(tmp_path: Path, group: int) -> None:
    path = tmp_path / "rows.parquet"
    with ParquetSink(path, group) as sink:
        for start in range(0, 100, 10):
            sink.add(numbers(start, start + 10))
    assert sink.count == 100
    assert sink.schema == {"n": "Int64", "text": "String"}
    assert_frame_equal(pl.read_parquet(path), numbers(0, 100))
    metadata = pq.read_metadata(path)
    most = max(metadata.row_group(at).num_rows for at in range(metadata.num_row_groups))
    assert most <= max(1, group // int(numbers(0, 10).estimated_size() // 10))


def test_what_fails_in_the_engine_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fill(tmp_path / "missing" / "rows.parquet", 10**9)
    with pytest.raises(FileNotFoundError):
        fill(tmp_path / "missing" / "rows.parquet", 1)


@pytest.mark.parametrize("frames", [1, 10**9])
def test_a_full_disk_is_told_at_the_next_frame_or_at_the_end(frames: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        fill(Path("/dev/full"), frames)


def test_an_error_between_two_frames_is_told_and_not_covered(tmp_path: Path) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield numbers(0, 10)
        message = "mine"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="mine"):
        give(tmp_path / "rows.parquet", broken())
    with pytest.raises(ValueError, match="Int64"):
        give(tmp_path / "more.parquet", iter([numbers(0, 10), numbers(0, 10).select("n")]))
    with ParquetSink(tmp_path / "none.parquet", 100):
        pass
    assert not (tmp_path / "none.parquet").exists()


def test_items_are_asked_for_by_another_thread_until_the_block_ends() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            asked.append(get_ident())
            yield number

    with ahead(items()) as found:
        assert list(found) == [0, 1, 2, 3, 4]
    assert set(asked) - {get_ident()}
    with ahead(items()) as found:
        assert next(found) == 0
    before = len(asked)
    assert before <= 5 + 2

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError

    with pytest.raises(KeyError), ahead(broken()) as found:
        list(found)


def test_items_are_worked_on_at_once_and_come_in_their_order() -> None:
    together = Barrier(2, timeout=60)

    def work(number: int) -> int:
        together.wait()  # returns only where another item is worked on at the same time
        return number * number

    with side_by_side(work, iter(range(8))) as found:
        assert list(found) == [number * number for number in range(8)]


def test_of_what_is_wrong_with_several_items_the_first_is_said() -> None:
    read = Event()

    def items() -> Iterator[int]:
        yield 1
        read.set()
        raise KeyError

    def work(_: int) -> None:
        assert read.wait(60)
        message = "the first one"
        raise ValueError(message)

    with pytest.raises(ValueError, match="the first one"), side_by_side(work, items()) as found:
        list(found)
    with pytest.raises(KeyError), side_by_side(str, items()) as texts:
        list(texts)


def test_bytes_are_counted() -> None:
    text = b"a,b\n" * 100_000
    assert count(text, b",") == text.count(b",")
    assert count(b"", b",") == 0

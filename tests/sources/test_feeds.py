"""A function as a source: each page is landed once, whatever happens between two of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Pipeline
from headrace.adapters.reading import Address
from headrace.adapters.reading_sqlite import SqliteReader
from headrace.errors import HeadraceError
from tests.sources.databases.places import Landing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.sources.source import Source


class Api:
    """Rows by number, three to a page, and what was asked of it."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def pages(self, since: int) -> Iterator[tuple[list[dict[str, object]], int]]:
        self.asked.append(since)
        while since < self.rows:
            numbers = range(since, min(since + 3, self.rows))
            rows: list[dict[str, object]] = [{"id": each, "name": f"n{each}"} for each in numbers]
            since += len(rows)
            yield rows, since


def fed(function: Callable[[Any], Any], **options: Any) -> Source:  # noqa: ANN401 - what a test declares
    def feed(since: Any) -> Any:  # noqa: ANN401 - the same
        return function(since)

    return Pipeline("p").feed(**options)(feed)


def landing(folder: Path, source: Source) -> Landing:
    return Landing(folder, SqliteReader(Address("none", "none", ""), folder), source.of)


def refused(folder: Path, *pages: object, **options: Any) -> HeadraceError:  # noqa: ANN401 - the same
    with pytest.raises(HeadraceError) as caught:
        landing(folder, fed(lambda _: iter(pages), **options)).land()
    return caught.value


def test_pages_are_batches(tmp_path: Path) -> None:
    api = Api(4)
    life = landing(tmp_path, fed(api.pages, cursor=0))
    first = life.land()
    assert life.rows() == [(0, "n0"), (1, "n1"), (2, "n2"), (3, "n3")]
    assert len(first.batches) == 2
    assert life.land() is first
    api.rows = 6
    second = life.land()
    assert second.batches.items() > first.batches.items()
    assert (second.manifest.facts["new_rows"], second.rows) == (2, 6)
    assert api.asked == [0, 4, 4]


def test_a_page_that_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    api = Api(7)

    def breaking(since: int) -> Iterator[tuple[list[dict[str, object]], int]]:
        for page in api.pages(since):
            if page[1] == 6 and len(api.asked) == 1:
                raise ConnectionError("reset by peer")
            yield page

    life = landing(tmp_path, fed(breaking, cursor=0))
    with pytest.raises(HeadraceError) as caught:
        life.land()
    assert (caught.value.code, caught.value.what) == (
        "HR351",
        "feed, after the cursor 3: ConnectionError: reset by peer",
    )
    life.land()
    assert api.asked == [0, 3]
    assert life.column("id") == list(range(7))


def test_a_page_that_comes_again_is_nothing_new(tmp_path: Path) -> None:
    page = ([{"id": 1}], "x")
    life = landing(tmp_path, fed(lambda _: iter([page])))
    first = life.land()
    assert life.land() is first


def test_rows_of_python_and_frames(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    rows = [{"n": 1, "f": 0.5, "b": True, "t": at, "s": "x"}, {"n": None, "more": "2026-01-02"}]
    life = landing(tmp_path, fed(lambda _: iter([(rows, 1)])))
    version = life.land()
    assert life.rows() == [(1, 0.5, True, at, "x", None), (None, None, None, None, None, date(2026, 1, 2))]
    assert version.manifest.facts["schema"]["f"] == "Float64"
    frame = pl.DataFrame({"zip": ["01"], "n": [1]})
    other = landing(tmp_path / "other", fed(lambda _: iter([(frame, 1)]), schema={"n": str}))
    other.land()
    assert other.rows() == [("01", "1")]


@pytest.mark.parametrize(
    ("pages", "code"),
    [
        ([3], "HR352"),
        ([([{"a": 1}], 1, 2)], "HR352"),
        ([("rows", 1)], "HR352"),
        ([([3], 1)], "HR352"),
        ([([{"a": 1}], date(2026, 1, 1))], "HR353"),
        ([([{"a": 1}], float("nan"))], "HR353"),
        ([([{"a": 1}], (1, 2))], "HR353"),
        ([([{"a": 1}], None)], ""),
        ([([{"a": 1}], 1), ([{"a": 2}], 1)], "HR353"),
        ([([{"a": 1}], 1), ([{"a": 2}], 2), ([{"a": 3}], 1)], "HR353"),
        ([([{"a": 1}, {"a": "x"}], 1)], "HR311"),
        ([([{"a": 2**70}], 1)], "HR316"),
        ([([{"a": [1]}], 1)], "HR316"),
    ],
)
def test_pages_that_are_none(tmp_path: Path, pages: list[object], code: str) -> None:
    assert refused(tmp_path, *pages).code == (code or "HR353")


def test_a_cursor_to_begin_with_is_json() -> None:
    with pytest.raises(HeadraceError, match="HR353"):
        fed(lambda _: iter(()), cursor=date(2026, 1, 1)).settings()


@settings(max_examples=15)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 40))
def test_whenever_it_is_looked_at_each_row_is_there_once(growths: list[int], broken: int) -> None:
    api = Api(1)
    asked = 0

    def unsteady(since: int) -> Iterator[tuple[list[dict[str, object]], int]]:
        nonlocal asked
        for page in api.pages(since):
            asked += 1
            if asked == broken:
                raise TimeoutError
            yield page

    with tempfile.TemporaryDirectory() as folder:
        life = landing(Path(folder), fed(unsteady, cursor=0))
        for growth in [*growths, 0]:
            api.rows += growth
            with suppress(HeadraceError):
                life.land()
        life.land()
        assert life.column("id") == list(range(api.rows))


PROJECT = """
import json
from pathlib import Path

from headrace import Pipeline

shop = Pipeline("shop")


@shop.feed(cursor=0)
def raw(since):
    while since < 9:
        with Path("asked.jsonl").open("a") as asked:
            asked.write(json.dumps(since) + "\\n")
        rows = [{"id": each} for each in range(since, since + 3)]
        since += 3
        yield rows, since
"""


@pytest.mark.parametrize(
    ("point", "again"),
    [
        ("artefact.write.before:2", {3}),
        ("manifest.rename.before:2", {3}),
        ("manifest.rename.after:2", set()),
        ("step.make.after", set()),
    ],
)
def test_a_kill_between_pages(tmp_path: Path, point: str, again: set[int]) -> None:
    (tmp_path / "headrace.toml").write_text('pipeline = "pipeline:shop"\nworkers = 1\n')
    (tmp_path / "pipeline.py").write_text(PROJECT)
    command = [str(Path(sys.executable).with_name("headrace")), "apply", "--quiet"]
    environment = {**os.environ, "HEADRACE_FAILPOINT": point}
    killed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=120)
    assert killed.returncode != 0
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert sorted(asked) == sorted([0, 3, 6, *again])
    shown = subprocess.run(
        [command[0], "query", "select * from raw order by id", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert [row["id"] for row in json.loads(shown.stdout)] == list(range(9))

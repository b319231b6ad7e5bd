"""Files that are landed piece by piece hold the rows that they hold when they are read at once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters.artefacts import FileArtefactStore
from headrace.errors import HeadraceError
from headrace.ports.records import Batch
from headrace.sources import landing
from headrace.sources.files import files
from headrace.sources.landing import Arrival, land
from headrace.sources.parse import parse

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.sources.files import Files

CELLS = (
    "",
    "1",
    "-7",
    "2.5",
    "1e3",
    "x",
    "true",
    "2024-02-03",
    "2024-02-03T04:05:06Z",
    "99999999999999999999",
    "9" * 50,
    "9007199254740993.5",
    "é",
    "NaN",
    "0",
    "-0.5",
    "007",
    "-007",
    "00.5",
    " 05",
)
TWO_AT_ONCE = {"HR311", "HR316", "HR330"}
"""Where a file has several mistakes, in several columns, the one that is met first is told."""
QUOTED = ('"05"', '"a,b"', '"two\nlines"', '"say ""hi"""')


@pytest.fixture
def store(tmp_path: Path) -> FileArtefactStore:
    return FileArtefactStore(tmp_path / "store")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "_LEAST", 1)


def arrival(name: str, content: bytes, spec: Files, piece: int) -> Arrival:
    batch = Batch(name, hashlib.sha256(content).hexdigest(), len(content))
    return Arrival(batch, lambda: io.BytesIO(content), spec, piece * 64)


def landed(store: FileArtefactStore, name: str, content: bytes, spec: Files, piece: int = 40) -> pl.DataFrame:
    found = land(arrival(name, content, spec, piece), store)
    frame = pl.read_parquet(store.path(found.ref))
    assert found.rows == frame.height
    assert found.schema == {column: str(kind) for column, kind in frame.schema.items()}
    return frame


def agree(store: FileArtefactStore, name: str, content: bytes, spec: Files, piece: int) -> None:
    try:
        expected = parse(name, content, spec)
    except HeadraceError as error:
        with pytest.raises(HeadraceError) as found:
            landed(store, name, content, spec, piece)
        assert found.value.code == error.code or {found.value.code, error.code} <= TWO_AT_ONCE  # noqa: PT017
    else:
        assert_frame_equal(landed(store, name, content, spec, piece), expected)


def lines(rows: list[list[str]], width: int) -> bytes:
    header = ",".join(f"c{number}" for number in range(width))
    return "\n".join([header, *(",".join(row) for row in rows)]).encode() + b"\n"


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """Columns that mostly keep to one kind of cell, so that types hold for a while and then do not."""
    width = draw(st.integers(2, 3))
    kinds = [draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=2)) for _ in range(width)]
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        rows.append([draw(st.sampled_from(kind)) for kind in kinds])
        if draw(st.integers(0, 15)) == 0:
            rows[-1][draw(st.integers(0, width - 1))] = draw(st.sampled_from(CELLS + QUOTED))
    return lines(rows, width)


@given(content=csv_files(), piece=st.integers(8, 200))
@settings(max_examples=40, deadline=None)
def test_csv(content: bytes, piece: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = FileArtefactStore(tmp_path_factory.getbasetemp() / "csv")
    agree(store, "f.csv", content, files("*.csv"), piece)


JSON_CELLS: tuple[Any, ...] = (None, 1, 2**63, -7, 2.5, "x", "2024-02-03", True)


@st.composite
def ndjson_files(draw: st.DrawFn) -> bytes:
    kinds = {name: draw(st.lists(st.sampled_from(JSON_CELLS), min_size=1, max_size=2)) for name in "ab"}
    rows = []
    for _ in range(draw(st.integers(1, 25))):
        rows.append({name: draw(st.sampled_from(kind)) for name, kind in kinds.items()})
        if draw(st.integers(0, 12)) == 0:
            rows[-1][draw(st.sampled_from("abc"))] = draw(st.sampled_from(JSON_CELLS))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@given(content=ndjson_files(), piece=st.integers(8, 200))
@settings(max_examples=30, deadline=None)
def test_ndjson(content: bytes, piece: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = FileArtefactStore(tmp_path_factory.getbasetemp() / "ndjson")
    agree(store, "f.ndjson", content, files("*.ndjson"), piece)


def test_parquet(store: FileArtefactStore) -> None:
    frame = pl.DataFrame(
        {"n": range(50), "late": [None] * 40 + [1.5] * 10, "never": pl.Series([None] * 50, dtype=pl.Int64)}
    )
    content = io.BytesIO()
    frame.write_parquet(content)
    for spec in (files("*.parquet"), files("*.parquet", schema={"n": float, "never": str})):
        agree(store, "f.parquet", content.getvalue(), spec, 60)
        agree(store, "f.parquet", content.getvalue()[:-9], spec, 60)


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ({"encoding": "utf-16"}, "utf-16"),
        ({"encoding": "latin-1", "separator": ";", "decimal": ","}, "latin-1"),
        ({"header": False, "names": ["a", "b", "c"]}, "utf-8"),
        ({"header": False, "names": ["a", "b", "c"]}, "utf-8-sig"),
        ({"schema": {"b": str}, "null_values": ("-",)}, "utf-8-sig"),
        ({"quote": None}, "utf-8"),
        ({"comment": "#"}, "utf-8"),
    ],
)
def test_dialects(store: FileArtefactStore, options: dict[str, Any], encoding: str) -> None:
    mark = options.get("separator", ",")
    text = "".join(mark.join((str(n), f"é{n}", "-" if n % 7 else "3")) + "\r\n" for n in range(30))
    if options.get("header", True):
        text = mark.join("abc") + "\r\n" + text
    agree(store, "f.csv", text.encode(encoding), files("*.csv", **options), 50)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("broken", [b"1\n", b"1,2,3\n", b'1,a"b\n', b"1,\xff\n", b"1,a\rb\n"])
def test_errors_name_the_line_of_the_file(store: FileArtefactStore, broken: bytes, *, header: bool) -> None:
    content = (b"a,b\n" if header else b"0,0\n") + b"1,2\n" * 40 + broken + b"3,4\n" * 5
    spec = files("*.csv") if header else files("*.csv", header=False, names=["a", "b"])
    with pytest.raises(HeadraceError) as at_once:
        parse("f.csv", content, spec)
    with pytest.raises(HeadraceError) as found:
        landed(store, "f.csv", content, spec)
    assert (found.value.code, found.value.what) == (at_once.value.code, at_once.value.what)
    assert "line 42" in found.value.what


def test_a_partition_is_a_column_of_each_piece(store: FileArtefactStore) -> None:
    agree(store, "year=2024/f.csv", lines([[str(n), "x"] for n in range(30)], 2), files("**/*.csv", hive=True), 30)


def test_a_compressed_file_is_unpacked_within_its_limits(store: FileArtefactStore) -> None:
    packed = gzip.compress(lines([[str(n), "x"] for n in range(3000)], 2))
    agree(store, "f.csv.gz", packed, files("*.csv.gz"), 1000)
    agree(store, "f.csv.gz", packed[:-20], files("*.csv.gz"), 1000)
    agree(store, "f.csv.gz", packed, files("*.csv.gz", max_bytes=2000), 1000)


def test_a_file_whose_digest_is_known_is_not_read_for_it(store: FileArtefactStore) -> None:
    content, packed = lines([[str(n), "x"] for n in range(30)], 2), io.BytesIO()
    pl.DataFrame({"n": range(30)}).write_parquet(packed)
    for name, held in (("f.csv", content), ("f.parquet", packed.getvalue())):
        seen = Batch(name, "known", len(held))
        opened = partial(io.BytesIO, held)
        assert land(Arrival(seen, opened, files(name), 64 * 40, lambda _: "known"), store).rows == 30


def test_a_file_that_is_touched_while_it_is_landed_is_read_for_its_digest(store: FileArtefactStore) -> None:
    content = lines([[str(n), "x"] for n in range(30)], 2)
    right = hashlib.sha256(content).hexdigest()

    def touched(digest: str) -> Arrival:
        answers = iter((digest, None))
        seen = Batch("f.csv", digest, len(content))
        return Arrival(seen, lambda: io.BytesIO(content), files("*.csv"), 64 * 40, lambda _: next(answers))

    assert land(touched(right), store).rows == 30
    with pytest.raises(HeadraceError, match="HR312"):
        land(touched("another"), store)


def test_a_file_that_is_not_the_observed_one(store: FileArtefactStore) -> None:
    content = lines([[str(n), "x"] for n in range(30)], 2)
    seen = Batch("f.csv", hashlib.sha256(b"other").hexdigest(), len(content))
    for broken in (content, content + b"1,2,3\n"):
        with pytest.raises(HeadraceError, match="HR312"):
            land(Arrival(seen, lambda broken=broken: io.BytesIO(broken), files("*.csv"), 64 * 40), store)  # type: ignore[misc]
    assert not store.paths()

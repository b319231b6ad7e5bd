"""Compressed texts, whole, damaged, and larger than they may be."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile

import polars as pl
import pytest

from tests.sources.making import MAKERS, PACKERS, parsed, refused, workbook

TEXTS = {"csv": "a,b\n1,x\n2,y\n", "ndjson": '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'}


@pytest.fixture(params=sorted(PACKERS))
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", ["csv", "ndjson", "jsonl"])
def test_a_compressed_text(kind: str, ending: str) -> None:
    text = TEXTS["csv" if kind == "csv" else "ndjson"]
    assert parsed(f"f.{kind}.{ending}", PACKERS[ending](text.encode())).rows() == [(1, "x"), (2, "y")]


def test_members_one_after_the_other(ending: str) -> None:
    first, second = TEXTS["csv"][:8].encode(), TEXTS["csv"][8:].encode()
    packed = PACKERS[ending](first) + PACKERS[ending](second)
    assert parsed(f"f.csv.{ending}", packed).rows() == [(1, "x"), (2, "y")]


def long() -> bytes:
    return "\n".join(["a,b", *(f"{n},{n * n * 7919 % 10007}" for n in range(5000))]).encode()


@pytest.mark.parametrize("left", [0.2, 0.5, 0.99])
def test_a_truncated_file(ending: str, left: float) -> None:
    whole = PACKERS[ending](long())
    error = refused(f"f.csv.{ending}", whole[: int(len(whole) * left)])
    assert (error.code, error.what) == ("HR305", f"f.csv.{ending} ends in the middle of its compressed data")


def test_what_is_no_such_data(ending: str) -> None:
    whole = PACKERS[ending](long())
    damaged = [b"\xff" * 4 + whole[4:]]
    if ending != "zst":  # Arrow writes no checksum there
        damaged.append(whole[: len(whole) // 2] + b"\xff\x00\xff\x00" + whole[len(whole) // 2 + 4 :])
    for content in (long(), *damaged):
        assert refused(f"f.csv.{ending}", content).code in ("HR306", "HR305")
    assert refused(f"f.csv.{ending}", whole + b"more of it").code == "HR306"
    assert refused(f"f.csv.{ending}", PACKERS[ending](b"")).code == "HR304"


def test_a_bomb(ending: str) -> None:
    bomb = PACKERS[ending](b"a\n" + b"1\n" * 12_000_000)
    name = f"f.csv.{ending}"
    error = refused(name, bomb, max_ratio=5)
    assert error.code == "HR323"
    assert error.what.startswith(f"{name} has {len(bomb)} bytes and unpacks to more than ")
    assert "max_ratio" in error.fix
    assert refused(name, bomb, max_bytes=20_000_000).code == "HR323"


def test_a_small_file_may_shrink_a_lot(ending: str) -> None:
    assert parsed(f"f.csv.{ending}", PACKERS[ending](b"a\n" + b"1\n" * 100_000), max_ratio=1).height == 100_000


@pytest.mark.parametrize("kind", ["parquet", "orc", "avro"])
def test_a_columnar_file_that_unpacks_to_too_much(kind: str) -> None:
    name, content = f"f.{kind}", MAKERS[kind](pl.DataFrame({"a": range(10_000)}))
    assert parsed(name, content, max_bytes=200_000).height == 10_000
    assert refused(name, content, max_bytes=10_000).code == "HR323"


def test_a_workbook_that_unpacks_to_too_much() -> None:
    packed = io.BytesIO(workbook({"a": [["n"], [1]]}))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", bytes(30_000_000))
    assert refused("f.xlsx", packed.getvalue(), max_ratio=100).code == "HR323"


def test_zeros_may_pad_a_member() -> None:
    for ending, pack in (("bz2", bz2.compress), ("xz", lzma.compress)):
        assert parsed(f"f.csv.{ending}", pack(b"a,b\n1,2\n") + bytes(8)).rows() == [(1, 2)]

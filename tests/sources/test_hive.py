"""Partitions by folder: their columns, their types, their escapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.sources.files import files
from headrace.sources.parse import parse
from headrace.sources.source import Source
from tests.sources.making import MAKERS, refused
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pl.DataFrame({"n": [1, 2]})


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_nested_folders(tmp_path: Path, kind: str) -> None:
    shop = Workshop(tmp_path)
    shop.write(f"data/year=2024/carrier=A%20A%2Fx/f.{kind}", MAKERS[kind](FRAME))
    shop.write(f"data/year=2025/carrier=__HIVE_DEFAULT_PARTITION__/f.{kind}", MAKERS[kind](FRAME))
    source = Source("raw", files(f"data/**/*.{kind}", hive=True, schema={"year": int, "n": float}))
    version = shop.land(source)
    assert version.manifest.facts["schema"] == {"n": "Float64", "year": "Int64", "carrier": "String"}
    expected = [(1.0, 2024, "A A/x"), (2.0, 2024, "A A/x"), (1.0, 2025, None), (2.0, 2025, None)]
    assert shop.rows(source, version).rows() == expected


def test_a_value_without_a_type_is_text() -> None:
    spec = files("**/*.csv", hive=True)
    assert parse("year=2024/f.csv", b"n\n1\n", spec).rows() == [(1, "2024")]
    assert parse("k=a=b/caf%C3%A9=%E2%82%AC/f.csv", b"n\n1\n", spec).to_dicts() == [{"n": 1, "k": "a=b", "café": "€"}]
    assert parse("year=2024/f.csv", b"n\n1\n", files("**/*.csv")).columns == ["n"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/f.csv", "lies in no folder called KEY=VALUE"),
        ("year=/f.csv", "the folder 'year=' has no key or no value"),
        ("=1/f.csv", "the folder '=1' has no key or no value"),
        ("a=1/a=2/f.csv", "the folder 'a=2' stands there twice"),
        ("n=1/f.csv", "has a column 'n', and a folder has it as well"),
        ("year=x/f.csv", "'x' of the partition 'year' is no Int64"),
        ("k=100%/f.csv", "'100%' is not escaped in UTF-8"),
        ("k=%FF/f.csv", "'%FF' is not escaped in UTF-8"),
    ],
)
def test_a_partition_that_does_not_fit(name: str, said: str) -> None:
    schema = {"year": int} if name.startswith("year") else None
    error = refused(name, "n\n1\n", schema, hive=True)
    assert error.code == "HR328"
    assert error.what.startswith(name)
    assert said in error.what


def test_a_declared_column_that_is_neither_in_the_file_nor_a_folder() -> None:
    assert refused("year=1/f.csv", "n\n1\n", {"yaer": int}, hive=True).code == "HR310"


def test_files_with_different_partitions(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    shop.write("year=2024/f.csv", "n\n1\n")
    shop.write("year=2024/month=1/f.csv", "n\n1\n")
    source = Source("raw", files("**/*.csv", hive=True))
    version = shop.land(source)
    [outcome] = source.decide(version, None, shop.context("", {})).outcomes
    assert (outcome.condition, outcome.passed) == ("column month (String) is new in year=2024/month=1/f.csv", True)

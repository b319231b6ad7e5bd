"""Where a landed row stands in its file."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.sources.files import files
from headrace.sources.parse import parse
from headrace.sources.places import placer
from tests.sources.making import MAKERS

if TYPE_CHECKING:
    from collections.abc import Mapping


def places(name: str, content: str | bytes, options: Mapping[str, Any] | None = None) -> list[tuple[object, str]]:
    """The first column of each row, and its place."""
    data = content.encode() if isinstance(content, str) else content
    spec = files(name, **(options or {}))
    place = placer(name, data, spec)
    return [(row[0], place(at)) for at, row in enumerate(parse(name, data, spec).rows())]


@pytest.mark.parametrize(
    ("name", "content", "options", "found"),
    [
        ("f.csv", "n,m\n1,2\n\n3,4\n", {}, [(1, "line 2"), (3, "line 4")]),
        ("f.csv", "\n\nn,m\n1,2\n", {}, [(1, "line 4")]),
        ("f.csv", "n\n1\n\n3\n", {}, [(1, "line 2"), (None, "line 3"), (3, "line 4")]),
        ("f.csv", 'n,m\n1,"a\nb"\n2,c\n', {}, [(1, "line 2"), (2, "line 4")]),
        ("f.csv", "n,m\r\n1,2\r\n3,4", {}, [(1, "line 2"), (3, "line 3")]),
        ("f.csv", "# a\nn,m\n# b\n1,2\n", {"comment": "#"}, [(1, "line 4")]),
        ("f.csv", "1,2\n3,4\n", {"header": False, "names": ["a", "b"]}, [(1, "line 1"), (3, "line 2")]),
        ("f.csv.gz", gzip.compress(b"n,m\n1,2\n", mtime=0), {}, [(1, "line 2")]),
        ("f.ndjson", '{"n":1}\n\n{"n":3}\n', {}, [(1, "line 1"), (3, "line 3")]),
    ],
)
def test_a_row_of_lines(
    name: str, content: str | bytes, options: Mapping[str, Any], found: list[tuple[object, str]]
) -> None:
    assert places(name, content, options) == found


@pytest.mark.parametrize(("kind", "first"), [("parquet", 1), ("orc", 1), ("avro", 1), ("xlsx", 2)])
def test_a_row_of_a_file_without_lines(kind: str, first: int) -> None:
    content = MAKERS[kind](pl.DataFrame({"n": [7, 8]}))
    assert places(f"f.{kind}", content) == [(7, f"row {first}"), (8, f"row {first + 1}")]

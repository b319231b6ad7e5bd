"""What becomes of the rows of a file that is removed: the declared rule, through plan and apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.ports.records import Observation
from headrace.sources.files import files
from headrace.sources.source import Source
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Version

NONE: frozenset[str] = frozenset()


class Landing:
    """One source over two files, whose published version has both."""

    def __init__(self, folder: Path, rule: str) -> None:
        self.shop = Workshop(folder)
        self.source = Source("raw", files("data/*.csv", removed=rule))
        self.shop.write("data/a.csv", "n\n1\n")
        self.shop.write("data/b.csv", "n\n2\n")
        self.version = self.shop.land(self.source)

    def remove(self, name: str) -> None:
        (self.shop.folder / f"data/{name}.csv").unlink()

    def settled(self, excluded: frozenset[str] = NONE) -> Observation:
        seen = self.shop.look(self.source)
        assert seen is not None
        return self.source.settled(seen, self.version, excluded).without(excluded)

    def rows(self) -> list[int]:
        version: Version = self.shop.make(self.source, {}, self.settled())
        return [int(n) for n in self.shop.rows(self.source, version)["n"]]


def test_rows_go_with_their_file(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "drop")
    landing.remove("a")
    assert landing.rows() == [2]
    landing.remove("b")
    with pytest.raises(HeadraceError, match="HR301"):
        landing.settled()


def test_rows_stay(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "keep")
    landing.remove("a")
    landing.shop.write("data/b.csv", "n\n5\n")
    assert landing.rows() == [1, 5]


def test_all_files_may_be_gone_once_they_are_landed(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "keep")
    landing.remove("a")
    landing.remove("b")
    assert landing.settled().identity() == landing.version.batches
    assert landing.rows() == [1, 2]
    with pytest.raises(HeadraceError, match="HR301"):
        landing.source.settled(Observation("raw", ()), None, NONE)


def test_what_is_excluded_is_not_kept(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "keep")
    landing.remove("a")
    assert list(landing.settled(frozenset({"data/a.csv"})).identity()) == ["data/b.csv"]


def test_a_removed_file_may_be_an_error(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "fail")
    assert landing.rows() == [1, 2]
    landing.remove("a")
    with pytest.raises(HeadraceError, match="HR331") as caught:
        landing.settled()
    assert caught.value.what == "raw: data/a.csv"
    assert list(landing.settled(frozenset({"data/a.csv"})).identity()) == ["data/b.csv"]


def test_kept_rows_cannot_be_read_again(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "keep")
    landing.remove("a")
    landing.shop.live.clear()
    with pytest.raises(HeadraceError, match="HR332") as caught:
        landing.rows()
    assert caught.value.what == "data/a.csv"


def test_the_rule_is_no_part_of_the_fingerprint() -> None:
    assert canonical(files("*.csv", removed="keep").settings()) == canonical(files("*.csv").settings())
    with pytest.raises(HeadraceError, match="did you mean 'keep'"):
        files("*.csv", removed="kep")

"""A source lands each batch once, and a version is a set of landed batches."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.sources.files import files
from headrace.sources.source import Source
from tests.sources.making import MAKERS
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_version_holds_its_batches(shop: Workshop) -> None:
    shop.write("data/b.csv", "n,t\n3,x\n")
    shop.write("data/a.csv", "n,t\n1,y\n2,\n")
    source = csv_source()
    version = shop.land(source)
    facts = version.manifest.facts
    assert version.rows == 3
    assert list(version.manifest.outputs) == list(facts["batches"]) == ["data/a.csv", "data/b.csv"]
    assert facts["schema"] == {"n": "Int64", "t": "String"}
    batch = facts["batches"]["data/a.csv"]
    assert (batch["rows"], batch["bytes"], batch["digest"]) == (2, 11, version.batches["data/a.csv"])
    assert shop.rows(source, version).rows() == [(1, "y"), (2, None), (3, "x")]
    assert shop.progress[-1] == (2, 2)
    for ref in version.manifest.outputs.values():
        shop.stores.artefacts.verify(ref)


def test_what_the_base_has_is_taken_over(shop: Workshop) -> None:
    source = csv_source()
    kept = shop.write("data/a.csv", "n\n1\n")
    first = shop.land(source)
    content = kept.read_bytes()
    shop.write("data/b.csv", "n\n2\n")
    observation = shop.look(source)
    kept.unlink()
    second = shop.make(source, {}, observation)
    assert second.manifest.outputs["data/a.csv"] == first.manifest.outputs["data/a.csv"]
    assert second.manifest.facts["new_rows"] == 1
    assert shop.rows(source, second)["n"].to_list() == [1, 2]
    kept.write_bytes(content)
    assert shop.land(source).manifest == dataclasses.replace(
        second.manifest, facts={**second.manifest.facts, "new_rows": 0}
    )


def test_facts_do_not_depend_on_the_way(shop: Workshop, tmp_path: Path) -> None:
    source = csv_source()
    shop.write("data/b.csv", "n,t\n1,\n")
    shop.land(source)
    shop.write("data/a.csv", "n,t\n1.5,x\n")
    grown = shop.land(source)
    other = Workshop(tmp_path / "other")
    for name in ("a", "b"):
        other.write(f"data/{name}.csv", (tmp_path / "data" / f"{name}.csv").read_text())
    fresh = other.land(source)
    assert grown.key == fresh.key
    for fact in ("rows", "schema"):
        assert grown.manifest.facts[fact] == fresh.manifest.facts[fact]
    assert shop.rows(source, grown).equals(other.rows(source, fresh))


def test_a_changed_file_is_landed_again(shop: Workshop) -> None:
    source = csv_source()
    shop.write("data/a.csv", "n\n1\n")
    shop.write("data/b.csv", "n\n2\n")
    shop.land(source)
    shop.write("data/a.csv", "n\n7\n8\n")
    version = shop.land(source)
    assert shop.rows(source, version)["n"].to_list() == [7, 8, 2]


def test_batches_are_read_with_what_they_have_in_common(shop: Workshop) -> None:
    source = csv_source()
    shop.write("data/a.csv", "n,t,e\n1,,\n")
    shop.write("data/b.csv", "t,n,e\n2024-01-01,2.5,\n")
    shop.write("data/c.csv", "n,t,e\n")
    version = shop.land(source)
    batches = source.read_batches(version, shop.stores, ["data/b.csv", "data/a.csv"])
    assert [name for name, _ in batches] == ["data/a.csv", "data/b.csv"]
    expected = {"n": pl.Float64(), "t": pl.Date(), "e": pl.String()}
    for _, frame in [*batches, *source.read_batches(version, shop.stores)]:
        assert frame.collect_schema() == expected
    assert shop.rows(source, version)["n"].to_list() == [1.0, 2.5]
    assert version.manifest.facts["batches"]["data/c.csv"]["rows"] == 0


def test_parquet_files(shop: Workshop) -> None:
    source = Source("raw", files("*.parquet"))
    pl.DataFrame({"n": [1, 2]}, schema={"n": pl.Int32}).write_parquet(shop.folder / "a.parquet")
    pl.DataFrame({"n": [3]}).write_parquet(shop.folder / "b.parquet")
    version = shop.land(source)
    assert shop.rows(source, version)["n"].to_list() == [1, 2, 3]
    assert version.manifest.facts["schema"] == {"n": "Int64"}


def refused(shop: Workshop, source: Source) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        shop.land(source)
    assert source.name not in shop.live
    return caught.value


def test_a_file_that_changes_while_it_is_read(shop: Workshop) -> None:
    source = csv_source()
    path = shop.write("data/a.csv", "n\n1\n")
    observation = shop.look(source)
    path.write_text("n\n2\n")
    with pytest.raises(HeadraceError, match="HR312") as caught:
        shop.make(source, {}, observation)
    assert "Run again" in caught.value.fix
    path.unlink()
    with pytest.raises(HeadraceError, match="HR302"):
        shop.make(source, {}, observation)
    assert not shop.stores.artefacts.paths()


def test_no_row_in_any_file(shop: Workshop) -> None:
    shop.write("data/a.csv", "n,t\n")
    shop.write("data/b.csv", "n,t\n")
    error = refused(shop, csv_source())
    assert error.what == "raw: no row in 2 batches, and nothing tells the types of n, t"
    assert "schema={'n': str}" in error.fix
    partly = refused(shop, Source("raw", files("data/*.csv", schema={"n": int})))
    assert partly.what.endswith("nothing tells the types of t")
    whole = Source("raw", files("data/*.csv", schema={"n": int, "t": pl.Date}))
    version = shop.land(whole)
    assert (version.rows, version.manifest.facts["schema"]) == (0, {"n": "Int64", "t": "Date"})
    assert shop.rows(whole, version).schema == {"n": pl.Int64(), "t": pl.Date()}


@pytest.mark.parametrize("name", ["a=1/f.csv", "a=1/f.xlsx", "a=1/f.parquet", "a=1/f.orc", "a=1/f.avro"])
def test_no_row_in_a_file_that_tells_its_types(shop: Workshop, name: str) -> None:
    kinds = {"n": pl.Int64(), "x": pl.Float64(), "t": pl.String(), "b": pl.Boolean(), "d": pl.Date()}
    ending = name.rpartition(".")[2]
    shop.write(name, MAKERS[ending](pl.DataFrame(schema=kinds)))
    schema = kinds if ending in ("csv", "xlsx") else {}
    source = Source("raw", files(f"**/*.{ending}", schema=schema, hive=True))
    version = shop.land(source)
    assert shop.rows(source, version).schema == {**kinds, "a": pl.String()}
    assert version.rows == 0
    shop.write(name.replace("f.", "g."), MAKERS[ending](pl.DataFrame({"n": [1]}).cast(pl.Int64).with_columns(x=1.5)))
    if not schema:
        grown = shop.land(source)
        assert (grown.rows, grown.manifest.facts["schema"]["t"]) == (1, "String")


def test_the_types_of_files_without_rows_count_only_where_there_is_no_row(shop: Workshop) -> None:
    source = Source("raw", files("*.parquet"))
    pl.DataFrame(schema={"n": pl.String}).write_parquet(shop.folder / "a.parquet")
    first = shop.land(source)
    assert first.manifest.facts["schema"] == {"n": "String"}
    pl.DataFrame({"n": [1]}).write_parquet(shop.folder / "b.parquet")
    second = shop.land(source)
    assert shop.rows(source, second)["n"].to_list() == [1]
    assert source.decide(second, first, shop.context("", {})).passed


def test_numbers_in_one_file_and_text_in_another(shop: Workshop) -> None:
    shop.write("data/a.csv", "n\n1\n")
    shop.write("data/b.csv", "n\nx\n")
    error = refused(shop, csv_source())
    said = "column 'n' is Int64 in data/a.csv and String in data/b.csv: 'x' in line 2"
    assert (error.code, error.what) == ("HR314", said)
    declared = Source("raw", files("data/*.csv", schema={"n": pl.String}))
    assert shop.rows(declared, shop.land(declared))["n"].to_list() == ["1", "x"]


def test_zeros_before_numbers_in_a_later_file(shop: Workshop) -> None:
    shop.write("data/a.csv", "id,zip\n1,90210\n")
    version = shop.land(csv_source())
    assert version.manifest.facts["schema"]["zip"] == "Int64"
    shop.write("data/b.csv", "id,zip\n1,90210\n2,00123\n")
    with pytest.raises(HeadraceError) as caught:
        shop.land(csv_source())
    said = "column 'zip' is Int64 in data/a.csv and String in data/b.csv: '00123' in line 3"
    assert (caught.value.code, caught.value.what) == ("HR314", said)
    assert shop.live["raw"][-1] == version
    for kind, zips in ((pl.String, ["90210", "90210", "00123"]), (pl.Int64, [90210, 90210, 123])):
        declared = Source(str(kind), files("data/*.csv", schema={"zip": kind}))
        assert shop.rows(declared, shop.land(declared))["zip"].to_list() == zips


def test_settings_say_how_files_are_parsed_and_not_where_they_lie() -> None:
    one, other = Source("raw", files("a/*.csv")), Source("raw", files("b/*.csv.gz"))
    assert canonical(one.settings()) == canonical(other.settings())

"""What a plan can say of new files before they are landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.ports.outside import Outside
from headrace.sources import peeking
from headrace.sources.files import files
from headrace.sources.source import Source
from tests.sources.making import MAKERS
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pl.DataFrame({"n": range(50), "s": [f"text {n}" for n in range(50)]})


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def told(shop: Workshop, name: str, content: str | bytes, **options: Any) -> list[tuple[str, tuple[str, ...]]]:  # noqa: ANN401
    """What is foreseen of a file that comes to one with a number and a text."""
    kind = name.partition(".")[2]
    of = Source("raw", files(f"data/*.{kind}", **options))
    shop.write(f"data/a.{kind}", MAKERS[kind](FRAME))
    (shop.folder / f"data/{name}").unlink(missing_ok=True)
    before = shop.land(of)
    shop.write(f"data/{name}", content)
    seen = shop.look(of)
    assert seen is not None
    return [(each.text, each.columns) for each in of.foresee(seen, before, Outside(shop.folder, shop.stores))]


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize("small", [True, False])
def test_a_column_that_is_gone(shop: Workshop, kind: str, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not small:
        monkeypatch.setattr(peeking, "_SMALL", 0)
    found = told(shop, f"b.{kind}", MAKERS[kind](FRAME.drop("s")))
    if not small and kind.partition(".")[0] in ("ndjson", "avro", "xlsx"):
        assert found == []  # nothing is known of these before all of them is read
        return
    assert found == [
        (f"breaking: column s (String) is gone in data/b.{kind}, which stops until it is accepted", ("s",))
    ]


def test_a_small_file_is_read_whole(shop: Workshop) -> None:
    assert told(shop, "b.csv", "n,s,x\n0.5,a,2013-01-01\n,b,\n") == [
        ("widening: column n holds nulls in data/b.csv, for the first time", ("n",)),
        ("widening: column n was Int64 and is Float64 in data/b.csv", ("n",)),
        ("safe: column x (Date) is new in data/b.csv", ("x",)),
    ]
    assert told(shop, "b.csv", "n,s\n1\n") == [("stops: HR307 data/b.csv, line 2: 1 fields where the header has 2", ())]


@pytest.mark.parametrize("rule", ["widen", "accept"])
def test_types_that_nobody_can_accept(shop: Workshop, rule: str) -> None:
    of = Source("raw", files("data/*.csv"), on_change=rule)
    shop.write("data/a.csv", "n\n1\n")
    before = shop.land(of)
    shop.write("data/b.csv", "n\nx\n")
    seen = shop.look(of)
    assert seen is not None
    [found] = of.foresee(seen, before, Outside(shop.folder, shop.stores))
    assert found.text.endswith("in data/b.csv, which stops until it is mended or its type is declared")
    (shop.folder / "data/a.csv").unlink()
    alone = shop.look(of)
    assert alone is not None
    [found] = of.foresee(alone, before, Outside(shop.folder, shop.stores))
    assert found.text.endswith(
        "is String in data/b.csv" + (", which stops until it is accepted" if rule == "widen" else "")
    )


def test_a_renamed_column_names_both(shop: Workshop) -> None:
    assert told(shop, "b.csv", "number,s_\n1,x\n")[-1][1] == ("number",)
    [first, *_] = told(shop, "b.csv", "n,ss\n1,x\n")
    assert first[1] == ("s", "ss")


def test_the_same_as_before(shop: Workshop) -> None:
    assert told(shop, "b.csv", "s,n\nx,1\n") == []


def test_the_types_of_a_footer(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peeking, "_SMALL", 0)
    found = told(shop, "b.parquet", MAKERS["parquet"](FRAME.with_columns(pl.col("n").cast(pl.String))))
    assert found[0][0].startswith("breaking: column n was Int64 and is String in data/b.parquet")


def test_a_file_that_is_gone_by_now_says_nothing(shop: Workshop) -> None:
    of = Source("raw", files("data/*.csv"))
    shop.write("data/a.csv", "n\n1\n")
    before = shop.land(of)
    shop.write("data/b.csv", "m\n1\n")
    seen = shop.look(of)
    assert seen is not None
    (shop.folder / "data/b.csv").unlink()
    assert of.foresee(seen, before, Outside(shop.folder, shop.stores)) == []

"""Rows that keep a contract, and rows that are set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.tables.contract import Contract, column
from headrace.tables.quarantine import keep_rows, split
from headrace.tables.uniqueness import set_doubles_aside, with_doubles
from tests.tables.oracle import Row, comparable, expected

if TYPE_CHECKING:
    from collections.abc import Sequence

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = pl.Datetime("us", "UTC")


class Everything(Contract):
    """Each rule of each type."""

    k1: int = column(key=True)
    k2: str = column(key=True, min_length=1)
    code: str | None = column(unique=True, matches="[a-c]+", max_length=2)
    word: str = column(isin=("a", "b", "c", ""))
    whole: int | None = column(gt=-2, le=2, isin=(0, 1, 2, 3))
    real: float = column(ge=0, lt=2.5)
    maybe: float | None = column(gt=0)
    flag: bool = column(isin=(True,))
    day: date | None = column(ge=date(2024, 1, 1), lt=date(2024, 1, 3))
    at: datetime = column(event_time=True, le=MOMENT + timedelta(days=1))
    known: datetime | None = column(known_at=True, isin=(MOMENT, MOMENT + timedelta(days=1)))


SCHEMA: dict[str, pl.DataType] = {
    "k1": pl.Int64(),
    "k2": pl.String(),
    "code": pl.String(),
    "word": pl.String(),
    "whole": pl.Int64(),
    "real": pl.Float64(),
    "maybe": pl.Float64(),
    "flag": pl.Boolean(),
    "day": pl.Date(),
    "at": MOMENTS,
    "known": MOMENTS,
}
DAYS = st.sampled_from([MOMENT + timedelta(days=n) for n in range(3)])
FLOATS = st.sampled_from([0.0, 1.5, -1.0, 2.5, float("nan"), float("inf")])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k1": st.one_of(st.integers(0, 1), st.none()),
            "k2": st.sampled_from(["a", "b", "", None]),
            "code": st.sampled_from(["a", "b", "ab", "abc", "x", "", "a\n", None, "é"]),
            "word": st.sampled_from(["a", "b", "d", "", None]),
            "whole": st.one_of(st.integers(-3, 4), st.none()),
            "real": st.one_of(FLOATS, st.none()),
            "maybe": st.one_of(FLOATS, st.none()),
            "flag": st.one_of(st.booleans(), st.none()),
            "day": st.one_of(DAYS.map(datetime.date), st.none()),
            "at": st.one_of(DAYS, st.none()),
            "known": st.one_of(DAYS, st.none()),
        }
    ),
    max_size=12,
)
GOOD: Row = dict(
    zip(SCHEMA, (1, "a", "a", "a", 1, 1.0, 1.0, True, date(2024, 1, 1), MOMENT, MOMENT), strict=True),
)


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


@settings(max_examples=400)
@given(ROWS)
def test_a_split_is_what_the_rules_say_row_by_row(rows: list[Row]) -> None:
    found = split(frame(rows), Everything, table="t", batch="b")
    clean, aside = expected(rows, Everything)
    assert comparable(found.clean.to_dicts()) == comparable(clean)
    assert found.clean.rows() == [tuple(row.values()) for row in clean]
    assert comparable(found.quarantined.select(list(SCHEMA)).to_dicts()) == comparable([row for row, _ in aside])
    assert sorted(found.quarantined["_column"]) == sorted("; ".join(names) for _, names in aside)
    assert sum(found.counts.values()) == sum(len(names) for _, names in aside)
    assert found.clean.height + found.quarantined.height == len(rows)


@settings(max_examples=200)
@given(ROWS, ROWS, ROWS)
def test_batches_are_split_as_one(one: list[Row], two: list[Row], three: list[Row]) -> None:
    parts = [
        keep_rows(frame(rows), Everything, table="t", batch=name)
        for name, rows in zip("abc", (one, two, three), strict=True)
    ]
    apart = set_doubles_aside(parts, list("abc"), Everything)
    whole = split(frame([*one, *two, *three]), Everything, table="t")
    assert [row for part in apart for row in part.clean.rows()] == whole.clean.rows()
    aside = pl.concat([part.quarantined for part in apart])
    assert comparable(aside.drop("_batch").to_dicts()) == comparable(whole.quarantined.drop("_batch").to_dicts())
    for name, part in zip("abc", apart, strict=True):
        assert part.quarantined["_batch"].unique().to_list() in ([], [name])


def test_every_broken_rule_of_a_row_is_told() -> None:
    rows = [{**GOOD, "word": "zz", "whole": 5, "real": None, "maybe": float("nan")}]
    found = split(frame([GOOD, *rows]), Everything, table="t", batch="data/a.csv")
    [row] = found.quarantined.to_dicts()
    assert row["_rule"] == "word in ('a', 'b', 'c', ''); whole <= 2; whole in (0, 1, 2, 3); real is not null"
    assert row["_column"] == "word; whole; whole; real"
    assert row["_value"] == "zz; 5; 5; null"
    assert row["_batch"] == "data/a.csv"
    assert found.counts == {
        "word in ('a', 'b', 'c', '')": 1,
        "whole <= 2": 1,
        "whole in (0, 1, 2, 3)": 1,
        "real is not null": 1,
    }
    assert found.clean.to_dicts() == [GOOD]


def test_limits_are_spelled_as_the_user_did() -> None:
    found = split(frame([{**GOOD, "real": -1.0, "maybe": float("inf")}]), Everything, table="t")
    assert found.quarantined["_rule"].item() == "real >= 0"
    found = split(frame([{**GOOD, "real": 3.0}]), Everything, table="t")
    assert found.quarantined["_rule"].item() == "real < 2.5"


def test_doubles_are_told_with_their_values() -> None:
    rows = [
        GOOD,
        {**GOOD, "code": "b"},
        {**GOOD, "k1": 2},
        {**GOOD, "k1": 3, "code": None},
        {**GOOD, "k1": 4, "code": None},
    ]
    found = split(frame(rows), Everything, table="t")
    assert found.clean["k1"].to_list() == [1, 3, 4]
    told = found.quarantined.select("_rule", "_column", "_value").rows()
    assert told == [("k1, k2 is unique", "k1, k2", "1, a"), ("code is unique", "code", "a")]


def test_a_broken_row_is_told_that_a_clean_one_has_its_key() -> None:
    broken = {**GOOD, "word": "zz"}
    found = split(frame([broken, GOOD, {**GOOD, "code": "b", "k1": None}]), Everything, table="t")
    told = with_doubles(found.quarantined.lazy(), found.clean.lazy(), Everything).collect()
    assert told["_rule"].to_list() == [
        "word in ('a', 'b', 'c', ''); k1, k2 is unique; code is unique",
        "k1 is not null",
    ]
    assert told["_column"].to_list() == ["word; k1, k2; code", "k1"]
    assert told["_value"].to_list() == ["zz; 1, a; a", "null"]
    assert told.drop("_rule", "_column", "_value").equals(found.quarantined.drop("_rule", "_column", "_value"))


@settings(max_examples=100)
@given(ROWS)
def test_every_rule_that_a_row_breaks_is_told(rows: list[Row]) -> None:
    found = split(frame(rows), Everything, table="t")
    told = with_doubles(found.quarantined.lazy(), found.clean.lazy(), Everything).collect()
    assert told.height == found.quarantined.height
    clean = found.clean.to_dicts()
    for row in told.to_dicts():
        for names in (("k1", "k2"), ("code",)):
            values = [row[name] for name in names]
            taken = None not in values and values in [[each[name] for name in names] for each in clean]
            assert (f"{', '.join(names)} is unique" in row["_rule"].split("; ")) == taken


def test_a_double_of_a_broken_row_stays() -> None:
    found = split(frame([{**GOOD, "word": "zz"}, GOOD]), Everything, table="t")
    assert found.clean.to_dicts() == [GOOD]
    assert found.counts == {"word in ('a', 'b', 'c', '')": 1}


def test_a_missing_number_is_null_in_clean_rows_and_kept_aside() -> None:
    nan = float("nan")
    found = split(
        frame([{**GOOD, "maybe": nan}, {**GOOD, "k1": 2, "code": None, "real": nan, "maybe": nan}]),
        Everything,
        table="t",
    )
    assert found.clean["maybe"].to_list() == [None]
    assert found.quarantined.select("_rule", "_value").row(0) == ("real is not null", "NaN")
    assert found.quarantined["maybe"].is_nan().all()


def test_a_contract_without_rules_keeps_everything() -> None:
    class Loose(Contract):
        x: int | None

    found = split(pl.DataFrame({"x": [1, None, 1]}), Loose, table="t")
    assert (found.clean.height, found.quarantined.height, found.counts) == (3, 0, {})
    assert found.quarantined.schema.names() == ["x", "_rule", "_column", "_value", "_batch"]


def test_the_quarantine_has_the_same_schema_whatever_broke() -> None:
    for rows in ([GOOD], [{**GOOD, "word": None}], []):
        found = split(frame(rows), Everything, table="t")
        assert found.quarantined.schema == {
            **SCHEMA,
            **dict.fromkeys(("_rule", "_column", "_value", "_batch"), pl.String()),
        }


class Narrow(Contract):
    n: int
    r: float
    t: str
    at: datetime


FITTING = {"n": [1], "r": [0.5], "t": ["x"], "at": [MOMENT]}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *[("n", pl.Series([1], dtype=kind)) for kind in (pl.Int8, pl.Int32, pl.UInt32, pl.UInt64, pl.Int128)],
        ("n", pl.Series([Decimal(1)], dtype=pl.Decimal(38, 0))),
        *[("r", pl.Series([1], dtype=kind)) for kind in (pl.Float32, pl.Int16, pl.Int64, pl.UInt64)],
        *[("t", pl.Series(["x"], dtype=kind)) for kind in (pl.Categorical, pl.Enum(["x"]))],
        *[("at", pl.Series([datetime(2024, 1, 1)], dtype=pl.Datetime(unit))) for unit in ("ms", "us", "ns")],  # noqa: DTZ001 - without a zone
        ("at", pl.Series([MOMENT]).dt.convert_time_zone("Asia/Tokyo")),
    ],
)
def test_what_keeps_every_value_is_converted(name: str, values: pl.Series) -> None:
    found = split(pl.DataFrame({**FITTING, name: values}), Narrow, table="t")
    assert found.clean.schema == {"n": pl.Int64(), "r": pl.Float64(), "t": pl.String(), "at": MOMENTS}
    assert found.clean[name].to_list() == [{"n": 1, "r": 1.0, "t": "x", "at": MOMENT}[name]]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("n", pl.Series(["1"]), "t.n is String, and its contract says Int64"),
        ("n", pl.Series([1.0]), "t.n is Float64"),
        ("n", pl.Series([True]), "t.n is Boolean"),
        ("n", pl.Series([2**63], dtype=pl.UInt64), "t.n is UInt64 with values that Int64 does not hold"),
        ("n", pl.Series([Decimal("1.5")]), "t.n is Decimal"),
        ("r", pl.Series([2**53 + 1]), "t.r is Int64 with values that Float64 does not hold"),
        ("r", pl.Series(["0.5"]), "t.r is String"),
        ("t", pl.Series([1]), "t.t is Int64, and its contract says String"),
        ("at", pl.Series([date(2024, 1, 1)]), "t.at is Date, and its contract says Datetime"),
        ("at", pl.Series(["2024-01-01"]), "t.at is String"),
        ("at", pl.Series([1], dtype=pl.Int64).cast(pl.Datetime("ns")), "with fractions of a microsecond"),
    ],
)
def test_a_type_that_does_not_fit(name: str, values: pl.Series, said: str) -> None:
    with pytest.raises(HeadraceError, match="HR407") as caught:
        split(pl.DataFrame({**FITTING, name: values}), Narrow, table="t")
    assert said in caught.value.what
    if values.dtype == pl.String:
        assert f'pl.col("{name}")' in caught.value.fix


def test_a_column_without_any_value() -> None:
    found = split(pl.DataFrame({**FITTING, "n": [None]}), Narrow, table="t")
    assert found.quarantined["n"].dtype == pl.Int64()
    assert found.counts == {"n is not null": 1}


def test_a_missing_column() -> None:
    with pytest.raises(HeadraceError, match="HR406") as caught:
        split(pl.DataFrame(FITTING).rename({"at": "att"}), Narrow, table="t")
    assert "did you mean 'att'?" in caught.value.fix


def test_a_column_too_many() -> None:
    class Strict(Narrow, strict=True):
        """No other column."""

    rows = pl.DataFrame({**FITTING, "more": 1}).lazy()
    assert split(rows, Narrow, table="t").clean.equals(split(pl.DataFrame(FITTING), Narrow, table="t").clean)
    with pytest.raises(HeadraceError, match="HR408") as caught:
        split(rows, Strict, table="t")
    assert caught.value.what == "t has columns that its contract does not name: more"


def test_the_order_of_columns_is_that_of_the_contract() -> None:
    found = split(pl.DataFrame(FITTING).select("at", "t", "r", "n"), Narrow, table="t")
    assert found.clean.columns == ["n", "r", "t", "at"]

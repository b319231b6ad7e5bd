"""Rules with a name: of several columns, of the whole table, and against the last good version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import champion, drift, metric
from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.tables import col, rows, rule
from headrace.tables.contract import Contract, column
from headrace.tables.measuring import measured, psi
from headrace.tables.quarantine import checks, split
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.tables.expressions import Expression

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
NAN = float("nan")


class Trip(Contract):
    """Two times, two numbers, a text and a truth value, all of which may be missing."""

    left: datetime | None
    arrived: datetime | None
    a: float | None
    b: int | None
    word: str | None
    gone: bool | None


SCHEMA: dict[str, Any] = {
    "left": pl.Datetime("us", "UTC"),
    "arrived": pl.Datetime("us", "UTC"),
    "a": pl.Float64(),
    "b": pl.Int64(),
    "word": pl.String(),
    "gone": pl.Boolean(),
}
TIMES = st.one_of(st.none(), st.integers(0, 3).map(lambda hours: MOMENT + timedelta(hours=hours)))
FRAMES = st.lists(
    st.fixed_dictionaries(
        {
            "left": TIMES,
            "arrived": TIMES,
            "a": st.one_of(st.none(), st.sampled_from([0.0, 1.0, -2.5, float("nan")])),
            "b": st.one_of(st.none(), st.integers(-1, 2)),
            "word": st.one_of(st.none(), st.sampled_from(["", "ab", "abc"])),
            "gone": st.one_of(st.none(), st.booleans()),
        }
    ),
    max_size=8,
)


def under(says: Expression, **more: Any) -> type[Contract]:  # noqa: ANN401 - of a rule
    """The contract of a trip with one rule more."""
    return type("Ruled", (Trip,), {"it": rule(says, **more), "__module__": __name__})


def of_x(rules: object) -> type[Contract]:
    return type("Made", (Contract,), {"__annotations__": {"x": int}, "x": rules, "__module__": __name__})


def known(*values: object) -> bool:
    return all(value is not None and value == value for value in values)  # noqa: PLR0124 - NaN is no value


ORACLE: list[tuple[Expression, Callable[[dict[str, Any]], bool]]] = [
    (col("arrived") >= col("left"), lambda r: not known(r["arrived"], r["left"]) or r["arrived"] >= r["left"]),
    (
        col("arrived") - col("left") <= timedelta(hours=2),
        lambda r: not known(r["arrived"], r["left"]) or r["arrived"] - r["left"] <= timedelta(hours=2),
    ),
    (col("a") / col("b") > 0, lambda r: not known(r["a"], r["b"]) or r["b"] == 0 or r["a"] / r["b"] > 0),
    (
        col("gone") | (col("word").length() > 2),
        lambda r: r["gone"] is not False or (r["word"] is None or len(r["word"]) > 2),
    ),
    (~col("gone") | col("arrived").is_null(), lambda r: r["gone"] is not True or r["arrived"] is None),
    (col("a").is_not_null() & (col("b") != 1), lambda r: known(r["a"]) and (r["b"] is None or r["b"] != 1)),
    (col("word").is_in(("ab", "abc")), lambda r: r["word"] is None or r["word"] in ("ab", "abc")),
    (col("word").matches("ab?"), lambda r: r["word"] is None or r["word"] in ("a", "ab")),
    (2 * col("a") + col("b") >= -1, lambda r: not known(r["a"], r["b"]) or 2 * r["a"] + r["b"] >= -1),
    (1 - col("a").abs() >= 0, lambda r: not known(r["a"]) or 1 - abs(r["a"]) >= 0),
]


@settings(max_examples=60, deadline=None)
@given(FRAMES)
@pytest.mark.parametrize("place", range(len(ORACLE)))
def test_a_rule_of_several_columns_row_by_row(place: int, frame: list[dict[str, Any]]) -> None:
    says, holds = ORACLE[place]
    found = split(pl.DataFrame(frame, schema=SCHEMA), under(says), table="t")
    assert found.quarantined.height == sum(not holds(row) for row in frame)
    assert found.clean.height == sum(holds(row) for row in frame)


def test_what_a_broken_rule_of_several_columns_tells() -> None:
    contract = under(col("arrived") >= col("left"))
    frame = pl.DataFrame([{"left": MOMENT, "arrived": MOMENT - timedelta(hours=1)}], schema=SCHEMA)
    [row] = split(frame, contract, table="t").quarantined.to_dicts()
    assert row["_rule"] == "it: arrived >= left"
    assert row["_column"] == "arrived, left"
    assert (
        row["_value"] == "2023-12-31 23:00:00.000000 UTC, 2024-01-01 00:00:00.000000 UTC"
        or "2023-12-31" in row["_value"]
    )


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (col("arrived") >= col("left"), "arrived >= left"),
        (~col("gone") | (col("a") * 2 > 1.0), "(~gone) | ((a * 2) > 1)"),
        (col("word").is_in(["x"]) & col("word").matches("x+"), "(word in ('x')) & (word matches x+)"),
        (col("arrived") - col("left") <= timedelta(hours=2), "(arrived - left) <= 2h"),
        (col("word").length() != 3, "length(word) != 3"),
        (col("a").is_null(), "a is null"),
    ],
)
def test_how_a_rule_is_spelled(says: Expression, text: str) -> None:
    assert str(says) == text


def test_a_rule_is_part_of_what_is_made() -> None:
    def plain(says: Expression, **more: Any) -> bytes:  # noqa: ANN401 - of a rule
        return canonical(under(says, **more).__headrace_canonical__())

    one = plain(col("a") > 1)
    assert one == plain(col("a") > 1)
    others = [plain(col("a") > 2), plain(col("a") >= 1), plain(col("b") > 1), plain(col("a") > 1, on_breach="warn")]
    assert len({one, *others}) == 5


def test_a_contract_without_named_rules_has_the_fingerprint_that_it_had() -> None:
    assert isinstance(Trip.__headrace_canonical__(), list)


def test_rules_are_inherited() -> None:
    base = under(col("a") > 1)
    derived: type[Contract] = type(
        "Derived", (base,), {"it": rule(col("a") > 2), "more": rule(rows() > 1), "__module__": __name__}
    )
    assert [each.text for each in checks(derived)] == ["it: a > 2"]
    assert [each.text for each in derived.__whole__] == ["more: rows > 1"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("HR428", lambda: rule("a > 1")),  # type: ignore[arg-type]
        ("HR428", lambda: under(col("a"))),
        ("HR428", lambda: under(col("a") > "x")),
        ("HR428", lambda: under(col("word") > "x")),
        ("HR428", lambda: under(col("a").length() > 1)),
        ("HR428", lambda: under(col("gone") & col("a"))),
        ("HR428", lambda: under(col("left") + col("arrived") > MOMENT)),
        ("HR428", lambda: col("a") > 1 and col("b") > 1),
        ("HR428", lambda: col("a") > None),  # type: ignore[operator]
        ("HR428", lambda: col("a") > NAN),
        ("HR428", lambda: under(col("a").is_in([]))),
        ("HR428", lambda: col("a").is_in([col("b")])),  # type: ignore[list-item]
        ("HR428", lambda: col("")),
        ("HR429", lambda: under(col("arived") >= col("left"))),
        ("HR429", lambda: under(col("missing").mean() > 1)),  # type: ignore[arg-type]
        ("HR430", lambda: under(col("word").mean() > 1)),  # type: ignore[arg-type]
        ("HR430", lambda: under(metric("roc_auc") > 1)),  # type: ignore[arg-type]
        ("HR430", lambda: under(col("a").quantile(2) > 1)),  # type: ignore[arg-type]
        ("HR430", lambda: under(col("a").psi() < champion)),  # type: ignore[arg-type]
        ("HR430", lambda: under(col("a").share("x") > 0.1)),  # type: ignore[arg-type]
        ("HR430", lambda: under(col("word").share(True) > 0.1)),  # type: ignore[arg-type]
        ("HR405", lambda: under(col("word").matches("(a"))),
        ("HR409", lambda: rule(rows() > 1, on_breach="quarantine")),
        ("HR409", lambda: rule(col("a") > 1, on_breach="wrn")),
        ("HR405", lambda: of_x(column(gt=0, on_breach="w"))),
        (
            "HR405",
            lambda: type("Made", (Contract,), {"__annotations__": {"x": int}, "x": column(key=True, on_breach="warn")}),
        ),
        ("HR431", lambda: of_x(column(references=Trip))),
        ("HR123", lambda: champion * 0),
    ],
)
def test_a_rule_that_cannot_be(code: str, says: Callable[[], object]) -> None:
    with pytest.raises(HeadraceError) as caught:
        says()
    assert caught.value.code == code


def test_a_rule_that_names_no_column_is_told_which() -> None:
    with pytest.raises(HeadraceError, match="HR429") as caught:
        under(col("arived") >= col("left"))
    assert "Did you mean 'arrived'?" in caught.value.fix


def test_all_measures() -> None:
    frame = pl.LazyFrame(
        {
            "a": [1.0, 2.0, None, 4.0],
            "w": ["x", "x", "y", None],
            "at": [MOMENT, MOMENT + timedelta(hours=1), None, MOMENT],
        },
        schema_overrides={"at": SCHEMA["left"]},
    )
    wanted = [
        rows(),
        col("a").nulls(),
        col("a").mean(),
        col("a").std(),
        col("a").min(),
        col("a").max(),
        col("w").distinct(),
        col("a").quantile(0.5),
        col("w").share("x"),
        col("at").age(MOMENT + timedelta(hours=3)),
        col("at").max(),
    ]
    found = measured(frame, wanted)
    assert list(found.values())[:2] == [4.0, 0.25]
    assert found["mean(a)"] == pytest.approx(7 / 3)
    assert found["std(a)"] == pytest.approx(1.5275252)
    assert (found["min(a)"], found["max(a)"], found["distinct(w)"], found["quantile(a, 0.5)"]) == (1, 4, 2, 2)
    assert found["share(w = 'x')"] == 0.5
    assert found["max(at)"] == (MOMENT + timedelta(hours=1)).timestamp()
    assert wanted[-2].shown(list(found.values())[-2]) == "2h"


def test_the_distance_of_two_columns() -> None:
    before = pl.LazyFrame({"a": [float(n) for n in range(1000)], "w": ["x", "y"] * 500})
    assert psi("a", before, before) == 0
    assert psi("w", before, before) == 0
    moved = before.with_columns(pl.col("a") + 300, pl.lit("z").alias("w"))
    assert (psi("a", moved, before) or 0) > 0.25
    assert (psi("w", moved, before) or 0) > 0.25
    assert psi("a", before.head(0), before) is None


class Order(Contract):
    order_id: int = column(key=True)
    shop: str = column(isin=("a", "b"), on_breach="warn")
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)
    enough = rule(rows() >= 2)
    known = rule(col("amount").nulls() <= 0.5, on_breach="warn")
    typical = rule(col("amount").mean() <= 10, on_breach="warn")


HEAD = "order_id,shop,amount,at\n"
ROWS = HEAD + "1,a,5,2024-01-02T00:00:00\n2,b,2.5,2024-01-01T12:00:00\n"


def same(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_what_warns_is_kept_and_told(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS + "3,x,50,2024-01-03T00:00:00\n4,x,-1,2024-01-03T00:00:00\n")
    table = Table("orders", [csv_source()], same, contract=Order)
    version = shop.table(table)
    assert shop.rows(table, version)["order_id"].to_list() == [1, 2, 3]
    aside = shop.aside(table, version)
    assert aside["_rule"].to_list() == ["shop in ('a', 'b'); amount >= 0"]
    facts = version.manifest.facts
    told = {each["rule"]: each for each in facts["results"]}
    assert told["shop in ('a', 'b')"] == {
        "rule": "shop in ('a', 'b')",
        "on_breach": "warn",
        "broken": 2,
        "passed": False,
    }
    assert told["enough: rows >= 2"] == {"rule": "enough: rows >= 2", "on_breach": "fail", "passed": True, "seen": "3"}
    assert told["typical: mean(amount) <= 10"]["seen"] == "19.1667"
    assert facts["measures"]["nulls(amount)"] == 0
    assert facts["warnings"] == ["shop in ('a', 'b'): 2 rows", "typical: mean(amount) <= 10: 19.1667"]
    assert any("warning: typical" in line for line in shop.said)


def test_a_whole_table_that_fails(shop: Workshop) -> None:
    shop.write("data/a.csv", HEAD + "1,a,5,2024-01-02T00:00:00\n")
    with pytest.raises(HeadraceError, match="HR427") as caught:
        shop.table(Table("orders", [csv_source()], same, contract=Order))
    assert caught.value.what == "orders: enough: rows >= 2 (1)"
    assert not shop.stores.tables.paths()


def test_one_rule_stops_the_table(shop: Workshop) -> None:
    class Strict(Contract):
        order_id: int = column(key=True)
        shop: str
        amount: float = column(ge=0, on_breach="fail")
        at: datetime = column(gt=MOMENT)

    table = Table("orders", [csv_source()], same, contract=Strict)
    shop.write("data/a.csv", ROWS + "3,x,5,2023-01-03T00:00:00\n")
    assert shop.table(table).manifest.facts["quarantined"] == 1
    shop.write("data/a.csv", ROWS + "3,x,-5,2024-01-03T00:00:00\n")
    with pytest.raises(HeadraceError, match="HR412") as caught:
        shop.table(table)
    assert "rows break a rule that allows none (amount >= 0: 1)" in caught.value.what


def test_a_key_never_only_warns(shop: Workshop) -> None:
    class Loose(Contract):
        order_id: int = column(key=True)
        shop: str = column(unique=True)
        amount: float
        at: datetime

    shop.write("data/a.csv", ROWS + "2,c,1,2024-01-03T00:00:00\n3,a,,2024-01-03T00:00:00\n")
    version = shop.table(Table("orders", [csv_source()], same, contract=Loose, on_breach="warn"))
    facts = version.manifest.facts
    assert (facts["rows"], facts["quarantined"]) == (3, 1)
    assert facts["rules"] == {"amount is not null": 1, "order_id is unique": 1, "shop is unique": 1}
    assert facts["warnings"] == ["amount is not null: 1 rows", "shop is unique: 1 rows"]


def test_an_incremental_table_is_measured_as_a_whole(shop: Workshop) -> None:
    table = Table("orders", [csv_source()], same, contract=Order, incremental=True)
    shop.write("data/a.csv", ROWS)
    shop.table(table)
    shop.write("data/b.csv", HEAD + "3,a,6,2024-01-02T00:00:00\n")
    version = shop.table(table)
    assert version.manifest.facts["new_rows"] == 1
    assert version.manifest.facts["measures"] == {"rows": 3, "nulls(amount)": 0, "mean(amount)": 4.5}


class Airport(Contract):
    code: str = column(key=True)


def test_a_reference_to_another_table(shop: Workshop) -> None:
    shop.write("data/a.csv", "code\nJFK\nLGA\n")
    shop.write("trips/a.csv", "origin,dest\nJFK,LGA\nJFK,XXX\nLGA,\n")
    places = csv_source("places")
    airports = Table("airports", [places], same, contract=Airport)

    class Leg(Contract):
        origin: str = column(references=airports)
        dest: str | None = column(references=airports)

    raw = csv_source("legs", "trips/*.csv")
    legs = Table("legs_clean", [raw], same, contract=Leg, incremental=True)
    assert [each.name for each in legs.inputs] == ["legs", "airports"]
    landed = {"places": shop.land(places)}
    inputs = {"airports": shop.make(airports, landed), "legs": shop.land(raw)}
    version = shop.make(legs, inputs)
    aside = shop.aside(legs, version)
    assert aside.select("dest", "_rule", "_value").rows() == [("XXX", "dest is in airports", "XXX")]
    assert [key for _, key in version.inputs] == [inputs["legs"].key, inputs["airports"].key]

    shop.write("data/a.csv", "code\nJFK\nLGA\nXXX\n")
    inputs["airports"] = shop.make(airports, {"places": shop.land(places)})
    again = shop.make(legs, inputs)
    assert (again.rows, again.manifest.facts["quarantined"]) == (3, 0)


class Judged(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float
    at: datetime
    shrinks = rule(rows() >= champion * 0.9)
    steady = rule(drift("amount") < 0.25, on_breach="warn")


def test_a_rule_against_the_last_good_version_is_a_decision(shop: Workshop) -> None:
    table = Table("orders", [csv_source()], same, contract=Judged)
    assert table.gated
    lines = [f"{n},a,{n},2024-01-02T00:00:00\n" for n in range(100)]
    shop.write("data/a.csv", HEAD + "".join(lines))
    first = shop.table(table)
    context = shop.context("", {})
    decision = table.decide(first, None, context)
    assert decision.passed
    assert [each.seen for each in decision.outcomes] == ["no good version yet"] * 2
    shop.write("data/a.csv", HEAD + "".join(lines[:80]))
    second = shop.table(table)
    refused = table.decide(second, first, context)
    assert not refused.passed
    assert refused.outcomes[0].condition == "shrinks: rows >= champion * 0.9"
    assert refused.outcomes[0].seen == "80, champion 100"
    assert refused.key == table.decision_key(second, first) != decision.key
    shop.write("data/a.csv", HEAD + "".join(f"{n},a,{n * 1000},2024-01-02T00:00:00\n" for n in range(100)))
    third = table.decide(shop.table(table), first, context)
    assert third.passed
    assert third.facts["warned"] == ["steady: psi(amount) < 0.25"]


def test_what_is_decided_is_no_part_of_what_is_made() -> None:
    class Plain(Contract):
        order_id: int = column(key=True)
        shop: str
        amount: float
        at: datetime

    assert canonical(Judged.__headrace_canonical__()) == canonical(Plain.__headrace_canonical__())

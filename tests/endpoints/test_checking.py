"""What a row may hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints.checking import Checker
from headrace.endpoints.service import Field
from headrace.errors import HeadraceError

FIELDS = (
    Field("distance", "number", required=True),
    Field("delayed", "boolean", required=True),
    Field("origin", "text", required=True, entity=True),
    Field("mean_delay", "number", required=False, view="airports"),
    Field("flights", "number", required=False, view="airports"),
    Field("flight_id", "text", required=False, key=True),
)
GOOD = {"distance": 1.5, "delayed": False, "origin": "JFK"}
SENT = {"mean_delay": 2, "flights": None}
VALUES = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1),
    "boolean": st.booleans(),
    "text": st.text(),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


def refused(*rows: dict[str, object]) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        Checker(FIELDS).check(rows)
    return caught.value


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        GOOD | SENT,
        GOOD | {"flight_id": "UA1-EWR"},
        GOOD | {"flight_id": None},
        GOOD | {"distance": None},
        GOOD | {"distance": -(2**63)},
        GOOD | {"distance": 2**64 - 1},
        GOOD | {"origin": ""},
        GOOD | SENT | {"origin": None},
    ],
)
def test_a_row_that_fits_passes(row: dict[str, object]) -> None:
    Checker(FIELDS).check([row])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, True, "1", [], {}])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    error = refused(GOOD | {"distance": value})
    assert error.code == "HR910"
    assert "row 0: 'distance'" in error.what
    assert "a finite number" in error.what


@pytest.mark.parametrize(
    ("name", "value"), [("delayed", 1), ("delayed", "true"), ("origin", 1), ("origin", ["JFK"]), ("flight_id", 1)]
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    assert refused(GOOD | {name: value}).code == "HR910"


def test_an_unknown_field_is_told_what_is_near() -> None:
    error = refused(GOOD, GOOD | {"distanse": 1})
    assert (error.code, error.what) == ("HR908", "row 1: 'distanse'")
    assert error.fix == "Did you mean 'distance'?"


def test_a_long_name_or_value_is_cut() -> None:
    assert len(refused({"x" * 9_999: 1}).what) < 200
    assert len(refused(GOOD | {"distance": "x" * 9_999}).what) < 200


def test_what_is_missing_is_named() -> None:
    assert refused(GOOD, {"delayed": True, "origin": "JFK"}).what == "row 1 lacks 'distance'"
    assert refused({"delayed": True, "origin": "JFK"}).code == "HR909"


@pytest.mark.parametrize(
    "row",
    [
        {"distance": 1, "delayed": None},
        {"distance": 1, "delayed": None} | SENT,
        GOOD | {"origin": None},
        GOOD | {"origin": None, "flights": 1},
    ],
)
def test_features_are_not_looked_up_by_nothing(row: dict[str, object]) -> None:
    error = refused(row)
    assert error.code == "HR918"
    assert "'origin'" in error.what


@given(st.fixed_dictionaries({each.name: VALUES[each.kind] for each in FIELDS}))
def test_every_row_of_the_right_types_passes(row: dict[str, object]) -> None:
    Checker(FIELDS).check([row])


@given(st.dictionaries(st.sampled_from([*(each.name for each in FIELDS), "other"]), ANYTHING))
def test_a_row_passes_exactly_if_it_fits(row: dict[str, object]) -> None:
    kinds = {each.name: each.kind for each in FIELDS}

    def fits(name: str, value: object) -> bool:
        if name not in kinds or value is None:
            return name in kinds
        if type(value) is float:
            return kinds[name] == "number" and math.isfinite(value)
        if type(value) is int:
            return kinds[name] == "number" and -(2**63) <= value < 2**64
        return type(value) is {"boolean": bool, "text": str, "number": float}[kinds[name]]

    looked_up = row.get("origin") is not None or {"mean_delay", "flights"} <= row.keys()
    expected = all(fits(*item) for item in row.items()) and row.keys() >= GOOD.keys() and looked_up
    if expected:
        Checker(FIELDS).check([row])
    else:
        assert refused(row).code in {"HR908", "HR909", "HR910", "HR918"}


@given(st.lists(st.fixed_dictionaries({}, optional={"carrier": st.none() | st.sampled_from(["AA", "B6", "ZZ", ""])})))
def test_texts_that_the_model_has_not_seen(rows: list[dict[str, object]]) -> None:
    checker = Checker((Field("carrier", "text", required=False, categories=("AA", "B6")), *FIELDS))
    expected = [(n, "carrier", row["carrier"]) for n, row in enumerate(rows) if row.get("carrier") in ("ZZ", "")]
    assert checker.unknown(rows) == expected


@given(st.lists(st.fixed_dictionaries({"distance": ANYTHING, "delayed": ANYTHING, "origin": ANYTHING}), max_size=3))
def test_many_rows_are_refused_as_each_of_them_is(odd: list[dict[str, object]]) -> None:
    """Told column by column or row by row, with forms that were seen before or not."""
    rows = [dict(GOOD) for _ in range(20)]
    rows[7:7] = odd
    together, one_by_one = Checker(FIELDS), Checker(FIELDS)
    for _ in range(2):
        each = [(n, found) for n, row in enumerate(rows) if (found := refusal(one_by_one, [row]))]
        first = each[0][1].replace("row 0", f"row {each[0][0]}") if each else None
        assert refusal(together, rows) == first


def refusal(checker: Checker, rows: list[dict[str, object]]) -> str | None:
    try:
        checker.check(rows)
    except HeadraceError as error:
        return f"{error.code} {error.what}"
    return None


@pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
def test_a_number_that_is_none_is_found_among_many(value: float) -> None:
    rows = [dict(GOOD) for _ in range(50)]
    checker = Checker(FIELDS)
    checker.check(rows)
    rows[30]["distance"] = value
    assert str(refusal(checker, rows)).startswith("HR910 row 30")
    rows[30]["distance"] = 1e308
    rows[31]["distance"] = 1e308  # their sum is infinite, and each of them fits
    checker.check(rows)


def test_a_text_outside_of_a_closed_field_is_refused() -> None:
    closed = Field("carrier", "text", required=False, categories=("AA", "UA"), closed=True)
    checker = Checker((*FIELDS, closed))
    for rows in ([GOOD], [GOOD | {"carrier": "UA"}, GOOD | {"carrier": None}], [GOOD | {"carrier": "AA"}] * 20):
        checker.check(rows)
    for count in (1, 20):
        with pytest.raises(HeadraceError, match="did you mean 'UA'") as caught:
            checker.check([*[GOOD | {"carrier": "AA"}] * count, GOOD | {"carrier": "UAA"}])
        assert caught.value.code == "HR932"
        assert f"row {count}" in caught.value.what

"""What a contract says, and what is refused while the class is made."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Optional

import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.tables.contract import Contract, column, keys, marked

if TYPE_CHECKING:
    from decimal import Decimal  # noqa: F401 - named by a text


class Flight(Contract):
    """A departure."""

    flight_id: str = column(key=True, description="carrier and number")
    origin: str = column(isin=["EWR", "JFK"])
    carrier: str = column(matches="[A-Z]{2}", min_length=2, max_length=2)
    distance: int = column(gt=0, le=10_000.0)
    share: float | None = column(ge=0, lt=1)
    scheduled_at: datetime = column(event_time=True, gt=datetime(2013, 1, 1))  # noqa: DTZ001 - without a zone: UTC
    departed_at: Optional[datetime] = column(known_at=True)  # noqa: UP045 - the older spelling
    day: date = column(ge=date(2013, 1, 1))
    late: bool | None

    def helper(self) -> int:
        return 1


def test_columns() -> None:
    found = {each.name: (each.type, each.nullable) for each in Flight.__columns__}
    assert found == {
        "flight_id": ("String", False),
        "origin": ("String", False),
        "carrier": ("String", False),
        "distance": ("Int64", False),
        "share": ("Float64", True),
        "scheduled_at": ("Datetime", False),
        "departed_at": ("Datetime", True),
        "day": ("Date", False),
        "late": ("Boolean", True),
    }
    assert list(found) == [each.name for each in Flight.__columns__]
    assert (marked(Flight, "event_time"), marked(Flight, "known_at")) == ("scheduled_at", "departed_at")
    assert keys(Flight) == ("flight_id",)
    assert (marked(None, "event_time"), keys(None)) == (None, ())


def test_values_of_rules_get_the_type_of_the_column() -> None:
    rules = {each.name: each.rules for each in Flight.__columns__}
    assert rules["origin"].isin == ("EWR", "JFK")
    assert repr(rules["distance"].le) == "10000"
    assert repr(rules["share"].ge) == "0.0"
    assert rules["scheduled_at"].gt == datetime(2013, 1, 1, tzinfo=UTC)


def test_inheritance_adds_columns() -> None:
    class Base(Contract):
        a: int = column(key=True)
        b: str

    class Other(Contract):
        d: bool

    class Derived(Base, Other):
        c: float
        b: str | None  # type: ignore[assignment]

    assert [(each.name, each.nullable) for each in Derived.__columns__] == [
        ("d", False),
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    assert [each.name for each in Base.__columns__] == ["a", "b"]
    assert keys(Derived) == ("a",)


def made(kind: object, rules: Any = None, *, name: str = "x") -> type[Contract]:  # noqa: ANN401 - whatever is assigned
    body = {"__annotations__": {name: kind}, "__module__": __name__}
    return type("Made", (Contract,), body if rules is None else {**body, name: rules})


def refused(kind: object, rules: Any = None, *, name: str = "x") -> HeadraceError:  # noqa: ANN401 - whatever is assigned
    with pytest.raises(HeadraceError) as caught:
        made(kind, rules, name=name)
    return caught.value


@pytest.mark.parametrize(
    "kind", [bytes, list, list[int], int | str, int | str | None, None, timedelta, "Decimal", "Missing", "1 +", Any]
)
def test_an_unknown_type(kind: object) -> None:
    error = refused(kind)
    assert error.code == "HR402"
    assert error.what.startswith("Made")


def test_a_type_that_only_a_type_checker_sees() -> None:
    assert "name 'Decimal' is not defined" in refused("Decimal").what


@pytest.mark.parametrize(
    ("kind", "rules", "said"),
    [
        (int | None, {"key": True}, "a key or an event time cannot be null"),
        (datetime | None, {"event_time": True}, "a key or an event time cannot be null"),
        (date, {"event_time": True}, "a time must be a datetime, not date"),
        (str, {"known_at": True}, "a time must be a datetime, not str"),
        (str, {"gt": "a"}, "gt does not fit str"),
        (bool, {"le": True}, "le does not fit bool"),
        (int, {"matches": "a"}, "matches does not fit int"),
        (int, {"min_length": 1}, "min_length does not fit int"),
        (str, {"min_length": -1}, "min_length=-1 is no number of characters"),
        (str, {"max_length": 1.5}, "max_length=1.5 is no number of characters"),
        (str, {"matches": "(a"}, "matches='(a': unclosed group"),
        (str, {"matches": "(?=a)"}, "look-around"),
        (str, {"isin": []}, "isin is empty"),
        (str, {"isin": ["a", 1]}, "isin has 1, which is no str"),
        (int, {"isin": [1, True]}, "isin has True, which is no int"),
        (bool, {"isin": [1]}, "isin has 1, which is no bool"),
        (int, {"gt": "0"}, "gt has '0', which is no int"),
        (int, {"gt": 0.5}, "gt has 0.5, which is no int"),
        (int, {"gt": 2**63}, "which is no int"),
        (int, {"gt": float("inf")}, "gt has inf, which is no int"),
        (float, {"gt": float("nan")}, "gt has nan, which is no float"),
        (datetime, {"gt": date(2024, 1, 1)}, "which is no datetime"),
        (date, {"gt": datetime(2024, 1, 1, tzinfo=UTC)}, "which is no date"),
    ],
)
def test_a_rule_that_does_not_fit(kind: object, rules: dict[str, Any], said: str) -> None:
    error = refused(kind, column(**rules))
    assert error.code == "HR405"
    assert error.what.startswith("Made.x: ")
    assert said in error.what


def test_an_unknown_rule() -> None:
    with pytest.raises(HeadraceError, match="HR401") as caught:
        column(uniqe=True)  # type: ignore[call-arg]
    assert "Did you mean 'unique'?" in caught.value.fix


def test_what_is_not_a_column() -> None:
    assert refused(int, 3).what == "Made.x = 3 is not column(...)"
    with pytest.raises(HeadraceError, match="HR403") as caught:
        type("Made", (Contract,), {"x": column(gt=0)})
    assert caught.value.what == "Made.x has rules and no type"


def test_two_event_times() -> None:
    with pytest.raises(HeadraceError, match="HR404") as caught:

        class _Two(Flight):
            other: datetime = column(event_time=True)

    assert caught.value.what == "_Two marks scheduled_at and other as event_time"


def test_a_reserved_name() -> None:
    assert refused(int, name="_rule").code == "HR413"


def test_the_fingerprint_holds_what_decides_which_rows_are_clean() -> None:
    plain = made(float, column(gt=0)).__headrace_canonical__()
    assert canonical(plain) == canonical(made(float, column(gt=0.0, description="x")).__headrace_canonical__())
    for other in (made(float, column(gt=1)), made(float, column(ge=0)), made(float | None, column(gt=0)), made(float)):
        assert canonical(plain) != canonical(other.__headrace_canonical__())
    zone = timezone(timedelta(hours=2))
    utc = made(datetime, column(gt=datetime(2024, 1, 1, tzinfo=UTC)))
    assert canonical(utc.__headrace_canonical__()) == canonical(
        made(datetime, column(gt=datetime(2024, 1, 1, 2, tzinfo=zone))).__headrace_canonical__()
    )

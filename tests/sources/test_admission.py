"""Whether a version of a source may replace the one that is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.source import Source
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Decision, Version

FIRST = "order_id,amount\n1,1\n"
GONE = ("column amount (Int64) is gone in data/b.csv", False, "breaking")


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def source(on_change: str = "widen") -> Source:
    return Source("raw", files("data/*.csv"), on_change=on_change)


def decided(shop: Workshop, of: Source, candidate: Version, champion: Version | None) -> Decision:
    return of.decide(candidate, champion, shop.context(candidate.key, {}))


def told(shop: Workshop, change: str, *, on_change: str = "widen", name: str = "b") -> list[tuple[str, bool, str]]:
    """What is said of a file that comes to one with two columns."""
    of = source(on_change)
    shop.write("data/a.csv", FIRST)
    champion = shop.land(of)
    shop.write(f"data/{name}.csv", change)
    candidate = shop.land(of)
    if not of.decision_keys(candidate, champion):
        return []
    return [(each.condition, each.passed, each.seen) for each in decided(shop, of, candidate, champion).outcomes]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("order_id,amount\n2,2\n", []),
        ("order_id\n2\n", [GONE]),
        ("order_id,amount,place\n2,2,x\n", [("column place (String) is new in data/b.csv", True, "safe")]),
        ("order_id,amount\n2,0.5\n", [("column amount was Int64 and is Float64 in data/b.csv", True, "widening")]),
        ("order_id,amount\n2,\n", [("column amount holds nulls in data/b.csv, for the first time", True, "widening")]),
    ],
)
def test_a_new_file(shop: Workshop, change: str, said: list[tuple[str, bool, str]]) -> None:
    assert told(shop, change) == said


def test_a_changed_type_names_file_line_column_and_value(shop: Workshop) -> None:
    assert told(shop, "order_id,amount\n1,1\n\n2,none\n", name="a") == [
        ("column amount was Int64 and is String in data/a.csv", False, "breaking: 'none' in line 4")
    ]


@pytest.mark.parametrize(("rule", "passed"), [("accept", True), ("fail", False)])
def test_a_declared_rule(shop: Workshop, rule: str, passed: bool) -> None:
    change = "order_id\n2\n" if passed else "order_id,amount,place\n2,2,x\n"
    assert [each for _, each, _ in told(shop, change, on_change=rule)] == [passed]


def test_a_rule_is_no_part_of_what_is_made() -> None:
    assert source("fail").settings() == source().settings()


def test_rows_of_a_file_that_lacks_a_column_hold_nulls(shop: Workshop) -> None:
    told(shop, "order_id\n2\n")
    assert shop.rows(source(), shop.land(source())).rows() == [(1, 1), (2, None)]


def test_files_of_a_first_version_that_lack_a_column(shop: Workshop) -> None:
    shop.write("data/a.csv", FIRST)
    shop.write("data/b.csv", "order_id\n2\n")
    version = shop.land(source())
    decision = decided(shop, source(), version, None)
    assert [(each.condition, each.passed, each.seen) for each in decision.outcomes] == [GONE]


def test_what_a_person_accepts_holds_for_these_changes_and_more_data(shop: Workshop) -> None:
    of = source()
    shop.write("data/a.csv", FIRST)
    champion = shop.land(of)
    shop.write("data/b.csv", "order_id\n2\n")
    second = shop.land(of)
    decision = of.accept(second, champion, "no amounts any more", "2026-01-01T00:00:00Z")
    assert decision is not None
    assert (decision.passed, decision.outcomes[0].seen) == (True, "accepted: no amounts any more")
    assert of.decision_keys(second, champion)[0] == decision.key
    shop.write("data/c.csv", "order_id\n3\n")
    third = shop.land(of)
    assert of.decision_keys(third, champion)[0] == decision.key
    assert of.decision_keys(third, second) == ()
    shop.write("data/d.csv", "amount\n3\n")
    assert decision.key not in of.decision_keys(shop.land(of), champion)
    assert of.accept(third, second, "", "") is None


def test_types_that_do_not_go_together_name_the_value(shop: Workshop) -> None:
    with pytest.raises(HeadraceError, match="HR314") as caught:
        told(shop, "order_id,amount\n2,2\n3,n/a\n")
    assert caught.value.what.endswith("Int64 in data/a.csv and String in data/b.csv: 'n/a' in line 3")


def test_a_whole_number_is_not_rounded_because_others_are_fractions(shop: Workshop) -> None:
    shop.write("data/b.csv", f"order_id,amount\n2,{2**53}\n\n3,{2**53 + 1}\n")
    with pytest.raises(HeadraceError, match="HR330") as caught:
        told(shop, "order_id,amount\n3,0.5\n", name="c")
    assert caught.value.what.startswith(f"data/b.csv, line 4: {2**53 + 1} in column 'amount'")

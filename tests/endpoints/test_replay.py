"""Logged answers against the join: every difference is found and nothing else, and told apart by its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints.asking import asked_of as looked_up
from headrace.endpoints.log_lines import Prediction, Seen
from headrace.endpoints.parity_report import EXAMPLES, ParityReport
from headrace.endpoints.replay import LookedUp, Reason, replay
from headrace.features.aggregates import Count, Latest
from headrace.features.join import ViewRows, point_in_time
from headrace.features.unpacked import aggregates_of, unpacked
from tests.features.building import MOMENT, aggregates, table, windows_of
from tests.features.oracle import MINUTE, START, Row
from tests.features.shelves import header_of, opened
from tests.features.test_join_laws import delays, rows_of_a_table
from tests.features.test_lookup_laws import asked_of, micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.features.lookup import OnlineView

LOOKED = LookedUp("history", ("shop", "till"), "h_", tuple(aggregates()), "definition")
FILLED, POINTED, PRESENT = "v1", "v2", "v3"


class Told:
    """A past that is told: the rows of each version, and which one the environment had."""

    def __init__(self, versions: Mapping[str, ViewRows], pointed: str = POINTED) -> None:
        self.versions = versions
        self.at_the_time = pointed

    def present(self, looked: LookedUp) -> str | None:  # noqa: ARG002
        return PRESENT

    def filled(self, generation: str) -> str | None:
        return FILLED if generation == "g1" else None

    def pointed(self, looked: LookedUp, at: int, filled: str) -> str:  # noqa: ARG002
        return self.at_the_time

    def rows(self, looked: LookedUp, version: str) -> ViewRows | None:  # noqa: ARG002
        return self.versions.get(version)


def answered(
    online: OnlineView, asked: Sequence[tuple[Sequence[Any], datetime]], looked: LookedUp = LOOKED
) -> list[Prediction]:
    """What a server would have logged of these look-ups, after the log's trip through JSON."""
    values, seen = online.lookup([entity for entity, _ in asked], [micros(cutoff) for _, cutoff in asked])
    return [
        answer(
            number,
            dict(zip(looked.on, entity, strict=True)),
            {looked.prefix + name: value for name, value in json.loads(json.dumps(values[number])).items()},
            micros(cutoff),
            {looked.view: Seen("g1", seen[number])},
        )
        for number, (entity, cutoff) in enumerate(asked)
    ]


def answer(
    number: int, inputs: dict[str, Any], features: dict[str, Any], cutoff: int, seen: dict[str, Seen]
) -> Prediction:
    return Prediction(
        id=f"a-{number:03d}",
        at=micros(START) + number,
        endpoint="scores",
        version="e1",
        model="m1",
        stage=None,
        cutoff=cutoff,
        inputs=inputs,
        features={**inputs, **features},
        seen=seen,
        prediction=0.5,
        micros=100,
    )


def after_the_horizon(online: OnlineView, asked: Sequence[tuple[Any, datetime]]) -> list[tuple[Any, datetime]]:
    horizon = online.header.horizon
    return [(entity, cutoff) for entity, cutoff in asked if horizon is None or micros(cutoff) >= horizon]


@given(rows_of_a_table, asked_of, delays)
def test_what_nothing_was_added_to_agrees(rows: list[Row], asked: list[Any], delay: timedelta) -> None:
    view = windows_of(table(rows), delay, aggregates())
    online = opened(view)
    given = answered(online, after_the_horizon(online, asked))
    found = replay(given, LOOKED, Told(dict.fromkeys((FILLED, POINTED, PRESENT), view)))
    assert found.differences == []
    assert found.compared.total() == len(given) * len(aggregates())


@given(rows_of_a_table, asked_of, delays, st.integers(0, 20), st.integers(0, 20))
def test_every_difference_is_found_with_its_reason(
    rows: list[Row], asked: list[Any], delay: timedelta, cut: int, then: int
) -> None:
    """Rows arrive in the order of the list: the generation has the first ones, the environment had some more."""
    exact = {name: each for name, each in aggregates().items() if "real" not in name}
    looked = replace(LOOKED, features=tuple(exact))
    parts = {FILLED: rows[:cut], POINTED: rows[: max(cut, then)], PRESENT: rows}
    versions = {key: windows_of(table(part), delay, exact) for key, part in parts.items()}
    online = opened(versions[FILLED])
    given = answered(online, after_the_horizon(online, asked), looked)
    found = replay(given, looked, Told(versions))
    told = {(each.answer.id, each.feature): each.reason for each in found.differences}
    late, behind = (differing(given, versions[FILLED], versions[key]) for key in (PRESENT, POINTED))
    assert told.keys() == late
    assert told == {place: Reason.BEHIND if place in behind else Reason.LATE for place in late}


def differing(given: Sequence[Prediction], before: ViewRows, after: ViewRows) -> set[tuple[str, str]]:
    """The values of answers that two versions do not agree on."""
    keys = {name: pl.Series([each.inputs[name] for each in given], dtype=pl.String) for name in before.on}
    cutoffs = pl.Series([each.cutoff for each in given], dtype=pl.Int64).cast(MOMENT)
    frame = pl.DataFrame({**keys, "cutoff": cutoffs})
    mine, theirs = (point_in_time(frame, [view], cutoff="cutoff").to_dicts() for view in (before, after))
    return {
        (given[row].id, f"h_{name}")
        for row in range(len(given))
        for name in before.features
        if mine[row][name] != theirs[row][name]
    }


ROWS = pl.DataFrame(
    {"who": ["a", "b", "a"], "_visible_at": [START, START + MINUTE, START + 2 * MINUTE], "x": [0.1, 0.5, 0.2]},
    schema_overrides={"_visible_at": MOMENT},
)
FEATURES = {"n": Count(None, None), "last": Latest("x", None)}
SMALL = LookedUp("view", ("person",), "", ("n", "last"), "definition")
LATER = START + timedelta(hours=1)


def small(rows: pl.DataFrame = ROWS) -> ViewRows:
    return ViewRows("view", rows, ("who",), ("who",), FEATURES)


def small_answers(*names: str) -> list[Prediction]:
    return answered(opened(small()), [((name,), LATER) for name in names], SMALL)


def told_of(given: Sequence[Prediction], past: Told) -> list[tuple[str, str, Any, Any, Reason]]:
    found = replay(given, SMALL, past).differences
    return [(each.answer.id, each.feature, each.online, each.offline, each.reason) for each in found]


def test_a_value_that_the_rows_never_gave_is_blamed_on_the_store() -> None:
    first, second = small_answers("a", "b")
    wrong = replace(first, features={**first.features, "n": 7})
    past = Told(dict.fromkeys((FILLED, PRESENT), small()), pointed=FILLED)
    assert told_of([second, wrong], past) == [(first.id, "n", 7, 2, Reason.STORE)]


def test_rows_that_were_changed_and_rows_that_were_collected() -> None:
    given = small_answers("a", "b")
    changed = small(ROWS.with_columns(pl.col("x") * 2))
    past = Told({FILLED: small(), PRESENT: changed}, pointed=FILLED)
    assert told_of(given, past) == [
        (given[0].id, "last", 0.2, 0.4, Reason.CHANGED),
        (given[1].id, "last", 0.5, 1.0, Reason.CHANGED),
    ]
    assert {reason for *_, reason in told_of(given, Told({PRESENT: changed}))} == {Reason.UNKNOWN}
    lost = [replace(each, seen={"view": Seen("g0", None)}) for each in given]
    assert {reason for *_, reason in told_of(lost, past)} == {Reason.UNKNOWN}


def test_what_was_sent_is_not_compared() -> None:
    [given] = small_answers("a")
    sent = replace(given, inputs={**given.inputs, "n": 99}, features={**given.features, "n": 99})
    found = replay([sent], SMALL, Told({PRESENT: small()}))
    assert (found.sent, dict(found.compared), found.differences) == (1, {"n": 0, "last": 1}, [])


def test_what_cannot_be_replayed_is_counted() -> None:
    given = small_answers("a", "b")
    assert replay(given, SMALL, Told({})).skipped == 2
    broken = replace(given[0], inputs={"person": 5})
    found = replay([broken, given[1]], SMALL, Told({PRESENT: small()}))
    assert (found.skipped, found.compared["n"]) == (1, 1)


def test_a_report_does_not_grow_with_the_answers() -> None:
    report = ParityReport("prod", "scores")
    past = Told(dict.fromkeys((FILLED, PRESENT), small()), pointed=FILLED)
    for _ in range(4):
        given = [replace(each, features={**each.features, "n": 9}) for each in small_answers("a", "b", "a")]
        report.count(given)
        report.add("view", replay(given, SMALL, past))
    told = report.to_json()
    assert (told["answers"], told["compared"], told["differing"], told["share"]) == (12, 24, 12, 0.5)
    first, second = told["features"]
    assert (first["feature"], first["reasons"], len(first["examples"])) == ("n", {"store": 12}, EXAMPLES)
    assert (second["differing"], second["examples"]) == (0, [])
    assert first["examples"][0]["entity"] == {"person": "a"}


@pytest.mark.parametrize(
    ("values", "logged", "expected"),
    [
        (pl.Series([1, 2], dtype=pl.Int8), [1, 2.0], [1, 2]),
        (pl.Series([1, 2**64 - 1], dtype=pl.UInt64), [1, 2**64 - 1], [1, 2**64 - 1]),
        (pl.Series([True, False]), [True, False], [True, False]),
        (pl.Series(["p", "q"], dtype=pl.Enum(["p", "q"])), ["p", "zzz"], ["p", "zzz"]),
        (pl.Series([date(2024, 2, 29)] * 2), ["2024-02-29", None], [date(2024, 2, 29), None]),
        (
            pl.Series([START] * 2, dtype=MOMENT),
            ["2024-02-29T01:00:00+01:00", "2024-02-29T00:00:00"],
            [datetime(2024, 2, 29, tzinfo=UTC)] * 2,
        ),
        (
            pl.Series([START] * 2).dt.replace_time_zone(None).dt.cast_time_unit("ns"),
            ["2024-02-29T01:00:00+01:00", "2024-02-29"],
            [datetime(2024, 2, 29)] * 2,  # noqa: DTZ001 - a column without a zone
        ),
    ],
)
def test_entities_of_every_type(values: pl.Series, logged: list[Any], expected: list[Any]) -> None:
    rows = pl.DataFrame({"who": values, "_visible_at": pl.Series([START] * 2, dtype=MOMENT)})
    view = ViewRows("view", rows, ("who",), ("person",), {"n": Count(None, None)})
    given = [answer(n, {"person": value}, {"n": 1}, 0, {"view": Seen("g1", None)}) for n, value in enumerate(logged)]
    asked = looked_up(given, ["person"], ["n"], view)
    assert asked.frame["person"].to_list() == expected
    assert point_in_time(asked.frame.with_columns(_cutoff=pl.lit(START)), [view], cutoff="_cutoff").height == 2
    part = asked.part([1])
    assert (part.frame["person"].to_list(), part.used) == (expected[1:], {"n": [1]})


def test_a_value_of_another_type_is_no_entity() -> None:
    rows = pl.DataFrame({"who": [date(2024, 2, 29)], "_visible_at": pl.Series([START], dtype=MOMENT)})
    view = ViewRows("view", rows, ("who",), ("person",), {"n": Count(None, None)})
    given = [answer(n, {"person": value}, {}, 0, {}) for n, value in enumerate(["no date", 5, True])]
    assert looked_up(given, ["person"], ["n"], view).answers == []


@given(rows_of_a_table, delays)
def test_a_generation_tells_its_features(rows: list[Row], delay: timedelta) -> None:
    view = windows_of(table(rows), delay, aggregates())
    header = header_of(view)
    assert aggregates_of(header) == dict(view.features)
    again = unpacked(header, cast("pl.DataFrame", view.rows).lazy())
    assert (again.entity, again.name) == (view.entity, view.name)

"""Whether conditions hold of what was measured, and when a window tells nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from headrace import Features, drift, estimated, freshness, mean, metric
from headrace.errors import HeadraceError
from headrace.graph.conditions import comparisons
from headrace.monitors.intervals import Estimate
from headrace.monitors.judging import Seen, judge, shown
from headrace.monitors.measures import Age, Family, family_of, spelled
from headrace.monitors.monitor import Watch, watch_of
from tests.typing.right import by_shop, orders, raw, weather

if TYPE_CHECKING:
    from headrace.graph.conditions import Condition
    from headrace.graph.node import RowsNode
    from headrace.monitors.judging import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(when: Condition, seen: Seen, rows: int = 10) -> Verdict:
    return judge(comparisons(when), seen, rows, NOW)


def quality(auc: float | None, labels: int = 10) -> Seen:
    return Seen({"roc_auc": Estimate(auc, 0.5, 0.6)}, counts={Family.LABELS: labels})


def test_a_condition_is_told_with_its_interval() -> None:
    found = verdict(metric("roc_auc") < 0.6, quality(0.55))
    assert (found.window.holds, found.lacks) == (True, "")
    assert found.window.seen == "roc_auc < 0.6 (0.55, 0.5 to 0.6)"
    assert verdict(metric("roc_auc") < 0.5, quality(0.55)).window.holds is False


def test_each_family_needs_its_rows() -> None:
    seen = Seen({"p99_ms": Estimate(9), "roc_auc": Estimate(0.5)}, counts={Family.ANSWERS: 10, Family.LABELS: 9})
    found = verdict((metric("p99_ms") > 5) & (metric("roc_auc") < 0.6), seen)
    assert (found.window.holds, found.window.seen, found.lacks) == (None, "9 of 10 labels", "too few labels")
    assert [each.passed for each in found.outcomes] == [True, True]
    assert verdict(metric("p99_ms") > 5, seen).window.holds


def test_the_clock_needs_no_rows() -> None:
    seen = Seen({"freshness(orders)": Estimate(9_000.0), "run_seconds": Estimate(61.0)})
    assert verdict(freshness(orders) > "2h", seen).window.seen == "freshness(orders) > 2h (2h30m)"
    assert verdict(metric("run_seconds") > 60, seen).window.seen == "run_seconds > 60 (1m1s)"


@pytest.mark.parametrize("auc", [None, float("nan")])
def test_what_is_not_defined_tells_nothing(auc: float | None) -> None:
    found = verdict(metric("roc_auc") < 0.6, quality(auc))
    assert (found.window.holds, found.lacks) == (None, "not defined")
    assert verdict(metric("brier") > 0.6, quality(0.5)).outcomes[0].seen == "brier was not measured"


def sliced(**auc: float | None) -> Seen:
    parts = {value: {"roc_auc": Estimate(each)} for value, each in auc.items()}
    return Seen(slices={"origin": parts}, counts={Family.LABELS: 10})


def test_one_bad_slice_is_enough() -> None:
    condition = metric("roc_auc").by("origin") < 0.6
    assert verdict(condition, sliced(JFK=0.7, EWR=0.8)).window.holds is False
    assert verdict(condition, sliced(JFK=0.7, EWR=0.8)).outcomes[0].seen == "in 0 of 2 slices; JFK 0.7"
    bad = verdict(condition, sliced(JFK=0.7, EWR=0.5, LGA=0.4, BOS=0.3, ORD=0.2, SFO=None))
    assert bad.window.holds
    assert bad.outcomes[0].seen == "in 4 of 5 slices; ORD 0.2, BOS 0.3, LGA 0.4 and 1 more"
    assert verdict(condition, sliced(JFK=None)).lacks == "not defined"


def test_no_condition_by_slice_holds_where_none_is_bad() -> None:
    above = metric("brier").by("origin") > 0.3
    parts = {"JFK": {"brier": Estimate(0.1)}, "EWR": {"brier": Estimate(0.2)}}
    assert verdict(above, Seen(slices={"origin": parts}, counts={Family.LABELS: 10})).outcomes[0].seen == (
        "in 0 of 2 slices; EWR 0.2"
    )


def columns(by: str, **values: float | None) -> Seen:
    found = {f"{by}({name})": Estimate(each) for name, each in values.items()}
    return Seen(found | {"psi(*)": Estimate(9.0)}, counts={Family.ANSWERS: 10})


def test_one_column_that_has_moved_is_enough() -> None:
    found = verdict(drift() > 0.25, columns("psi", miles=0.3, hour=0.1, delay=0.7, note=None))
    assert found.window.holds
    assert found.window.seen == "psi(*) > 0.25 (in 2 of 3 columns; delay 0.7, miles 0.3)"
    calm = verdict(drift() > 0.25, columns("psi", miles=0.2, hour=0.1))
    assert (calm.window.holds, calm.outcomes[0].seen) == (False, "in 0 of 2 columns; miles 0.2")
    assert verdict(drift(by="js") > 0.25, columns("psi", miles=0.2)).lacks == "not defined"


def test_chance_among_many_columns_is_corrected_for() -> None:
    lucky = {f"c{number}": (number + 1) / 100 for number in range(100)}
    assert verdict(drift(by="p_value") < 0.05, columns("p_value", **lucky)).window.holds is False
    found = verdict(drift(by="p_value") < 0.05, columns("p_value", **{**lucky, "c7": 1e-6}))
    assert (found.window.holds, found.outcomes[0].seen) == (True, "in 1 of 100 columns; c7 0.0001")
    assert verdict(drift("c0", by="p_value") < 0.05, columns("p_value", **lucky)).window.holds


def test_values_as_people_read_them() -> None:
    assert shown("roc_auc", Estimate(None)) == "not defined"
    assert shown("roc_auc", Estimate(0.123456789)) == "0.123457"
    assert shown("roc_auc", Estimate(0.123456789, 0.1, 0.2)) == "0.1235, 0.1 to 0.2"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("roc_auc", Family.LABELS),
        ("rmse", Family.LABELS),
        ("labelled", Family.SETTLED),
        ("errors", Family.REQUESTS),
        ("run_seconds", Family.RUNS),
        ("p99_ms", Family.ANSWERS),
        ("psi(x)", Family.ANSWERS),
        ("estimated(roc_auc)", Family.ANSWERS),
        ("freshness(x)", Family.AGE),
        ("rows", None),
        ("estimated(rmse)", None),
        ("cusum(x)", None),
    ],
)
def test_what_each_metric_is_measured_on(name: str, family: Family | None) -> None:
    assert family_of(name) is family


def test_ages_are_compared_with_durations() -> None:
    bound = freshness(orders) > timedelta(hours=2)
    assert bound == (freshness(orders) > "2h") == (freshness(orders) > 7_200)
    assert spelled(bound) == "freshness(orders) > 2h"
    assert [
        spelled(each) for each in (freshness(orders) < "1m", freshness(orders) <= "1m", freshness(orders) >= 60)
    ] == [
        "freshness(orders) < 1m",
        "freshness(orders) <= 1m",
        "freshness(orders) >= 1m",
    ]
    with pytest.raises(HeadraceError, match="HR110"):
        assert freshness(orders) > "two hours"


def test_the_age_of_a_node_is_by_what_marks_when_its_rows_are_known() -> None:
    class Known(Features, of=orders, entity="shop"):
        returned_30d: float = mean("returned", over="30d")

    assert freshness(orders).place == ("table", "known")
    assert freshness(weather).place == ("features", "_visible_at")
    assert freshness(cast("RowsNode", Known)) == Age("freshness(Known)", place=("features", "_visible_at"))
    for node in (raw, by_shop):
        with pytest.raises(HeadraceError, match="HR987"):
            freshness(node)


def test_a_supervisor_reads_all_that_was_declared() -> None:
    conditions = [
        freshness(orders) > "2h",
        metric("roc_auc").by("origin") < 0.6,
        estimated("brier").by("origin") > 0.3,
        drift("x") > 0.2,
    ]
    watch = watch_of(conditions, (), {"settle": "3h"})
    assert Watch.from_facts(watch.to_facts()) == watch
    assert watch.settle == 10_800
    assert watch.families == {Family.AGE, Family.LABELS, Family.ANSWERS}

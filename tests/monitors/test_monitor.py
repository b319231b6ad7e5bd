"""How a monitor is declared."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, cast

import pytest

from headrace import champion, drift, estimated, metric, retrain, rollback
from headrace.errors import HeadraceError
from headrace.monitors.alarm import Limits
from headrace.monitors.monitor import Watch, WatchSettings, watch_of
from headrace.monitors.reactions import Reaction

if TYPE_CHECKING:
    from headrace.graph.conditions import Condition
    from headrace.graph.node import Node


class Named:
    """What a reaction asks of a node: its name."""

    name = "lateness"


NODE = cast("Node", Named())


def test_a_supervisor_reads_what_was_declared() -> None:
    conditions = [drift("distance") > 0.25, drift("origin", by="js") >= 0.1, metric("p99_ms") > 50]
    settings: WatchSettings = {"over": "2h", "rows": 5, "confirm": 3, "cooldown": "1h30m", "budget": "2 / week"}
    watch = watch_of(conditions, [retrain(NODE), rollback(NODE)], settings)
    assert Watch.from_facts(json.loads(json.dumps(watch.to_facts()))) == watch
    assert (watch.over, watch.rows) == (7200, 5)
    assert watch.limits == Limits(3, 5400, 2, 604_800)
    assert list(map(str, watch.then)) == ["retrain lateness", "rollback lateness"]
    assert list(map(str, watch.when)) == ["psi(distance) > 0.25", "js(origin) >= 0.1", "p99_ms > 50"]


def test_a_window_of_so_many_answers() -> None:
    watch = watch_of(drift("distance") > 0.25, (), {"over": 1000})
    assert Watch.from_facts(json.loads(json.dumps(watch.to_facts()))) == watch
    assert (watch.last, watch.over, watch.rows, watch.span) == (1000, math.inf, 200, "the last 1,000 answers")
    assert "last" not in watch_of(drift("distance") > 0.25, (), {"over": "1d"}).to_facts()
    assert watch_of(drift("distance") > 0.25, (), {"over": 50}).rows == 50


@pytest.mark.parametrize(
    ("when", "settings"),
    [
        (drift("distance") > 0.25, {"over": 0}),
        (drift("distance") > 0.25, {"over": 50_001}),
        (drift("distance") > 0.25, {"over": 100, "rows": 101}),
        (metric("errors") > 0.01, {"over": 1000}),
        ((drift("distance") > 0.25) & (metric("run_seconds") > 60), {"over": 1000}),
    ],
)
def test_a_window_that_cannot_be(when: Condition, settings: WatchSettings) -> None:
    with pytest.raises(HeadraceError, match="HR989"):
        watch_of(when, (), settings)


def test_what_is_left_out() -> None:
    watch = watch_of(drift("distance") > 0.25, (), {})
    assert (watch.over, watch.rows, watch.then) == (86_400, 200, ())
    assert watch.limits == Limits(1, 21_600, 4, 86_400)
    assert watch_of(drift("distance") > 0.25, Reaction("retrain", "a"), {"budget": None}).limits.budget is None


@pytest.mark.parametrize(
    "when",
    [
        [],
        metric("p99") > 50,
        metric("rows") < 6,
        metric("roc_auc") < champion,
        metric("labelled").by("origin") < 0.6,
        metric("freshness(orders)") > 3600,
        estimated("average_precision") < 0.6,
        estimated("mae") < 0.6,
        metric("p99_ms").by("origin") > 50,
        metric("p99_ms") > champion,
        drift("distance", by="cusum") > 0.1,
        drift(by="wasserstein") > 5,
    ],
)
def test_what_cannot_be_watched(when: list[Condition]) -> None:
    with pytest.raises(HeadraceError, match="HR980"):
        watch_of(when, (), {})


@pytest.mark.parametrize("budget", ["4", "4/month", "/day", "-1/day", "four/day", ""])
def test_a_budget_that_cannot_be_read(budget: str) -> None:
    with pytest.raises(HeadraceError, match="HR981"):
        watch_of(drift("distance") > 0.25, (), {"budget": budget})


@pytest.mark.parametrize("settings", [{"over": "soon"}, {"cooldown": "later"}])
def test_a_duration_that_cannot_be_read(settings: WatchSettings) -> None:
    with pytest.raises(HeadraceError, match="HR110"):
        watch_of(drift("distance") > 0.25, (), settings)

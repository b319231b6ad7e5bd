"""How late labels come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from headrace import metric, rollback
from headrace.graph.conditions import comparisons
from headrace.monitors.late import about, delay_facts, late_remarks, settle_of
from headrace.monitors.reactions import Reaction
from tests.typing.right import orders

EVENT = datetime(2013, 1, 1, tzinfo=UTC)
LABELS = {"table": "t", "keys": [["id", "String"]], "label": "late", "known_at": "known"}
MODEL = {"event_time": "at", "lead": "1h"}


def rows(*hours: float | None) -> pl.DataFrame:
    known = [None if each is None else EVENT + timedelta(hours=each) for each in hours]
    return pl.DataFrame({"at": [EVENT] * len(hours), "known": pl.Series(known, dtype=pl.Datetime("us", "UTC"))})


def test_the_delay_counts_from_when_the_model_is_asked() -> None:
    found = delay_facts(rows(*range(100), None), MODEL, LABELS)
    assert found == {"median": 50.5 * 3_600, "most": 96 * 3_600}


def test_what_was_known_before_it_was_asked_is_known_at_once() -> None:
    assert delay_facts(rows(-5, -3, -2), MODEL, LABELS) == {"median": 0.0, "most": 0.0}


def test_times_without_a_zone_and_dates() -> None:
    naive = rows(23).with_columns(pl.col("known").dt.replace_time_zone(None), pl.col("at").dt.date())
    assert delay_facts(naive, MODEL, LABELS) == {"median": 24 * 3_600, "most": 24 * 3_600}


def test_nothing_is_known_of_no_rows_or_labels() -> None:
    assert delay_facts(rows(None), MODEL, LABELS) is None
    assert delay_facts(rows(1), MODEL, None) is None


def test_a_remark_names_the_action_and_the_delay() -> None:
    when = comparisons([metric("roc_auc") < 0.6, metric("p99_ms") > 5, metric("brier").by("x") > 0.3])
    then = [rollback(orders), Reaction("retrain", "m")]
    assert late_remarks("q", when, then, {"median": 86_400.0, "most": 0.0}) == [
        "HR984 q: rollback and retrain on roc_auc reacts late: its label is known about 1 d after the answer",
        "HR984 q: rollback and retrain on brier reacts late: its label is known about 1 d after the answer",
    ]
    assert late_remarks("q", when, then, {"median": 3_599.0, "most": 0.0}) == []
    assert late_remarks("q", when, then, None) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "at once"), (90, "about 1.5 min"), (5_400, "about 1.5 h"), (86_400, "about 1 d"), (2_000_000, "about 23 d")],
)
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_answers_are_old_enough_when_most_labels_have_come() -> None:
    assert settle_of(None, {"median": 1.0, "most": 9.0}) == 9
    assert settle_of(3.0, {"median": 1.0, "most": 9.0}) == 3
    assert settle_of(None, None) == 0

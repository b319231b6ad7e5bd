"""Conditions are values, print as they are written, and are judged purely."""

from __future__ import annotations

import math
import operator
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.graph.conditions import (
    Champion,
    Condition,
    Measured,
    Metric,
    champion,
    comparisons,
    evaluate,
    metric,
)
from headrace.ports.canonical import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)
names = st.text(min_size=1).filter(str.strip)
signs = st.sampled_from(sorted(OPERATORS))
champions = st.builds(lambda offset: champion + offset, numbers)
metrics = st.builds(metric, names) | st.builds(lambda name, column: metric(name).by(column), names, names)
single = st.builds(lambda left, sign, bound: OPERATORS[sign](left, bound), metrics, signs, numbers | champions)
conditions = st.lists(single, min_size=1, max_size=4).map(lambda parts: joined(parts))  # noqa: PLW0108 - defined below


def joined(parts: list[Condition]) -> Condition:
    first, *rest = parts
    for part in rest:
        first = first & part
    return first


def outcome(condition: Condition, measured: Measured, other: Measured | None = None) -> tuple[bool, str]:
    (only,) = evaluate(condition, measured, other)
    assert only.condition == str(condition)
    return only.passed, only.seen


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (metric("roc_auc") >= 0.65, "roc_auc >= 0.65"),
        (metric("roc_auc") >= champion, "roc_auc >= champion"),
        (metric("roc_auc") >= champion - 0.005, "roc_auc >= champion - 0.005"),
        (metric("roc_auc") > champion + 0.002, "roc_auc > champion + 0.002"),
        (metric("roc_auc") > 0.002 + champion, "roc_auc > champion + 0.002"),
        (metric("roc_auc").by("origin") >= 0.6, "roc_auc by origin >= 0.6"),
        (metric("p99_ms") > 50, "p99_ms > 50"),
        ((metric("a") < -1) & (metric("b") <= 2e-9), "a < -1 & b <= 2e-09"),
    ],
)
def test_prints_as_written(condition: Condition, text: str) -> None:
    assert str(condition) == text


@given(conditions)
def test_repr_reads_back_as_the_same_condition(condition: Condition) -> None:
    back = eval(repr(condition), {"metric": metric, "champion": champion})  # noqa: S307
    assert back == condition
    assert hash(back) == hash(condition)
    assert str(back) == str(condition)
    assert digest_of(back) == digest_of(condition)
    assert pickle.loads(pickle.dumps(condition)) == condition  # noqa: S301


@given(conditions, conditions)
def test_equal_exactly_when_printed_and_fingerprinted_alike(one: Condition, other: Condition) -> None:
    assert (one == other) == (repr(one) == repr(other)) == (digest_of(one) == digest_of(other))


@given(metrics, signs, numbers | champions)
def test_reversed_operands_mean_the_same(left: Metric, sign: str, bound: float | Champion) -> None:
    assert OPERATORS[MIRRORED[sign]](bound, left) == OPERATORS[sign](left, bound)


def test_numpy_scalars_are_numbers() -> None:
    plain = metric("x") >= champion - 0.5
    assert (champion - np.float64(0.5) <= metric("x")) == plain
    assert (metric("x") >= np.float64(-0.5) + champion) == plain
    assert (np.float64(0.5) <= metric("x")) == (metric("x") >= 0.5)


def test_minus_zero_is_zero() -> None:
    assert digest_of(metric("x") > -0.0) == digest_of(metric("x") > 0)


@given(conditions, conditions, conditions)
def test_and_joins_in_order_and_is_associative(one: Condition, two: Condition, three: Condition) -> None:
    assert (one & two) & three == one & (two & three)
    assert comparisons(one & two) == comparisons([one, two]) == (*one.comparisons, *two.comparisons)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bool(metric("x") > 1),
        lambda: bool((metric("x") > 1) & (metric("y") > 1)),
        lambda: 0.5 < metric("x") < 0.9,
        lambda: metric("x") > 1 and metric("y") > 2,
        lambda: not metric("x"),
    ],
)
def test_truth_is_refused_with_a_hint(wrong: Callable[[], object]) -> None:
    with pytest.raises(HeadraceError, match="HR120") as error:
        wrong()
    assert "&" in error.value.fix


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("HR121", lambda: comparisons([metric("x") == 1])),  # type: ignore[list-item, comparison-overlap]
        ("HR121", lambda: comparisons([metric("x")])),  # type: ignore[list-item]
        ("HR121", lambda: comparisons(1)),  # type: ignore[arg-type]
        ("HR122", lambda: metric("x") > 0.5 & metric("y") > 0.5),
        ("HR122", lambda: (metric("x") > 0.5) & 1),
        ("HR123", lambda: metric("x") > "0.5"),  # type: ignore[operator]
        ("HR123", lambda: metric("x") > True),
        ("HR123", lambda: metric("x") > -math.nan),
        ("HR123", lambda: metric("x") > math.inf),
        ("HR123", lambda: metric("x") > 10**400),
        ("HR123", lambda: metric("x") > metric("y")),  # type: ignore[operator]
        ("HR123", lambda: champion - "a little"),  # type: ignore[operator]
        ("HR124", lambda: metric("")),
        ("HR124", lambda: metric(None)),  # type: ignore[arg-type]
        ("HR124", lambda: metric("x").by(" ")),
    ],
)
def test_mistakes_are_coded(code: str, wrong: Callable[[], object]) -> None:
    with pytest.raises(HeadraceError, match=code):
        wrong()


@given(signs, numbers, numbers)
def test_a_number_is_compared_as_python_does(sign: str, value: float, bound: float) -> None:
    passed, _ = outcome(OPERATORS[sign](metric("x"), bound), Measured({"x": float(value)}))
    assert passed == OPERATORS[sign](float(value), float(bound))


@given(signs, numbers, numbers, st.floats(-10, 10))
def test_the_champion_is_a_number_that_is_known_later(sign: str, value: float, other: float, offset: float) -> None:
    passed, _ = outcome(
        OPERATORS[sign](metric("x"), champion + offset), Measured({"x": float(value)}), Measured({"x": float(other)})
    )
    assert passed == OPERATORS[sign](float(value), float(other) + offset)


@given(conditions)
def test_nothing_measured_satisfies_nothing(condition: Condition) -> None:
    names_of = [each.metric.name for each in condition.comparisons]
    for value in (math.nan, None):
        values = dict.fromkeys(names_of, value)
        slices = {each.metric.column or "": {"a": values} for each in condition.comparisons}
        both = Measured(values, slices)
        assert not any(each.passed for each in evaluate(condition, both, both))
    assert not any(each.passed for each in evaluate(condition, Measured({}), Measured({})))


@given(conditions, numbers, numbers)
def test_a_list_means_all_and_order_does_not_matter(condition: Condition, value: float, other: float) -> None:
    def measure(number: float) -> Measured:
        values = {each.metric.name: float(number) for each in condition.comparisons}
        return Measured(values, {each.metric.column or "": {"a": values} for each in condition.comparisons})

    ours, theirs = measure(value), measure(other)
    parts = condition.comparisons
    assert evaluate(condition, ours, theirs) == evaluate(list(parts), ours, theirs)
    assert evaluate(list(reversed(parts)), ours, theirs) == tuple(reversed(evaluate(condition, ours, theirs)))


def test_no_champion_yet_passes_but_only_conditions_about_it() -> None:
    gate = [metric("auc") >= champion - 0.1, metric("auc").by("origin") >= champion, metric("auc") >= 0.9]
    measured = Measured({"auc": 0.7}, {"origin": {"JFK": {"auc": 0.7}}})
    assert [(each.passed, each.seen) for each in evaluate(gate, measured, None)] == [
        (True, "no champion yet"),
        (True, "no champion yet"),
        (False, "0.7"),
    ]


def test_champion_seen() -> None:
    condition = metric("auc") >= champion - 0.005
    assert outcome(condition, Measured({"auc": 0.7}), Measured({"auc": 0.71})) == (False, "0.7, champion 0.71")
    passed, seen = outcome(condition, Measured({"auc": 0.7}), Measured({"auc": None}))
    assert not passed
    assert "champion is not defined" in seen


def test_every_slice_must_hold_and_undefined_ones_are_skipped_and_said() -> None:
    slices: dict[str, dict[str, float | None]] = {"JFK": {"auc": 0.7}, "EWR": {"auc": 0.61}, "LGA": {"auc": None}}
    measured = Measured({"auc": 0.9}, {"origin": slices})
    condition = metric("auc").by("origin") >= 0.6
    assert outcome(condition, measured) == (
        True,
        "2 of 2 slices hold; tightest: EWR 0.61; skipped, too few rows or one class: LGA",
    )
    passed, seen = outcome(metric("auc").by("origin") >= 0.65, measured)
    assert not passed
    assert seen.startswith("1 of 2 slices hold; failed: EWR 0.61;")
    assert outcome(metric("auc").by("carrier") >= 0.6, measured) == (False, "auc was not measured by carrier")


def test_nothing_but_undefined_slices_does_not_pass() -> None:
    measured = Measured({}, {"origin": {"LGA": {"auc": None}, "JFK": {"auc": math.nan}}})
    passed, seen = outcome(metric("auc").by("origin") >= 0.0, measured)
    assert not passed
    assert "LGA, JFK" in seen


def test_slices_are_compared_with_the_same_slice_of_the_champion() -> None:
    ours = Measured({}, {"origin": {"JFK": {"auc": 0.7}, "EWR": {"auc": 0.8}, "LGA": {"auc": 0.1}}})
    theirs = Measured({}, {"origin": {"JFK": {"auc": 0.69}, "EWR": {"auc": 0.85}}})
    passed, seen = outcome(metric("auc").by("origin") >= champion, ours, theirs)
    assert not passed
    assert seen == ("1 of 2 slices hold; failed: EWR 0.8 (champion 0.85); skipped, too few rows or one class: LGA")


def test_many_slices_are_said_in_short() -> None:
    slices = {f"N{number}": {"auc": number / 100} for number in range(50)}
    _, seen = outcome(metric("auc").by("tailnum") >= 0.9, Measured({}, {"tailnum": slices}))
    assert seen == "0 of 50 slices hold; failed: N0 0, N1 0.01, N2 0.02, N3 0.03, N4 0.04 and 45 more"


@given(st.dictionaries(names, st.none() | numbers.map(float), min_size=1), numbers, signs)
def test_a_sliced_condition_holds_when_it_holds_in_each_defined_slice(
    values: dict[str, float | None], bound: float, sign: str
) -> None:
    measured = Measured({}, {"column": {each: {"x": value} for each, value in values.items()}})
    passed, _ = outcome(OPERATORS[sign](metric("x").by("column"), bound), measured)
    defined = [value for value in values.values() if value is not None]
    assert passed == (bool(defined) and all(OPERATORS[sign](value, float(bound)) for value in defined))

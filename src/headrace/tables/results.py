"""What became of every rule of a contract: recorded with each version, refused where it must not be published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.conditions import Measured, evaluate
from headrace.tables.rules import FAIL, WARN, answer_of
from headrace.tables.statements import statements
from headrace.tables.uniqueness import unique_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.records import Json
    from headrace.tables.contract import Contract
    from headrace.tables.named import TableRule


def row_results(contract: type[Contract], counts: Mapping[str, int], answer: str) -> list[dict[str, Json]]:
    """For each rule of rows: its text, what a breach does (`on_breach`), how many rows broke it, whether none did."""
    answers = {each.text: answer_of(each.on_breach, answer, needed=each.needed) for each in statements(contract)}
    answers.update({each.text: each.answer(answer) for each in unique_rules(contract)})
    return [
        {"rule": text, "on_breach": does, "broken": counts.get(text, 0), "passed": not counts.get(text, 0)}
        for text, does in answers.items()
    ]


def table_results(contract: type[Contract], values: Mapping[str, float | None]) -> list[dict[str, Json]]:
    """For each rule of the whole table that a version can be judged by alone: whether it holds, and what was seen."""
    found: list[dict[str, Json]] = []
    for each in contract.__whole__:
        if each.relative:
            continue
        outcome = evaluate(each.comparison, Measured(values), None)[0]
        seen = each.measure.shown(values.get(each.measure.name))
        found.append({"rule": each.text, "on_breach": each.on_breach, "passed": outcome.passed, "seen": seen})
    return found


def refuse_failed(name: str, results: list[dict[str, Json]]) -> None:
    """Raise HR427 where a rule of the whole table that is to fail does not hold."""
    failed = [
        f"{each['rule']} ({each['seen']})" for each in results if each["on_breach"] == FAIL and not each["passed"]
    ]
    if failed:
        raise HeadraceError("HR427", f"{name}: {'; '.join(failed)}")


def warnings_of(results: list[dict[str, Json]]) -> list[str]:
    """What is told of rules that only warn and are broken: a line each."""
    return [
        f"{each['rule']}: {each['seen']}" if "seen" in each else f"{each['rule']}: {each['broken']:,} rows"
        for each in results
        if each["on_breach"] == WARN and each["passed"] is False
    ]


def relative_rules(contract: type[Contract] | None) -> tuple[TableRule, ...]:
    """The rules that compare with the last good version."""
    return () if contract is None else tuple(each for each in contract.__whole__ if each.relative)

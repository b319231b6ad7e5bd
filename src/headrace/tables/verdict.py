"""Whether a version of a table may replace the last good one: by the rules of its contract that compare the two.

Such a rule depends on what an environment points to, so that it is no part of the version: it is a decision about it,
as the gate of a model is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.conditions import Measured, evaluate
from headrace.ports.canonical import digest_of
from headrace.ports.records import Decision, Outcome
from headrace.tables.measuring import measured, psi
from headrace.tables.results import relative_rules
from headrace.tables.rules import WARN

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from headrace.ports.records import Version
    from headrace.tables.contract import Contract
    from headrace.tables.named import TableRule


def decision_key(contract: type[Contract], candidate: Version, champion: Version | None) -> str:
    """The key of the decision: the rules and the two versions."""
    rules = [each.plain() for each in relative_rules(contract)]
    return digest_of(["contract", rules, candidate.key, None if champion is None else champion.key])


def decide(
    contract: type[Contract], candidate: Version, champion: Version | None, read: Callable[[Version], pl.LazyFrame]
) -> Decision:
    """Judge the candidate. A rule that only warns is told, and refuses nothing."""
    rules = relative_rules(contract)
    judged = [(each, _judged(each, candidate, champion, read)) for each in rules]
    warned = [outcome.condition for each, outcome in judged if each.on_breach == WARN and not outcome.passed]
    return Decision(
        key=decision_key(contract, candidate, champion),
        node=candidate.node,
        candidate=candidate.key,
        champion=None if champion is None else champion.key,
        passed=all(outcome.passed or each.on_breach == WARN for each, outcome in judged),
        outcomes=tuple(outcome for _, outcome in judged),
        facts={"warned": warned},
    )


def _judged(
    rule: TableRule, candidate: Version, champion: Version | None, read: Callable[[Version], pl.LazyFrame]
) -> Outcome:
    if champion is None:
        return Outcome(rule.text, passed=True, seen="no good version yet")
    name = rule.measure.name
    column = rule.measure.of
    columns = champion.manifest.facts.get("columns", ())
    if column is not None and column not in columns:
        return Outcome(rule.text, passed=True, seen=f"the last good version has no column {column}")
    if rule.measure.relative:
        value = psi(str(column), read(candidate), read(champion))
        found = evaluate(rule.comparison, Measured({name: value}), None)[0]
        return Outcome(rule.text, found.passed, rule.measure.shown(value))
    values = [_measured(rule, each, read) for each in (candidate, champion)]
    found = evaluate(rule.comparison, Measured({name: values[0]}), Measured({name: values[1]}))[0]
    shown = [rule.measure.shown(value) for value in values]
    return Outcome(rule.text, found.passed, f"{shown[0]}, champion {shown[1]}")


def _measured(rule: TableRule, version: Version, read: Callable[[Version], pl.LazyFrame]) -> float | None:
    """What was recorded when the version was made, or else what its rows tell now."""
    name = rule.measure.name
    recorded = version.manifest.facts.get("measures", {})
    return recorded[name] if name in recorded else measured(read(version), [rule.measure])[name]

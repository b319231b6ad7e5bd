"""What became of the rules of a table, as a short table: a line for each rule, a column for each version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.output import columns, moment, short
from headrace.project.rule_history import checked_rows

if TYPE_CHECKING:
    from headrace.project.rule_history import RuleHistory, RuleOfVersion


def rule_lines(history: RuleHistory) -> list[str]:
    """The lines; none where there is no rule. An x stands for a rule that stopped it, a ! for one that only warns."""
    if not history.rules:
        return []
    checked = [*map(checked_rows, history.versions)]
    heads = ["rule", "a breach", *(short(each.key) for each in history.versions)]
    made = ["", "made", *(moment(each.made_at) for each in history.versions)]
    rows = [
        [rule, _answer(answer), *(_cell(each, answer, of_all) for each, of_all in zip(of, checked, strict=True))]
        for rule, answer, of in history.rules
    ]
    total = ["", "rows checked", *(f"{each:,}" for each in checked)]
    return [*columns([made, total, *rows], heads, right=range(2, len(heads))), *_legend(history)]


def _legend(history: RuleHistory) -> list[str]:
    """What a rule means that was not asked of all rows, where there is one."""
    found = [each for _, _, of in history.rules for each in of if each is not None and each.unasked]
    lines = []
    if any(each.broken is None for each in found):
        lines.append("-: not known: earlier code made all rows, and never asked this rule")
    if any(each.broken is not None for each in found):
        lines.append("N of M: of M rows only: earlier code made the others, and never asked this rule")
    return lines


def _answer(answer: str) -> str:
    return {"quarantine": "sets aside", "fail": "stops", "warn": "warns"}.get(answer, "decides")


def _cell(found: RuleOfVersion | None, answer: str, checked: int) -> str:
    if found is None:
        return ""
    if found.passed is None:
        return "-"
    told = f"{found.broken:,}" if found.broken is not None else str(found.seen)
    if found.unasked:
        told = f"{told} of {checked - found.unasked:,}"
    sign = "" if found.passed or answer == "quarantine" else "! " if answer == "warn" else "x "
    return f"{sign}{told}"

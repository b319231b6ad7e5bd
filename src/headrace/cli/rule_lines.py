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
    heads = ["rule", "a breach", *(short(each.key) for each in history.versions)]
    made = ["", "made", *(moment(each.made_at) for each in history.versions)]
    rows = [[rule, _answer(answer), *(_cell(each, answer) for each in of)] for rule, answer, of in history.rules]
    checked = map(checked_rows, history.versions)
    total = ["", "rows checked", *(f"{each:,}" for each in checked)]
    return columns([made, total, *rows], heads, right=range(2, len(heads)))


def _answer(answer: str) -> str:
    return {"quarantine": "sets aside", "fail": "stops", "warn": "warns"}.get(answer, "decides")


def _cell(found: RuleOfVersion | None, answer: str) -> str:
    if found is None:
        return ""
    told = f"{found.broken:,}" if found.broken is not None else str(found.seen)
    sign = "" if found.passed or answer == "quarantine" else "! " if answer == "warn" else "x "
    return f"{sign}{told}"

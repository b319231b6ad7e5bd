"""What became of the rules of a table over its last versions: what was recorded of each, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Json, Version


@dataclass(frozen=True, slots=True)
class RuleOfVersion:
    """One rule of one version: how many rows broke it, or what was seen of the whole table, and whether it held.

    Rows that earlier code made may never have been asked (`unasked`); where none was, nobody knows (`passed` is None).
    """

    passed: bool | None
    broken: int | None = None
    seen: str | None = None
    unasked: int = 0

    def to_json(self) -> Json:
        """Plain data."""
        if self.seen is not None:
            return {"passed": self.passed, "seen": self.seen}
        return {"passed": self.passed, "broken": self.broken, "unasked": self.unasked}


@dataclass(frozen=True, slots=True)
class RuleHistory:
    """The rules of a table: each with what a breach does, and with what became of it in each version, newest first."""

    versions: Sequence[Version]
    rules: Sequence[tuple[str, str, Sequence[RuleOfVersion | None]]]

    def to_json(self) -> Json:
        """Plain data; of a rule that a version did not have, nothing."""
        return [
            {
                "rule": rule,
                "on_breach": answer,
                "versions": [
                    {
                        "key": version.key,
                        "made_at": version.made_at,
                        "checked": checked_rows(version),
                        **found.to_json(),
                    }
                    for version, found in zip(self.versions, of, strict=True)
                    if found is not None
                ],
            }
            for rule, answer, of in self.rules
        ]


def rule_history(ledger: Ledger, node: str, limit: int) -> RuleHistory:
    """The rules of the last versions of a node, whichever environment they were made for; none without a contract."""
    versions = [each for each in ledger.versions(node) if "results" in each.manifest.facts][-limit:][::-1]
    found = [_of(ledger, version) for version in versions]
    answers = {rule: answer for each in reversed(found) for rule, (answer, _) in each.items()}
    names = dict.fromkeys(rule for each in found for rule in each)
    rows = [(rule, answers[rule], [each[rule][1] if rule in each else None for each in found]) for rule in names]
    return RuleHistory(versions, rows)


def _of(ledger: Ledger, version: Version) -> dict[str, tuple[str, RuleOfVersion]]:
    """By rule, what a breach does, and what became of it; of several decisions about the version the last one."""
    found = {each["rule"]: (each["on_breach"], _recorded(each)) for each in version.manifest.facts["results"]}
    for decision in ledger.decisions([version.key]):
        warning = decision.facts.get("warned", ())
        for outcome in decision.outcomes:
            answer = "warn" if outcome.condition in warning else "decides"
            found[outcome.condition] = (answer, RuleOfVersion(outcome.passed, seen=outcome.seen))
    return found


def _recorded(result: Json) -> RuleOfVersion:
    return RuleOfVersion(result["passed"], result.get("broken"), result.get("seen"), result.get("unasked", 0))


def checked_rows(version: Version) -> int:
    """How many rows the contract was asked of: those that stayed, that were set aside, and that newer ones replaced."""
    facts = version.manifest.facts
    return int(facts["rows"] + facts["quarantined"] + facts.get("superseded", 0))

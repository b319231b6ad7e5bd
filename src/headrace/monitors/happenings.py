"""What people should hear of, told from the entries of the ledger. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from headrace.endpoints.rollout import Action
from headrace.monitors.alarm import Kind
from headrace.ports.notify import (
    GATE_REFUSED,
    HELD,
    MONITOR,
    QUARANTINE,
    ROLL_OUT,
    RUN_FAILED,
    RUN_RECOVERED,
    Notice,
    Severity,
)
from headrace.ports.records import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.ports.records import Attempt, Entry, Facts, Run

_OF_ALARMS: Final = {
    Kind.RAISED: Severity.WARNING,
    Kind.ACTED: Severity.WARNING,
    Kind.WITHHELD: Severity.INFO,
    Kind.CLEARED: Severity.INFO,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Which environment is told of, from what share of quarantined rows on, and how more is found out of a run."""

    environment: str
    share: float
    run: Callable[[str], Run | None]
    attempts: Callable[[str], tuple[Attempt, ...]]


@dataclass(slots=True)
class Told:
    """How far the telling has come: the number of the last entry, and whether runs are failing."""

    entry: int = 0
    failing: bool = False

    def to_json(self) -> Facts:
        """Plain data."""
        return {"entry": self.entry, "failing": self.failing}


@dataclass(frozen=True, slots=True)
class Happened:
    """What an entry amounts to: its notice, or none, and where the telling stands then."""

    told: Told
    notice: Notice | None = field(default=None)


def happened(entry: Entry, told: Told, place: Place) -> Happened:
    """What people should hear of an entry that follows those told so far."""
    found = _FOUND.get(entry.kind)
    notice = None if found is None else found(entry, place)
    failing = told.failing
    if notice is not None and notice.kind in (RUN_FAILED, RUN_RECOVERED):
        failing = notice.kind == RUN_FAILED
        if notice.kind == RUN_RECOVERED and not told.failing:
            notice = None  # it was well before
    return Happened(Told(entry.number, failing), notice)


def _of_run(entry: Entry, place: Place) -> Notice | None:
    """A run that failed; one that ended well counts as a recovery, which it is after one that failed."""
    run = place.run(entry.body["run"])
    if run is None or run.environment != place.environment:
        return None
    state, summary = RunState(entry.body["state"]), entry.body["summary"]
    facts = {"run": run.id, "environment": run.environment, "state": state.value, **summary}
    failed: Mapping[str, str] = summary.get("failed", {})
    unobserved: Mapping[str, Mapping[str, str]] = summary.get("unobserved", {})
    if state is RunState.DONE and not failed:
        return _notice(entry, RUN_RECOVERED, Severity.INFO, place.environment, f"run {run.id} ended well", facts)
    if state is RunState.CANCELLED:
        return None
    errors = {each.node: each.error["what"] for each in place.attempts(run.id) if each.error}
    lines = [f"{node}: {code} {errors.get(node, '')}".strip() for node, code in failed.items()]
    lines += [f"{node} cannot be observed: {each['code']} {each['what']}" for node, each in unobserved.items()]
    text = f"run {run.id} {state.value}: " + ("; ".join(lines) or "no step failed, the run itself did")
    return _notice(entry, RUN_FAILED, Severity.ERROR, place.environment, text, facts)


def _of_decision(entry: Entry, place: Place) -> Notice | None:
    """A refused gate, a step of a roll-out, a note of a monitor."""
    body, facts = entry.body, entry.body["facts"]
    if "rollout" in facts:
        return _of_step(entry, place) if facts["rollout"][0] == place.environment else None
    if "monitor" in facts:
        return _of_note(entry, place) if facts["monitor"][0] == place.environment else None
    run = place.run(body["run"]) if body["run"] else None
    if run is None or run.environment != place.environment:
        return None
    if body["passed"]:
        warned = facts.get("warned", [])
        return _of_warnings(entry, place, warned) if warned else None
    failed = [f"{each['condition']} ({each['seen']})" for each in body["outcomes"] if not each["passed"]]
    text = f"version {body['candidate'][:12]} of {body['node']} is not published: {'; '.join(failed)}"
    told = {"node": body["node"], "candidate": body["candidate"], "champion": body["champion"], "run": run.id}
    return _notice(entry, GATE_REFUSED, Severity.WARNING, f"{body['node']} in {place.environment}", text, told)


def _of_step(entry: Entry, place: Place) -> Notice:
    facts = entry.body["facts"]
    back = facts["action"] == Action.ABORT.value
    text = f"{facts['action']} at {facts['stage']}, by {facts['by']}: {facts['reason']}"
    told = {"endpoint": entry.body["node"], "candidate": entry.body["candidate"], **facts}
    title = f"{entry.body['node']} in {place.environment}, step {facts['step']}"
    return _notice(entry, ROLL_OUT, Severity.WARNING if back else Severity.INFO, title, text, told)


def _of_note(entry: Entry, place: Place) -> Notice:
    facts = entry.body["facts"]
    kind = Kind(facts["kind"])
    title = f"{entry.body['node']} in {place.environment}: {kind.value}"
    return _notice(entry, MONITOR, _OF_ALARMS[kind], title, facts["reason"], {"node": entry.body["node"], **facts})


def _of_version(entry: Entry, place: Place) -> Notice | None:
    """A version of which too many of the new rows were set aside, or that breaks a rule that only warns."""
    body, facts = entry.body, entry.body["manifest"]["facts"]
    aside, warnings = facts.get("new_quarantined", 0), facts.get("warnings", [])
    rows = facts.get("new_rows", 0) + aside
    run = place.run(body["run"]) if (aside or warnings) and body["run"] else None
    if run is None or run.environment != place.environment:
        return None
    if aside <= place.share * rows:
        return _of_warnings(entry, place, warnings) if warnings else None
    rules = ", ".join(f"{rule}: {count:,}" for rule, count in facts.get("rules", {}).items())
    text = f"{aside:,} of {rows:,} rows were set aside ({100 * aside / rows:.1f} %): {rules}"
    text += "".join(f"; kept, with a warning: {warning}" for warning in warnings)
    told = {"node": body["node"], "version": body["key"], "quarantined": aside, "rows": rows, "run": run.id}
    return _notice(entry, QUARANTINE, Severity.WARNING, f"{body['node']} in {place.environment}", text, told)


def _of_warnings(entry: Entry, place: Place, warnings: list[str]) -> Notice:
    """A version that was made although rules that only warn are broken."""
    body = entry.body
    told = {
        "node": body["node"],
        "version": body.get("candidate", body["key"]),
        "warnings": warnings,
        "run": body["run"],
    }
    title = f"{body['node']} in {place.environment}"
    return _notice(entry, QUARANTINE, Severity.WARNING, title, f"kept, with a warning: {'; '.join(warnings)}", told)


def _of_move(entry: Entry, place: Place) -> Notice | None:
    """Nodes that are held: rolled back, or paused."""
    body = entry.body
    if body["environment"] != place.environment or not body.get("held"):
        return None
    title = f"{', '.join(body['held'])} in {place.environment}"
    text = f"held until released: {body['hold']}"
    return _notice(entry, HELD, Severity.WARNING, title, text, {"nodes": body["held"], "reason": body["hold"]})


_FOUND: Final[Mapping[str, Callable[[Entry, Place], Notice | None]]] = {
    "run ended": _of_run,
    "decision": _of_decision,
    "version": _of_version,
    "pointers": _of_move,
}


def _notice(entry: Entry, kind: str, severity: Severity, title: str, text: str, facts: Facts) -> Notice:
    return Notice(kind, severity, title, text, {**facts, "entry": entry.number}, datetime.fromisoformat(entry.at))

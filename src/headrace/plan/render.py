"""A plan as lines of text: what would happen to each node and why, what it would cost, and the command to go on. Pure.

The first sign of a line says what happens: `+` new, `~` changed, `=` reused or unchanged, `x` refused, not observed, or
waiting for such a node, `#` held, `-` removed, `!` a note. Lines without a sign belong to the line above them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.ports.mappings import differences
from headrace.ports.work import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.plan.plan import Plan
    from headrace.ports.work import Step

_GAP = "  "
_DETAIL = " " * 6
_VERBS = {Action.REUSE: "reuse", Action.DECIDE: "ask its gate", Action.KEEP: ""}
_STOPPED = (Action.REFUSED, Action.UNOBSERVED, Action.BLOCKED)
_MINUTE = 60
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _Row:
    """One line in columns, with the lines below it. `free` rows have a text of any length instead of columns."""

    sign: str
    node: str
    reason: str
    verb: str = ""
    rows: str = ""
    seconds: str = ""
    free: bool = False
    details: Sequence[str] = ()


def render(plan: Plan, verbs: Mapping[str, str], *, everything: bool = False, command: str | None = None) -> list[str]:
    """The lines of a plan.

    Args:
        plan: What to show.
        verbs: For each node, what making a version of it is called ("rebuild", "retrain").
        everything: Whether to give each unchanged node a line; else they are counted in one line.
        command: The command that does what the plan says; by default `headrace apply ENV`.
    """
    rows = [_row(step, verbs) for step in plan.steps if everything or step.action is not Action.KEEP]
    rows += [_Row("-", name, "no longer declared", "remove") for name in plan.removed]
    lines = [_beginning(plan)] if plan.creates else []
    lines += _in_columns(rows)
    kept = plan.count(Action.KEEP)
    if rows and kept and not everything:
        lines.append(f"  = {kept} unchanged")
    lines += [f"  ! {note}" for note in plan.notes]
    return [*lines, summary(plan, command or f"headrace apply {plan.environment}")]


def render_steps(steps: Sequence[Step], verbs: Mapping[str, str]) -> list[str]:
    """The lines of some steps of a plan."""
    return _in_columns([_row(step, verbs) for step in steps])


def summary(plan: Plan, command: str) -> str:
    """The last line: how much there is to do, and how to do it."""
    counted = [
        (plan.count(Action.MAKE), "to make"),
        (plan.count(Action.DECIDE), "to decide"),
        (plan.count(Action.REUSE, Action.KEEP), "reused"),
        (len(plan.removed), "to remove"),
        *_standing_still(plan),
    ]
    if plan.to_do or plan.removed or plan.creates:
        return f"{_joined(counted)}. Nothing is changed yet: {command}"
    still = _joined(_standing_still(plan))
    return f"Nothing to do: {still}." if still else "Nothing to do."


def has_changes(plan: Plan) -> bool:
    """Whether applying the plan would change anything."""
    return bool(plan.to_do or plan.removed or plan.creates)


def spelled_seconds(seconds: float) -> str:
    """A duration as people say it: "<1 s", "2 s", "5 min", "1.5 h"."""
    if round(seconds) < 1:
        return "<1 s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"


def _standing_still(plan: Plan) -> list[tuple[int, str]]:
    return [
        (plan.count(Action.HELD), "held"),
        (plan.count(Action.REFUSED), "refused"),
        (plan.count(Action.UNOBSERVED), "not observed"),
        (plan.count(Action.BLOCKED), "waiting"),
    ]


def _joined(counted: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {what}" for count, what in counted if count)


def _beginning(plan: Plan) -> str:
    if plan.base is None:
        return f"The environment {plan.environment} does not exist yet: apply creates it."
    return f"The environment {plan.environment} does not exist yet: it will begin with what {plan.base} has now."


def _row(step: Step, verbs: Mapping[str, str]) -> _Row:
    sign = _sign(step)
    if step.action in (Action.HELD, *_STOPPED):
        return _Row(sign, step.node, step.reason, free=True, details=step.details)
    verb = verbs.get(step.node, "") if step.action is Action.MAKE else _VERBS[step.action]
    if step.action is not Action.MAKE:
        return _Row(sign, step.node, step.reason, verb, details=step.details)
    return _Row(
        sign,
        step.node,
        step.reason,
        verb,
        "" if step.rows is None else f"{step.rows:,} rows",
        "" if step.seconds is None else spelled_cost(step.seconds),
        details=[*step.details, *_growth(step)],
    )


def spelled_cost(seconds: float) -> str:
    """What something is expected to take: "~2 s", "<1 s"."""
    spelled = spelled_seconds(seconds)
    return spelled if spelled.startswith("<") else f"~{spelled}"


def _growth(step: Step) -> list[str]:
    """What an incremental step adds, and to what."""
    if step.base is None:
        return []
    different = differences(step.base.batches, step.batches).values()
    counted = [
        (sum(was is None for was, _ in different), "adds"),
        (sum(was is not None and now is not None for was, now in different), "changes"),
        (sum(now is None for _, now in different), "removes"),
    ]
    told = ", ".join(f"{verb} {count}" for count, verb in counted if count)
    if not told:
        return [f"made from version {step.base.key[:12]} of the same {len(step.batches)} batches"]
    where = "to" if told == f"adds {counted[0][0]}" else "in"
    whole = step.base.batches if told == f"removes {counted[2][0]}" else step.batches
    return [f"{told} of {len(whole)} batches {where} version {step.base.key[:12]}"]


def _sign(step: Step) -> str:
    if step.action in (Action.MAKE, Action.DECIDE):
        return "+" if step.previous is None else "~"
    if step.action in _STOPPED:
        return "x"
    return "#" if step.action is Action.HELD else "="


def _in_columns(rows: Sequence[_Row]) -> list[str]:
    """Align the columns; one that is empty in every row takes no room."""
    columns = [row for row in rows if not row.free]
    names = max((len(row.node) for row in rows), default=0)
    widths = [
        (cell, max((len(getattr(row, cell)) for row in columns), default=0), align)
        for cell, align in (("reason", "<"), ("verb", "<"), ("rows", ">"), ("seconds", ">"))
    ]
    lines = []
    for row in rows:
        cells = [f"  {row.sign} {row.node:<{names}}"]
        if row.free:
            cells.append(row.reason)
        else:
            cells += [f"{getattr(row, cell):{align}{width}}" for cell, width, align in widths if width]
        lines.append(_GAP.join(cells).rstrip())
        lines += [f"{_DETAIL}{detail}" for detail in row.details]
    return lines

"""Backfills: batches of an incremental table are made again by the present code, part by part, beside what is live.

There is no second mechanism. Each part is a version: the one before it, with some more batches made again, under a key
that says just that (see `headrace.plan.marks`). What is finished is in the ledger, so that one which stopped goes
on where it was. The last part is what the environment is to have; then it is published like any other change, with
everything that is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, article, suggestion
from headrace.graph.keys import version_key
from headrace.plan.marks import AGAIN, KEPT, carried, digest_of
from headrace.ports.work import Action
from headrace.tables.layout import Layout
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.plan.plan import Plan
    from headrace.ports.records import Facts, Json, Version
    from headrace.ports.work import Step
    from headrace.project.workspace import Workspace
    from headrace.runtime.applied import Applied
    from headrace.runtime.observer import Observer
    from headrace.runtime.survey import Question

MOST: Final = 64
"""Parts of one backfill, at most: neighbours are made together when there are more partitions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to backfill: partitions by name ("2013-04") or from one to another ("2013-04..2013-06"), batches by id.

    All where nothing is `named`. By default only what earlier code made; with `again`, everything that is chosen.
    """

    named: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a backfill: its name, the batches that it makes, their rows by the present version, and its key.

    `marks` are those of the version that it makes. It is `done` when that version is there.
    """

    name: str
    batches: tuple[str, ...]
    rows: int
    key: str
    marks: Mapping[str, str]
    done: bool = False


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill that was planned: its parts in order, and the plan of what is published in the end.

    `present` is the version that the environment has, `stay` counts the batches that stay as earlier code made them.
    """

    node: str
    present: Version
    parts: tuple[Part, ...]
    stay: int
    question: Question
    plan: Plan

    @property
    def left(self) -> tuple[Part, ...]:
        """The parts that are still to be made."""
        return tuple(part for part in self.parts if not part.done)

    def seconds(self, parts: Iterable[Part]) -> float | None:
        """What parts will cost, by what the present version cost; None where that says nothing."""
        facts = self.present.manifest.facts
        made = facts["new_rows"] + facts["new_quarantined"]
        return self.present.seconds * sum(part.rows for part in parts) / made if made else None

    @property
    def downstream(self) -> tuple[Step, ...]:
        """The steps of what is made from the table, and changes with it."""
        still = (Action.KEEP, Action.UNOBSERVED)
        others = (step for step in self.plan.steps if step.node != self.node and not step.waits_for)
        return tuple(step for step in others if step.action not in still)

    def to_json(self) -> Json:
        """Plain data, for `--json`."""
        return {
            "node": self.node,
            "environment": self.question.environment,
            "present": self.present.key,
            "parts": [
                {"name": part.name, "batches": list(part.batches), "rows": part.rows, "done": part.done}
                for part in self.parts
            ],
            "seconds": self.seconds(self.left),
            "stay": self.stay,
            "unobserved": {name: error.to_json() for name, error in self.plan.unobserved.items()},
            "downstream": [
                {"node": step.node, "action": step.action.value, "reason": step.reason, "seconds": step.seconds}
                for step in self.downstream
            ],
        }


def backfill(workspace: Workspace, environment: str | None, node: str, choice: Choice) -> Backfill:
    """Plan a backfill. Changes nothing.

    Raises:
        HeadraceError: HR720 for a node that is no incremental table, HR721 where it was not made yet, HR722 where it is
            held, HR723 for a partition or a batch that is not there, HR724 for partitions of a table that has none;
            why its source cannot be observed, where it cannot.
    """
    table = workspace.graph[node]
    if not isinstance(table, Table) or not table.incremental:
        what = "a table that is made at once" if isinstance(table, Table) else article(table.kind)
        raise HeadraceError("HR720", f"{node} is {what}")
    question = workspace.question(environment)
    plan = workspace.plan(replace(question, only=frozenset([node])))
    plan.refuse_unobserved(node)
    step = plan.step(node)
    present = None if step.previous is None else workspace.ledger.version(step.previous)
    if present is None:
        raise HeadraceError("HR721", f"{node} has no version in {question.environment}")
    if step.action is Action.HELD:
        raise HeadraceError("HR722", f"{node}: {step.reason}")
    observed = {} if step.observation is None else step.observation.identity()  # rows that were mended
    plain = {batch: digest_of(identity) for batch, identity in step.batches.items() if batch not in observed}
    marks = carried(plain, present, moved=present.fingerprint != step.fingerprint)
    chosen = _chosen(present, plain, choice, node)
    targets = _targets(marks, [batch for batches in chosen.values() for batch in batches], again=choice.again)
    most = 1 if observed else MOST  # a table with mended rows is made as a whole, whatever is asked for
    parts = _parts(workspace, step, present, marks, _grouped(chosen, targets, most))
    goal = replace(question, marks={node: parts[-1].marks if parts else marks})
    stay = sum(mark.startswith(KEPT) for mark in goal.marks[node].values())
    return Backfill(node, present, parts, stay, goal, workspace.plan(goal))


def make_parts(
    workspace: Workspace, found: Backfill, observer: Observer, told: Callable[[Part, int, int], None]
) -> Applied | None:
    """Make the parts that are left, beside what is live; answers how the first one ended that failed.

    `told` hears of each part before it begins, with its number and how many there are. Raises HR725 where the
    environment got another version of the table meanwhile.
    """
    for number, part in enumerate(found.parts, 1):
        if part.done:
            continue
        told(part, number, len(found.parts))
        question = replace(found.question, only=frozenset([found.node]), marks={found.node: part.marks})
        plan = replace(workspace.plan(question), beside=True)
        plan.refuse_unobserved(found.node)
        if plan.step(found.node).action is Action.MAKE:
            applied = workspace.apply(question, observer, plan)
            if applied.failed:
                return applied
    environment = found.question.environment
    pointer = workspace.ledger.snapshot(environment).pointers.get(found.node)
    if workspace.ledger.snapshot(environment).exists and pointer != found.present.key:
        raise HeadraceError("HR725", f"{found.node} of {environment} is version {str(pointer)[:12]} now")
    return None


def _chosen(present: Version, plain: Mapping[str, str], choice: Choice, node: str) -> dict[str, list[str]]:
    """The batches to look at, by the partition that they begin in, or each by itself; in order."""
    layout = Layout.from_json(present.manifest.facts.get("layout", ()))
    known = layout.partitions()
    wanted = {name for each in choice.named for name in _partitions(each, known, plain, node)}
    lies_in = layout.partitions_of()
    found: dict[str, list[str]] = {}
    for batch in sorted(plain):
        names = lies_in.get(batch, [])
        if choice.named and batch not in choice.named:
            names = [name for name in names if name in wanted]
            if not names:
                continue
        found.setdefault(names[0] if names else batch, []).append(batch)
    return dict(sorted(found.items()))


def _partitions(named: str, known: Mapping[str, int], plain: Mapping[str, str], node: str) -> list[str]:
    """The partitions that a name stands for; none for that of a batch."""
    if named in known:
        return [named]
    if named in plain:
        return []
    if not known:
        fix = suggestion(named, plain)
        raise HeadraceError("HR724", f"{node} has no partitions, and no batch {named!r}", fix=fix)
    first, dots, last = named.partition("..")
    found = [name for name in known if dots and first <= name and (not last or name[: len(last)] <= last)]
    if not found:
        raise HeadraceError("HR723", f"{node} has no partition or batch {named!r}", fix=suggestion(named, known))
    return found


def _targets(marks: Mapping[str, str], chosen: Iterable[str], *, again: bool) -> dict[str, str]:
    """The mark that each batch gets which is to be made: none where earlier code had made it, else the next number."""
    targets = {}
    for batch in chosen:
        mark = marks.get(batch, "")
        if mark.startswith(KEPT):
            targets[batch] = ""
        elif again:
            targets[batch] = f"{AGAIN}{int(mark.removeprefix(AGAIN) or 0) + 1}"
    return targets


def _grouped(
    chosen: Mapping[str, Sequence[str]], targets: Mapping[str, str], most: int
) -> list[tuple[str, dict[str, str]]]:
    """The targets in `most` parts: one for each partition, or for several that follow each other."""
    units = [
        (name, {batch: targets[batch] for batch in batches if batch in targets}) for name, batches in chosen.items()
    ]
    units = [(name, of) for name, of in units if of]
    length = -(-len(units) // most) or 1
    return [
        (
            group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}",
            {batch: mark for _, of in group for batch, mark in of.items()},
        )
        for group in (units[start : start + length] for start in range(0, len(units), length))
    ]


def _parts(
    workspace: Workspace,
    step: Step,
    present: Version,
    marks: Mapping[str, str],
    groups: Iterable[tuple[str, Mapping[str, str]]],
) -> tuple[Part, ...]:
    """The parts with their keys: each holds what the ones before it have made."""
    coded, inputs = workspace.coded[step.node], [key for _, key in step.inputs]
    table, generation = workspace.graph[step.node], step.generation
    observed = None if step.observation is None else step.observation.identity()
    sizes: Facts = present.manifest.facts.get("batches", {})
    parts, now = [], dict(marks)
    for name, targets in groups:
        now = {batch: mark for batch, mark in {**now, **targets}.items() if mark}
        key = version_key(table, coded, inputs, observed=observed, generation=generation, marks=now)
        rows = sum(sizes[batch]["rows"] + sizes[batch]["quarantined"] for batch in targets if batch in sizes)
        parts.append(Part(name, tuple(sorted(targets)), rows, key, now))
    live = workspace.ledger.live([part.key for part in parts])
    last = max((number for number, part in enumerate(parts) if part.key in live), default=-1)
    return tuple(replace(part, done=number <= last) for number, part in enumerate(parts))

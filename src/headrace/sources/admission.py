"""The gate of a source: whether a version with another schema may replace the one that is published.

Making a version never depends on what an environment has; publishing does. So a change of schema is a decision about
two versions. A rule takes most of them (see `headrace.sources.changes`); what the rule stops, a person can accept: that
is a decision of its own, about the changes and the version that they are changes of, and it counts before the rule's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.ports.canonical import digest_of
from headrace.ports.outside import Foreseen
from headrace.ports.records import Decision, Outcome
from headrace.sources.changes import EMPTIED, ON_CHANGE, Level, among, changes, recorded, stops, together
from headrace.sources.peeking import foreseen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from headrace.ports.outside import Outside
    from headrace.ports.records import Batch, Version
    from headrace.sources.changes import Change
    from headrace.sources.origin import Peeking

_RULES = {
    "widen": "changes of the schema are safe or widening",
    "accept": "changes of the schema are accepted",
    "fail": "the schema does not change",
}


def compared(candidate: Version, champion: Version | None) -> tuple[Change, ...]:
    """What changed in the schema of a source, and whether all rows went; of a first version, how its batches differ."""
    after = recorded(candidate.manifest.facts)
    if champion is None:
        return among(after)
    found = changes(recorded(champion.manifest.facts), after)
    return (EMPTIED, *found) if champion.rows and not candidate.rows else found


def decision_keys(on_change: str, candidate: Version, champion: Version | None) -> Sequence[str]:
    """The keys of a person's decision, where one can be needed, and of the rule's; none where nothing changed."""
    found = compared(candidate, champion)
    if not found:
        return ()
    rule = digest_of(["schema", on_change, candidate.key, None if champion is None else champion.key])
    stopped = stopping(found, on_change)
    return (rule,) if not stopped else (acceptance_key(candidate.node, stopped, champion), rule)


def stopping(found: Sequence[Change], on_change: str) -> list[Change]:
    """The changes that need a person."""
    return [change for change in found if stops(change, on_change)]


def acceptance_key(node: str, stopped: Sequence[Change], champion: Version | None) -> str:
    """The key of the decision of a person about just these changes of just this version, whatever batch has them."""
    what = sorted((change.what, change.column, change.before, change.after) for change in stopped)
    return digest_of(["schema accepted", node, what, None if champion is None else champion.key])


def acceptance_keys(candidate: Version, champion: Version | None) -> list[str]:
    """The keys of what a person can have accepted of this version, under any rule."""
    found = compared(candidate, champion)
    stopped = [stopping(found, rule) for rule in ON_CHANGE]
    return sorted({acceptance_key(candidate.node, each, champion) for each in stopped if each})


def judged(on_change: str, candidate: Version, champion: Version | None, example: Callable[[Change], str]) -> Decision:
    """What the rule says, change by change; `example` tells of a first value that shows a changed type."""
    found = compared(candidate, champion)
    outcomes = [
        Outcome(str(change), passed=not stops(change, on_change), seen=_seen(change, example)) for change in found
    ]
    passed = all(outcome.passed for outcome in outcomes)
    return Decision(
        key=decision_keys(on_change, candidate, champion)[-1],
        node=candidate.node,
        candidate=candidate.key,
        champion=None if champion is None else champion.key,
        passed=passed,
        outcomes=tuple(outcomes),
        facts={"rule": _RULES[on_change], "changes": [change.to_json() for change in found]},
    )


def _seen(change: Change, example: Callable[[Change], str]) -> str:
    shown = example(change) if change.what == "type" and change.level is Level.BREAKING else ""
    return f"{change.level.value}: {shown}" if shown else change.level.value


def acceptance(on_change: str, candidate: Version, champion: Version | None, why: str, at: str) -> Decision | None:
    """The decision of a person that what the rule stops may be published; None where it stops nothing."""
    stopped = stopping(compared(candidate, champion), on_change)
    if not stopped:
        return None
    key = acceptance_key(candidate.node, stopped, champion)
    told = f"accepted: {why}" if why else "accepted"
    return Decision(
        key=key,
        node=candidate.node,
        candidate=key,  # it holds for every version with these changes, so that more data does not undo it
        champion=None if champion is None else champion.key,
        passed=True,
        outcomes=tuple(Outcome(str(change), passed=True, seen=told) for change in stopped),
        facts={"changes": [change.to_json() for change in stopped], "version": candidate.key},
        made_at=at,
    )


def foretold(
    of: Peeking, new: Sequence[Batch], identity: Mapping[str, str], before: Version, on_change: str, outside: Outside
) -> list[Foreseen]:
    """How new batches differ from what is published: as much as a glance at each of them tells."""
    seen = {batch.id: found for batch in new if (found := of.peek(batch, outside)) is not None}
    wrong = [Foreseen(f"stops: {each.error}".partition("\n")[0]) for each in seen.values() if each.error is not None]
    facts = before.manifest.facts
    after = recorded(foreseen(before, identity, seen))
    apart = {name for name, column in after.items() if together(column.kinds) is None}
    return [*wrong, *(_foreseen(change, on_change, apart) for change in changes(recorded(facts), after))]


def _foreseen(change: Change, on_change: str, apart: AbstractSet[str]) -> Foreseen:
    """A change in words; the types of the columns `apart` do not go together in one version, whoever accepts it."""
    columns = (change.column, *((change.after,) if change.what == "renamed" else ()))
    stop = ", which stops until it is accepted" if stops(change, on_change) else ""
    if change.what == "type" and change.column in apart:
        stop = ", which stops until it is mended or its type is declared"
    return Foreseen(f"{change.level.value}: {change}{stop}", columns)

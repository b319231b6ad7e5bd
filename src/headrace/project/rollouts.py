"""Roll-outs over the ledger: where they stand, the steps that are taken, and the moves of pointers that end them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.endpoints.canary import Canary
from headrace.endpoints.endpoint import Endpoint
from headrace.endpoints.rollout import Action, Subject, decision_of, standing_of
from headrace.errors import HeadraceError, suggestion
from headrace.ports.clock import stamp
from headrace.ports.ledger import AddDecision, MovePointers
from headrace.ports.own import settled_name
from headrace.ports.records import PointerMove
from headrace.runtime.environments import existing, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.endpoints.rollout import Proposed, Standing
    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Snapshot, Version


@dataclass(frozen=True, slots=True)
class Answering:
    """Which versions of an endpoint answer: the one that is settled, and the roll-out that goes on, if any."""

    settled: Version
    standing: Standing | None = None
    candidate: Version | None = None


def answering(ledger: Ledger, snapshot: Snapshot) -> Mapping[str, Answering]:
    """Who answers in an environment, by endpoint, sorted. Reads only."""
    pointed = ledger.live(sorted(set(snapshot.pointers.values())))
    return {
        node: _answering(ledger, snapshot, pointed[key], pointed)
        for node, key in sorted(snapshot.pointers.items())
        if key in pointed and pointed[key].kind == Endpoint.kind and pointed[key].node == node
    }


def find(ledger: Ledger, environment: str, endpoint: str) -> Answering:
    """Who answers for one endpoint. Raises HR609 without the environment, HR901 without the endpoint there."""
    found = answering(ledger, existing(ledger, environment))
    if endpoint not in found:
        hint = suggestion(endpoint, found)
        raise HeadraceError("HR901", f"there is no endpoint {endpoint!r} in {environment}", fix=hint)
    return found[endpoint]


def _answering(ledger: Ledger, snapshot: Snapshot, candidate: Version, pointed: Mapping[str, Version]) -> Answering:
    """What an endpoint points to answers, unless it is to take over by and by from something else."""
    node = candidate.node
    declared = candidate.manifest.facts.get("rollout")
    settled = pointed.get(_settled(snapshot, node) or "")
    if declared is None or settled is None or node in snapshot.holds or _model(settled) == _model(candidate):
        return Answering(candidate)
    history = ledger.history(snapshot.environment, node)
    if not history or history[-1].key != candidate.key:
        return Answering(candidate)
    subject = Subject(snapshot.environment, node, settled.key, history[-1])
    standing = standing_of(subject, Canary.from_facts(declared), ledger.decisions([candidate.key]))
    return Answering(settled, standing, candidate)


def _settled(snapshot: Snapshot, endpoint: str) -> str | None:
    """What is settled in this environment; what a branch took over from its base was settled there, not here."""
    name = settled_name(endpoint)
    key = snapshot.pointers.get(name)
    return None if snapshot.base is not None and snapshot.started.get(name) == key else key


def _model(version: Version) -> str:
    return version.inputs[0][1]


def settle(ledger: Ledger, snapshot: Snapshot, found: Answering) -> None:
    """Write down that a version answers everything, once, where no roll-out led to it. Raises HR602."""
    name = settled_name(found.settled.node)
    present = snapshot.pointers.get(name)
    if found.standing is None and present != found.settled.key:
        move = PointerMove(name, present, found.settled.key)
        write(ledger, MovePointers(snapshot.environment, [move], "it answers without a roll-out"))


def take(ledger: Ledger, clock: Clock, standing: Standing, proposed: Proposed) -> Standing:
    """Take a step: write it down, then move what it moves; answers where the roll-out stands then.

    Raises:
        HeadraceError: HR944 when another process took a step first, HR602 when a pointer has moved meanwhile.
    """
    decision = decision_of(standing, proposed, stamp(clock))
    [answer] = ledger.write(AddDecision(decision))
    if answer.get() != decision:
        raise HeadraceError("HR944", f"the roll-out of {standing.subject.endpoint} went on meanwhile")
    reached = standing_of(standing.subject, standing.plan, ledger.decisions([standing.subject.candidate]))
    complete(ledger, reached)
    return reached


def complete(ledger: Ledger, standing: Standing) -> None:
    """Move the pointers that the end of a roll-out moves, also where whoever ended it died before. Raises HR602."""
    subject = standing.subject
    if standing.ended is Action.FINISH:
        move = PointerMove(settled_name(subject.endpoint), subject.settled, subject.candidate)
        write(ledger, MovePointers(subject.environment, [move], f"rolled out: {standing.steps[-1].reason}"))
    elif standing.ended is Action.ABORT:
        reason = f"roll-out aborted: {standing.steps[-1].reason}"
        moves = _moves_back(ledger, subject)
        write(ledger, MovePointers(subject.environment, moves, reason, force=True, hold=reason))


def _moves_back(ledger: Ledger, subject: Subject) -> list[PointerMove]:
    """The endpoint goes back, and its model with it, so that the next candidate is compared with what answers.

    A model that other endpoints serve as well stays: they did not abort. Monitors of the endpoint go back with it.
    """
    moves = [PointerMove(subject.endpoint, subject.candidate, subject.settled)]
    snapshot = ledger.snapshot(subject.environment)
    pointed = ledger.live(sorted({*snapshot.pointers.values(), subject.candidate, subject.settled}))
    moves += _followers_back(ledger, subject, snapshot.pointers, pointed)
    node, model = pointed[subject.candidate].inputs[0]
    served = [
        each
        for name, key in snapshot.pointers.items()
        if name != subject.endpoint and (each := pointed.get(key)) is not None and each.node == name
    ]
    shared = any(each.kind == Endpoint.kind and each.inputs[0][0] == node for each in served)
    if not shared and snapshot.pointers.get(node) == model:
        moves.append(PointerMove(node, model, _model(pointed[subject.settled])))
    return moves


def _followers_back(
    ledger: Ledger, subject: Subject, pointers: Mapping[str, str], pointed: Mapping[str, Version]
) -> list[PointerMove]:
    """What was made of the candidate goes back to what was made of the version that stays, where there was such."""
    moves = []
    for name, key in sorted(pointers.items()):
        version = pointed.get(key)
        if version is None or version.node != name or subject.candidate not in dict(version.inputs).values():
            continue
        earlier = [change.key for change in reversed(ledger.history(subject.environment, name)) if change.key]
        live = ledger.live(sorted(set(earlier)))
        before = (each for each in earlier if each in live and subject.settled in dict(live[each].inputs).values())
        if (found := next(before, None)) is not None:
            moves.append(PointerMove(name, key, found))
    return moves

"""`headrace accept`: a person lets a changed schema of a source be published. What was made stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, article
from headrace.ports.clock import stamp
from headrace.ports.ledger import AddDecision
from headrace.sources.source import Source

if TYPE_CHECKING:
    from headrace.ports.records import Decision
    from headrace.project.workspace import Workspace


def accept(workspace: Workspace, environment: str, name: str, why: str) -> Decision:
    """Record that the changes which stop the present version of a source may be published.

    It holds for every later version with the same changes as well, as long as the environment publishes none: more
    data does not undo it.

    Raises:
        HeadraceError: HR335 for a node that is no source, HR336 for a version that was not landed yet, HR337 where
            nothing has to be accepted; why the source cannot be observed, where it cannot.
    """
    node = workspace.graph[name]
    if not isinstance(node, Source):
        sources = ", ".join(each.name for each in workspace.graph if isinstance(each, Source))
        raise HeadraceError("HR335", f"{name} is {article(node.kind)}", fix=f"Name a source: {sources}.")
    plan = workspace.plan(workspace.question(environment))
    plan.refuse_unobserved(name)
    step = plan.step(name)
    live = workspace.ledger.live([key for key in (step.key, step.champion) if key])
    candidate = live.get(step.key)
    if candidate is None:
        raise HeadraceError("HR336", f"the present version of {name} is not landed", fix=_land(environment))
    champion = live.get(step.champion) if step.champion not in (None, step.key) else None
    published = step.previous == step.key
    decision = None if published else node.accept(candidate, champion, why, stamp(workspace.clock))
    if decision is None:
        raise HeadraceError("HR337", f"nothing about the schema of {name} stops in {environment}")
    [answer] = workspace.ledger.write(AddDecision(decision))
    found: Decision = answer.get()
    return found


def _land(environment: str) -> str:
    return f"Land it, and see what stops it: headrace apply {environment}"

"""How long after they were known the rows of views became visible online, as the ledger and the rows tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.features.lag import PUBLISHES, Publish, additions, lag_of, lags
from headrace.features.view import FeatureView
from headrace.ports.online import online_name

if TYPE_CHECKING:
    from headrace.features.lag import Lag
    from headrace.ports.ledger import Ledger
    from headrace.project.workspace import Workspace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(moment: str) -> int:
    """A moment of the ledger in microseconds since 1970."""
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1)


def publish_lag(workspace: Workspace, environment: str, view: str) -> Lag | None:
    """The lag of a view over its last publishes into an environment; None for what is not published online there.

    Publishes of the definition that the code has now count, as far as the rows are kept. Raises HR630 to HR632 where
    they are damaged.
    """
    node = workspace.graph.nodes.get(view)
    ledger, name = workspace.ledger, online_name(view)
    if not isinstance(node, FeatureView) or name not in ledger.snapshot(environment).pointers:
        return None
    history = [each for each in ledger.history(environment, name) if each.key is not None]
    previous = history[0].previous if history else None
    before = None if previous is None else _publish(ledger, previous, 0)
    found = [_publish(ledger, each.key, micros_of(each.at)) for each in history if each.key is not None]
    publishes = [each for each in found if each is not None]
    versions = {each.version for each in publishes if each.definition == workspace.coded[view].fingerprint}
    added = [each for each in additions(before, publishes) if each.version in versions][-PUBLISHES:]
    live = ledger.live([each.version for each in added])
    delay = node.terms.delay
    kept = [(each, live[each.version]) for each in added if each.version in live]
    return lag_of(view, delay, [lags(node.read(version, workspace.stores), each, delay) for each, version in kept])


def _publish(ledger: Ledger, generation: str, at: int) -> Publish | None:
    version = ledger.version(generation)
    made_from = None if version is None or not version.inputs else ledger.version(version.inputs[0][1])
    if version is None or made_from is None:
        return None
    newest = version.manifest.facts.get("newest_visible")
    return Publish(made_from.key, made_from.fingerprint, at, None if newest is None else micros_of(newest))

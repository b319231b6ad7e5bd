"""Where the predictions of a project's environments lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.adapters.places import safe_name
from headrace.adapters.segments import FileSegments
from headrace.endpoints.predictions import Place, drain

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.endpoints.predictions import Drained
    from headrace.project.workspace import Workspace


def folder_of(state: Path, environment: str) -> Path:
    """The folder of the prediction log of an environment; `state` is the project's own folder."""
    return state / "predictions" / safe_name(environment)


def place_of(workspace: Workspace, environment: str) -> Place:
    """Where the predictions of an environment lie."""
    segments = FileSegments(folder_of(workspace.settings.state, environment))
    return Place(environment, segments, workspace.stores.tables, workspace.ledger, workspace.clock)


def drain_predictions(workspace: Workspace, environment: str) -> Drained:
    """Move what the prediction log of an environment has sealed into its tables. See `endpoints.predictions.drain`.

    Garbage collection waits meanwhile; it would take a table that the ledger does not know yet for rubbish.
    """
    with workspace.shared():
        return drain(place_of(workspace, environment))

"""Answers that are logged as if a server had given them, about orders whose labels stand in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.endpoints.service import Logged, Scored
from headrace.project.prediction_place import folder_of
from tests.support.predictions import log_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.records import Version
    from headrace.project.workspace import Workspace


def pointed(workspace: Workspace, node: str) -> Version:
    """The version that prod points to."""
    version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers[node])
    assert version is not None
    return version


def log_answers(
    workspace: Workspace,
    rows: Sequence[Mapping[str, object]],
    scores: Sequence[float],
    features: Sequence[Mapping[str, object]] | None = None,
    stage: str | None = None,
) -> None:
    """Log answers of the endpoint `scores` of prod, given now by the workspace's clock."""
    version = pointed(workspace, "scores")
    at = round(workspace.clock.now().timestamp() * 1e6)
    with log_in(folder_of(workspace.settings.state, "prod")) as log:
        log.append(
            Logged(
                endpoint="scores",
                key=version.key,
                model=version.inputs[0][1],
                generations={},
                at=at,
                ids=log.ids(len(rows)),
                rows=rows,
                cutoffs=[at] * len(rows),
                scored=Scored(np.asarray(scores, dtype=np.float64), features or rows, [{}] * len(rows)),
                micros=[900] * len(rows),
                stage=stage,
            )
        )

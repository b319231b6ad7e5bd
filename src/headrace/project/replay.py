"""A pipeline run over its own history on a simulated clock, once for each retraining policy.

Each row arrives when it became known, questions are answered by the scorers of a live endpoint, labels come late,
monitors fire, models are made again by the project's own nodes in the real engine, through their gates, and roll out.
What is simulated: the clock, the network (there is none, so that there are no latencies), and that making a model takes
no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.project.replay_answers import Scores
from headrace.project.replay_life import Living
from headrace.project.replay_report import Report, report_of
from headrace.project.replay_scratch import Scratch
from headrace.project.replay_world import open_world

if TYPE_CHECKING:
    from datetime import datetime

    from headrace.monitors.policies import Policy
    from headrace.project.replay_world import Wish
    from headrace.project.workspace import Workspace


class Progress:
    """Hears how far a replay is, and does nothing: derive from it."""

    def loaded(self, questions: int, policies: int) -> None:
        """The history is read: so many questions are asked, under each of so many policies."""

    def began(self, policy: Policy) -> None:
        """A policy begins its life."""

    def reached(self, policy: Policy, at: datetime, share: float) -> None:
        """A policy has lived until a moment, so much of its period (0 to 1)."""


def replay(workspace: Workspace, environment: str, wish: Wish, progress: Progress | None = None) -> Report:
    """Replay the history of an environment under each policy, and compare them. Changes nothing of the project.

    Raises:
        HeadraceError: HR990 for an endpoint that is not there, HR993 and HR994 for a period that cannot be replayed,
            HR996 where the tables were not made by the present code, HR997 while another replay is at work, HR998 where
            no first model can be published; HR609, HR636, HR637, HR831.
    """
    progress = progress or Progress()
    world = open_world(workspace, environment, wish)
    progress.loaded(len(world.at), len(wish.policies))
    length = (world.span.end - world.span.first).total_seconds()
    found = []
    with Scratch(workspace, world.graph) as scratch:
        scores = Scores(world.questions, scratch.stores)
        for policy in wish.policies:
            progress.began(policy)
            with scratch.life(policy.name, world.span.first, wish.seed) as life:

                def told(at: datetime, policy: Policy = policy) -> None:
                    progress.reached(policy, at, (at - world.span.first).total_seconds() / length)

                found.append(Living(world, life, policy, scores).live(wish.every, told))
    return report_of(environment, world, (wish.every, wish.seed), found)

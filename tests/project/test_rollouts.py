"""Roll-outs over a real ledger: who answers, who looks after them, and what is left when somebody dies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.endpoints.lanes import Counts
from headrace.endpoints.rollout import Action, asked_for, decision_of
from headrace.errors import HeadraceError
from headrace.ports.ledger import AddDecision
from headrace.ports.own import settled_name
from headrace.project import rollouts
from headrace.project.traffic import LiveTraffic
from headrace.project.watching import RolloutWatch
from headrace.runtime.environments import promote, release, roll_back
from tests.support.served import served_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.workspace import Workspace
    from tests.support.projects import Project

ROLLOUT = 'canary(10, 50, bake="10m", answers=20, abort_if=[metric("error_share") > 0.1])'
ROWS = [{"shop": f"shop {n}", "amount": 1.0} for n in range(400)]


class Server:
    """Somebody who looks after roll-outs, whose versions have answered as they are told to."""

    def __init__(self, workspace: Workspace, environment: str = "prod") -> None:
        self.workspace = workspace
        self.environment = environment
        self.clock = SimulatedClock(datetime.now(UTC))
        self.counts: dict[str, Counts] = {}
        self.said: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.watch = RolloutWatch(
            self.workspace.ledger,
            self.clock,
            self.environment,
            lambda _, version: self.counts.get(version, Counts()),
            self.said.append,
        )

    def look(self, minutes: float = 0.1) -> None:
        self.clock.sleep(60 * minutes)
        self.watch.look()

    def count(self, version: str, answers: int = 0, failures: int = 0, unloaded: int = 0) -> None:
        before = self.counts.get(version, Counts())
        self.counts[version] = Counts(
            before.answers + answers, before.failures + failures, unloaded=before.unloaded + unloaded
        )

    def traffic(self) -> LiveTraffic:
        traffic = LiveTraffic(self.workspace.ledger, self.workspace.stores, self.environment)
        traffic.refresh()
        return traffic

    def share(self) -> float:
        """The share of entities that the version gets which the endpoint points to."""
        traffic, pointed = self.traffic(), self.pointer("scores")
        found = sum(traffic.lane("scores", row).served.key == pointed for row in ROWS) / len(ROWS)
        assert traffic.divided("scores") == (0 < found < 1)
        return found

    def pointer(self, node: str) -> str | None:
        return self.workspace.ledger.snapshot(self.environment).pointers.get(node)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return served_project(tmp_path, ROLLOUT)


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    """A server that has begun with the first version, when a second one is published."""
    with project.opened() as workspace:
        server = Server(workspace)
        server.look()
        project.edit("C=1.0", "C=0.01")
        project.apply()
        yield server


def settled(server: Server) -> str:
    key = server.pointer(settled_name("scores"))
    assert key is not None
    return key


def candidate(server: Server) -> str:
    key = server.pointer("scores")
    assert key is not None
    return key


def test_stage_by_stage_to_the_end(server: Server) -> None:
    first, second = settled(server), candidate(server)
    assert first != second
    shares = []
    for _ in range(3):
        server.look()
        shares.append(server.share())
        server.look(11)
        assert server.share() == shares[-1]  # it has baked, but answered nothing yet
        server.count(second, answers=20)
        server.look()
    assert shares == [pytest.approx(0.1, abs=0.06), pytest.approx(0.5, abs=0.1), 1.0]
    assert settled(server) == second
    assert [each.key for each in server.traffic().versions("scores")] == [second]
    assert [line.split(": ")[1].split(" of ")[0] for line in server.said[:2]] == ["10 % -> 50 %", "50 % -> 100 %"]
    assert server.said[2].startswith(f"scores: {second[:12]} answers everything now")


def test_entities_that_have_the_new_version_keep_it(server: Server) -> None:
    second, chosen = candidate(server), []
    for _ in range(3):
        server.look()
        traffic = server.traffic()
        chosen.append({row["shop"] for row in ROWS if traffic.lane("scores", row).stage == "canary"})
        server.count(second, answers=20)
        server.look(11)
    assert chosen[0] < chosen[1] < chosen[2]


def test_a_condition_that_holds_brings_the_old_version_back_and_its_model(server: Server) -> None:
    first, second, model = settled(server), candidate(server), server.pointer("model")
    server.look()
    server.count(second, answers=17, failures=3)
    server.look()
    assert server.pointer("scores") == first
    assert server.pointer("model") != model
    assert server.share() == 1.0
    snapshot = server.workspace.ledger.snapshot("prod")
    assert set(snapshot.holds) == {"scores", "model"}
    assert snapshot.holds["scores"].reason == "roll-out aborted: error_share > 0.1 (0.15)"
    assert "and held there: error_share > 0.1 (0.15)" in server.said[-1]
    server.look(60)
    assert server.pointer("scores") == first


def test_monitors_go_back_with_the_endpoint(project: Project) -> None:
    project.write_code(f"{project.code}\nshop.monitor('slow', scores, when=metric('p99_ms') > 50)\n")
    project.apply()
    with project.opened() as workspace:
        server = Server(workspace)
        server.look()
        before = server.pointer("slow")
        project.edit("C=1.0", "C=0.01")
        project.apply()
        server.look()
        assert server.pointer("slow") != before
        server.count(candidate(server), answers=20, failures=10)
        server.look()
        assert server.pointer("slow") == before
        assert "slow" in workspace.ledger.snapshot("prod").holds


def test_the_next_candidate_after_an_abort_is_tried_when_released(server: Server, project: Project) -> None:
    server.look()
    server.count(candidate(server), failures=20)
    server.look()
    workspace = server.workspace
    release(workspace.graph, workspace.ledger, "prod", "model")
    project.edit("C=0.01", "C=0.1")
    project.apply()
    server.look()
    assert server.share() == pytest.approx(0.1, abs=0.06)


def test_what_happened_before_a_stage_is_not_held_against_it(server: Server) -> None:
    second = candidate(server)
    server.count(second, failures=1000)  # as a candidate of yesterday, say
    server.look()
    server.count(second, answers=20)
    server.look(11)
    assert server.said[-1].startswith("scores: 10 % -> 50 %")


def test_a_version_that_cannot_be_loaded_is_taken_back(server: Server) -> None:
    first = settled(server)
    server.look()
    server.count(candidate(server), unloaded=1)
    server.look()
    assert server.pointer("scores") == first
    assert "cannot be loaded" in server.said[-1]


def test_a_version_that_cannot_be_loaded_answers_nothing_meanwhile(server: Server) -> None:
    first, second = settled(server), candidate(server)
    version = server.workspace.ledger.version(second)
    assert version is not None
    for ref in version.manifest.outputs.values():
        server.workspace.stores.artefacts.remove(ref.path)
    told: list[tuple[str, str]] = []
    traffic = LiveTraffic(
        server.workspace.ledger, server.workspace.stores, "prod", lambda name, key: told.append((name, key))
    )
    traffic.refresh()
    assert {traffic.lane("scores", row).served.key for row in ROWS} == {first}
    assert told == [("scores", second)]
    assert "scores" in traffic.problems


def test_it_goes_on_where_it_stood_when_the_server_is_killed(server: Server) -> None:
    second = candidate(server)
    server.look()
    server.count(second, answers=20)
    server.look(11)
    server.restart()
    server.look()
    assert server.share() == pytest.approx(0.5, abs=0.1)
    server.look(11)
    assert server.share() == pytest.approx(0.5, abs=0.1)  # what it answered before is forgotten with the server
    server.count(second, answers=20)
    server.look()
    assert server.share() == 1.0


@pytest.mark.parametrize("action", [Action.FINISH, Action.ABORT])
def test_an_end_that_was_decided_is_carried_out_after_a_crash(server: Server, action: Action) -> None:
    """Killed between the decision and the move of the pointers."""
    first, second = settled(server), candidate(server)
    found = rollouts.find(server.workspace.ledger, "prod", "scores")
    assert found.standing is not None
    proposed = asked_for(found.standing, Action.ABORT)
    proposed = type(proposed)(action, "decided", proposed.by)
    decision = decision_of(found.standing, proposed, server.clock.now().isoformat())
    server.workspace.ledger.write(AddDecision(decision))
    assert server.share() == (1.0 if action is Action.FINISH else 0.0)
    server.look()
    ended = second if action is Action.FINISH else first
    assert (settled(server), server.pointer("scores")) == (ended, ended)


def test_two_servers_take_each_step_once(server: Server) -> None:
    other = Server(server.workspace)
    other.clock, other.counts = server.clock, server.counts
    other.restart()
    server.look()
    other.watch.look()
    server.count(candidate(server), answers=20)
    server.clock.sleep(660)
    server.watch.look()
    other.watch.look()
    found = rollouts.find(server.workspace.ledger, "prod", "scores")
    assert found.standing is not None
    assert (found.standing.stage, len(found.standing.steps)) == (1, 1)
    assert len(server.said) + len(other.said) == 1


def test_a_step_that_somebody_took_first_is_refused(server: Server) -> None:
    ledger = server.workspace.ledger
    found = rollouts.find(ledger, "prod", "scores")
    assert found.standing is not None
    rollouts.take(ledger, server.clock, found.standing, asked_for(found.standing, Action.HOLD))
    with pytest.raises(HeadraceError, match="HR944"):
        rollouts.take(ledger, server.clock, found.standing, asked_for(found.standing, Action.ABORT))
    assert server.pointer("scores") != settled(server)


def test_a_rollback_answers_everything_at_once(server: Server) -> None:
    first = settled(server)
    workspace = server.workspace
    server.look()
    roll_back(workspace.graph, workspace.ledger, "prod", "model")
    assert server.pointer("scores") == first
    assert server.share() == 1.0
    server.look()
    assert settled(server) == first


def test_a_newer_candidate_takes_the_place_of_one_that_is_under_way(server: Server, project: Project) -> None:
    first, second = settled(server), candidate(server)
    server.look()
    server.count(second, answers=20)
    server.look(11)
    project.edit("C=0.01", "C=0.1")
    project.apply()
    server.look()
    assert [each.key for each in server.traffic().versions("scores")] == [first, candidate(server)]
    assert server.share() == pytest.approx(0.1, abs=0.06)


def test_another_version_of_the_same_model_is_not_tried(server: Server, project: Project) -> None:
    server.look()
    found = rollouts.find(server.workspace.ledger, "prod", "scores")
    assert found.standing is not None
    for _ in range(3):
        standing = rollouts.find(server.workspace.ledger, "prod", "scores").standing
        assert standing is not None
        rollouts.take(server.workspace.ledger, server.clock, standing, asked_for(standing, Action.ADVANCE))
    second = candidate(server)
    assert settled(server) == second
    project.edit("canary(10, 50", "canary(20, 50")
    project.apply()
    assert candidate(server) != second
    assert server.share() == 1.0
    server.look()
    assert settled(server) == candidate(server)


def test_a_branch_begins_without_what_was_settled_in_its_base(server: Server, project: Project) -> None:
    """It answers with what it points to; and what it settles is not promoted."""
    project.edit("C=0.01", "C=0.1")
    project.apply("dev")
    branch = Server(server.workspace, "dev")
    assert branch.share() == 1.0
    branch.look()
    assert settled(branch) == candidate(branch)
    before = settled(server)
    promote(server.workspace.graph, server.workspace.ledger, "dev", "prod")
    server.look()
    assert settled(server) == before
    assert server.share() == pytest.approx(0.1, abs=0.06)


def test_the_settled_version_is_kept_by_a_collection(server: Server) -> None:
    garbage = server.workspace.garbage(timedelta(0))
    first = settled(server)
    assert first not in {each.key for each in garbage.versions}
    server.workspace.collect(timedelta(0))
    assert [each.key for each in server.traffic().versions("scores")] == [first, candidate(server)]


def test_the_definition_that_the_settled_version_looks_up_is_kept_by_a_collection(
    server: Server, project: Project
) -> None:
    first = settled(server)
    project.edit('over="30d")\n    amount', 'over="20d")\n    amount')
    project.apply()
    server.workspace.collect(timedelta(0))
    assert [each.key for each in server.traffic().versions("scores")] == [first, candidate(server)]


def test_without_a_declared_roll_out_a_version_takes_over_at_once(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    with project.opened() as workspace:
        server = Server(workspace)
        server.look()
        project.edit("C=1.0", "C=0.01")
        project.apply()
        assert server.share() == 1.0
        server.look()
        assert settled(server) == candidate(server)
    with project.opened() as workspace:
        assert workspace.plan(workspace.question()).steps[-1].node  # the pointer that is its own is no node of a plan
        assert "scores.settled" not in workspace.plan(workspace.question()).removed


def test_an_endpoint_that_is_not_there(server: Server) -> None:
    with pytest.raises(HeadraceError, match="HR901") as refused:
        rollouts.find(server.workspace.ledger, "prod", "score")
    assert "scores" in refused.value.fix

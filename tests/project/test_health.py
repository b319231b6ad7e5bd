"""How a supervisor says that it is: what makes it unwell, who may look, and what `headrace up` answers for real."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.errors import HeadraceError
from headrace.project.control import Request
from headrace.project.health import FAILED, REFUSED, Applies, Check, Health, Limits, Visitors, routes_of
from headrace.project.heartbeat import Patience
from headrace.project.serving_processes import Children
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT
from tests.support.upheld import until, upheld

if TYPE_CHECKING:
    from pathlib import Path

HERE = {"host": "127.0.0.1:8181"}


def asked(path: str, headers: dict[str, str] | None = None, peer: str = "127.0.0.1") -> Request:
    return Request("GET", path, "", HERE if headers is None else headers, b"", peer)


class Asked:
    """The health of a supervisor on a simulated clock, and its routes."""

    def __init__(self, token: str | None = None) -> None:
        self.clock = SimulatedClock()
        self.health = Health(self.clock, "prod", Limits(loop=30, dead=120))
        self.routes = routes_of(self.health, Visitors(token))

    def get(self, path: str, headers: dict[str, str] | None = None, peer: str = "127.0.0.1") -> tuple[int, Any]:
        import json

        answer = self.routes["GET", path](asked(path, headers, peer))
        return answer.status, json.loads(answer.body)


def test_a_loop_that_stands_still_is_unwell_then_dead() -> None:
    found = Asked()
    assert found.get("/healthz")[0] == 200
    found.clock.sleep(31)
    status, told = found.get("/healthz")
    assert (status, told["well"], told["reasons"]) == (503, False, ["loop: nothing was done for 31 s"])
    assert told["checks"]["loop"]["seconds"] == 31
    assert found.get("/livez") == (200, {"alive": True})
    found.clock.sleep(90)
    assert found.get("/livez") == (503, {"alive": False})
    found.health.turned()
    assert (found.get("/livez")[0], found.get("/healthz")[0]) == (200, 200)


def test_what_is_expected_and_not_done_or_cannot_be_done() -> None:
    found = Asked()
    found.health.expect("sources", 45)
    found.health.expect("monitors", 200)
    found.health.failed("sources", HeadraceError("HR201", "no file"))
    found.clock.sleep(7)
    found.health.failed("sources", HeadraceError("HR202", "another"))
    found.health.turned()
    status, told = found.get("/healthz")
    assert (status, told["reasons"]) == (503, ["sources: HR202 another"])
    assert told["checks"]["sources"]["failing_seconds"] == 7
    assert told["checks"]["monitors"] == {"well": True, "seconds": 7}
    found.health.done("sources")
    assert found.get("/healthz")[0] == 200
    found.clock.sleep(194)
    found.health.turned()
    found.health.done("sources")
    assert found.get("/healthz")[1]["reasons"] == ["monitors: nothing was done for 201 s"]


def test_one_that_stands_by_is_not_well_but_alive() -> None:
    found = Asked()
    found.health.stand_by("4711")
    status, told = found.get("/healthz")
    assert (status, told["reasons"]) == (503, ["it stands by: process 4711 looks after prod"])
    assert found.get("/livez")[0] == 200


def test_applies_that_keep_failing_are_unwell_and_taking_long_is_not() -> None:
    clock = SimulatedClock()
    applies, limits = Applies(clock), Limits(failures=2)
    applies.begin()
    clock.sleep(9_000)
    assert not applies.check(limits).reason
    assert applies.check(limits).facts["under_way_seconds"] == 9_000
    applies.end(FAILED, "HR701")
    assert not applies.check(limits).reason
    clock.sleep(60)
    applies.begin()
    applies.end(FAILED, "HR705")
    found = applies.check(limits)
    assert found.reason == "2 applies in a row have failed, the last one with HR705"
    assert (found.facts["failing_seconds"], found.facts["code"]) == (60, "HR705")
    applies.begin()
    applies.end(REFUSED, "")
    assert not applies.check(limits).reason
    assert applies.outcomes == {"failed": 2, "refused": 1}
    assert (applies.counts[-1], applies.counts[0], applies.total) == (1, 2, 9_000)


def test_a_child_that_is_silent_is_unwell_before_it_is_replaced() -> None:
    limits = Limits(children=Patience(silent=30))
    applies = Applies(SimulatedClock(), silence=11)
    assert "no sign of life for 11 s" in applies.check(limits).reason
    assert Children(2, 2, 0, 11).check(limits.silent).reason
    assert Children(2, 1, 1, 0).check(limits.silent).reason == "1 of 2 processes answer"
    assert Children(2, 2, 1, 9).check(limits.silent) == Check(9, "", {"processes": 2, "of": 2})


@pytest.mark.parametrize(
    ("token", "headers", "peer", "sees"),
    [
        (None, HERE, "127.0.0.1", True),
        ("secret", HERE, "127.0.0.1", True),
        (None, {"host": "shop.example"}, "127.0.0.1", False),
        (None, {"host": "10.0.0.1"}, "10.0.0.9", False),
        ("secret", {"host": "10.0.0.1"}, "10.0.0.9", False),
        ("secret", {"host": "10.0.0.1", "authorization": "Bearer wrong"}, "10.0.0.9", False),
        ("secret", {"host": "10.0.0.1", "authorization": "Bearer secret"}, "10.0.0.9", True),
    ],
)
def test_whoever_may_not_look_learns_the_status_alone(
    token: str | None, headers: dict[str, str], peer: str, *, sees: bool
) -> None:
    found = Asked(token)
    found.clock.sleep(31)
    status, told = found.get("/healthz", headers, peer)
    assert (status, "checks" in told) == (503, sees)
    assert found.get("/livez", headers, peer)[0] == 200


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT)
    project.write_batch("01", range(300))
    return project


def test_a_supervisor_says_how_it_is(project: Project) -> None:
    with upheld(project) as told:
        control = told.control()
        assert httpx.get(f"{control}/livez").status_code == 200
        told.address()
        until(lambda: httpx.get(f"{control}/healthz").status_code == 200)
        checks = httpx.get(f"{control}/healthz").json()["checks"]
        assert checks.keys() == {"loop", "apply", "server", "sources", "triggers", "monitors"}
        assert (checks["server"]["processes"], checks["server"]["of"]) == (1, 1)
        text = httpx.get(f"{control}/metrics").text
    assert 'headrace_up_applies_total{outcome="done"} 1.0' in text
    assert 'headrace_up_rows{table="orders"} 300.0' in text


def test_one_that_stands_by_says_so_at_its_address(project: Project) -> None:
    with upheld(project) as first:
        first.until("Looking after")
        with upheld(project) as second:
            second.until("Standing by")
            address = "http" + second.until("Its health is told").partition("http")[2].split()[0]
            answer = httpx.get(address)
            assert answer.status_code == 503
            assert f"process {first.process.pid}" in answer.json()["reasons"][0]
            assert httpx.get(address.replace("healthz", "livez")).status_code == 200
            first.process.kill()
            second.until("Taking over prod")
            control = second.control()
            until(lambda: httpx.get(f"{control}/healthz").status_code == 200)


def test_applies_that_fail_again_and_again_are_told_with_their_code(project: Project) -> None:
    project.edit("rows.with_columns", "rows.with_colums")
    with upheld(project) as told:
        control = told.control()
        told.until("The apply ended with 3")
        assert httpx.get(f"{control}/healthz").status_code == 200
        told.until("The apply ended with 3")
        answer = httpx.get(f"{control}/healthz")
        apply = answer.json()["checks"]["apply"]
    assert (answer.status_code, apply["well"], apply["failures"]) == (503, False, 2)
    assert apply["code"] == "HR423"


def test_sources_that_cannot_be_looked_at(project: Project) -> None:
    good = project.code
    with upheld(project) as told:
        control = told.control()
        told.address()
        project.write_code("import nothing_of_this_name\n" + good)
        project.write_batch("02", range(300, 336))
        told.until("HR804")
        until(lambda: httpx.get(f"{control}/healthz").status_code == 503)
        reasons = httpx.get(f"{control}/healthz").json()["reasons"]
        assert any("HR804" in each for each in reasons)
        project.write_code(good)
        until(lambda: httpx.get(f"{control}/healthz").status_code == 200)
        told.process.send_signal(signal.SIGTERM)
        assert told.process.wait(60) == 0

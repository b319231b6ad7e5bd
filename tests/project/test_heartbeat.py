"""Signs of life: what counts as silence, and processes that are really stopped and really replaced."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.project.applying import Applying
from headrace.project.health import Limits
from headrace.project.heartbeat import Heart, Patience, Pulse
from headrace.project.serving import Server, Where
from headrace.project.shared_figures import shared_figures, sweep
from headrace.project.up import Supervisor, Ways
from tests.support.projects import ORDERS, Project
from tests.support.served import served_project, serving
from tests.support.upheld import children_of, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK = Patience(silent=5.0, start=120.0)
"""Soon, but not so soon that a child which a busy machine lets wait is taken for one that hangs."""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that is stopped, and does not outlive the test."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def pulse() -> Iterator[tuple[SimulatedClock, Pulse]]:
    clock = SimulatedClock()
    pulse = Pulse(clock, Patience(silent=30, start=60))
    yield clock, pulse
    pulse.close()
    pulse.handed_over()


def looks(clock: SimulatedClock, pulse: Pulse, seconds: int) -> bool:
    found = False
    for _ in range(seconds):
        clock.sleep(1)
        found = pulse.is_lost()
    return found


def test_a_child_has_longer_to_start_than_to_go_on(pulse: tuple[SimulatedClock, Pulse]) -> None:
    clock, found = pulse
    assert not looks(clock, found, 60)
    os.write(found.theirs, b"b")
    assert not looks(clock, found, 31)
    assert found.silence == 30
    assert looks(clock, found, 1)


def test_one_that_begins_anew_has_the_time_of_a_start(pulse: tuple[SimulatedClock, Pulse]) -> None:
    clock, found = pulse
    os.write(found.theirs, b"bba")
    assert not looks(clock, found, 61)
    assert looks(clock, found, 1)


def test_where_the_parent_stood_still_the_child_is_not_to_blame(pulse: tuple[SimulatedClock, Pulse]) -> None:
    clock, found = pulse
    os.write(found.theirs, b"b")
    assert not found.is_lost()
    clock.sleep(3_600)
    assert not found.is_lost()
    assert found.silence == 7.5


def test_a_heart_stops_with_a_loop_that_stands_still_and_only_then() -> None:
    reading, writing = os.pipe()
    clock = SimulatedClock()
    heart = Heart(writing, clock)

    def beats() -> bool:
        ready, _, _ = select.select([reading], [], [], 2.5)
        return bool(ready and os.read(reading, 1))

    heart.start()
    clock.sleep(1_000)
    assert [beats(), beats()] == [True, True]
    heart.turned(going=True)
    assert [beats(), beats()] == [True, True]
    clock.sleep(6)
    beats()  # one may have been under way
    assert not beats()
    heart.turned(going=False)
    assert beats()
    heart.begin_anew()
    os.close(writing)
    rest = os.read(reading, 100)
    os.close(reading)
    assert rest.endswith(b"a")


class Replaced:
    """Applies of a project whose processes are replaced soon."""

    def __init__(self, project: Project) -> None:
        self.said: list[str] = []
        self.good: list[bool] = []
        self.workspace = project.opened()
        opened = self.workspace.__enter__()
        self.applying = Applying(opened, "prod", self.said.append, QUICK)

    def ask(self) -> None:
        self.applying.ask("one", then=lambda ended: self.good.append(ended.good))

    def stands_by(self) -> int:
        """A process that has done one apply, and waits for the next one."""
        self.applying.keep_ready(wanted=True)
        self.ask()
        until(self.look)
        [pid] = children_of(os.getpid(), "headrace.cli.standby")
        return pid

    def look(self) -> bool:
        self.applying.look()
        select.select(self.applying.waits_for, [], [], 0.05)
        return bool(self.good)

    def close(self) -> None:
        self.applying.stop()
        self.workspace.__exit__(None, None, None)


@contextmanager
def replaced(folder: Path, code: str = ORDERS) -> Iterator[Replaced]:
    project = Project(folder / "shop", code)
    project.write_batch("01", range(5))
    found = Replaced(project)
    try:
        yield found
    finally:
        found.close()


def test_an_apply_whose_process_is_stopped_is_replaced_and_done(tmp_path: Path) -> None:
    with replaced(tmp_path) as found, stopped(found.stands_by()):
        found.ask()
        until(lambda: found.look() and len(found.good) == 2)
        assert found.good == [True, False]
        assert any("HR958" in each for each in found.said)
        assert (found.applying.past.replaced, found.applying.past.code) == (1, "HR958")
        found.ask()
        until(lambda: found.look() and found.good[-1])
        assert found.applying.past.outcomes == {"failed": 1, "done": 2}


def test_one_that_stands_by_and_is_stopped_is_replaced(tmp_path: Path) -> None:
    with replaced(tmp_path) as found:
        pid = found.stands_by()
        with stopped(pid):
            until(lambda: found.look() and found.applying.past.replaced == 1)
        [other] = children_of(os.getpid(), "headrace.cli.standby")
        assert other != pid
        found.ask()
        until(lambda: found.look() and len(found.good) == 2)
        assert found.good == [True, True]


SLOW = ORDERS.replace(
    "    return rows.with_columns", "    import time\n\n    time.sleep(9)\n    return rows.with_columns"
)


def test_a_step_that_takes_long_is_no_hang(tmp_path: Path) -> None:
    with replaced(tmp_path, SLOW) as found:
        found.ask()
        until(found.look)
        assert (found.good, found.applying.past.replaced) == ([True], 0)
        assert found.applying.past.total > 9


def test_a_process_that_answers_and_is_stopped_is_replaced(tmp_path: Path) -> None:
    project, said = served_project(tmp_path), list[str]()
    with project.opened() as workspace, Server(workspace, "prod", Where(port=0), said.append, QUICK) as server:
        address = "http" + said[0].partition("http")[2].split()[0]
        [pid] = children_of(os.getpid(), "headrace.project.server")
        with stopped(pid):

            def is_replaced() -> bool:
                server.look()
                return server.children.restarts == 1 and server.children.running == 1

            until(is_replaced)
            assert any("HR958" in each for each in said)
            [other] = children_of(os.getpid(), "headrace.project.server")
            assert other != pid
            row = {"shop": "a", "amount": 7.0}
            assert httpx.post(f"{address}/predict/scores", json=row, timeout=30).status_code == 200


def test_a_supervisor_replaces_what_hangs_and_says_so(tmp_path: Path) -> None:
    project, said = served_project(tmp_path), list[str]()
    ways = Ways(Where(port=0), watch=0.2, port=0, limits=Limits(children=QUICK))
    with project.opened() as workspace, Supervisor(workspace, "prod", ways, said.append) as supervisor:

        def come(there: Callable[[], bool]) -> None:
            def looked() -> bool:
                supervisor.wait(0.05)
                supervisor.look()
                return there()

            until(looked)

        def told(about: str) -> str:
            come(lambda: any(about in each for each in said))
            return next(each for each in said if about in each)

        control = "http" + told("Taking events").partition("http")[2].removesuffix("/events")
        told("Serving")
        [pid] = children_of(os.getpid(), "headrace.project.server")
        with stopped(pid):
            come(lambda: httpx.get(f"{control}/healthz").status_code == 503)
            assert "no sign of life" in httpx.get(f"{control}/healthz").json()["reasons"][0]
            told("HR958")
            come(lambda: httpx.get(f"{control}/healthz").status_code == 200)
        assert 'headrace_up_child_restarts_total{child="server"} 1.0' in httpx.get(f"{control}/metrics").text


def test_figures_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from headrace.project.shared_figures import shared_figures\n"
        "with shared_figures(Path(sys.argv[1])) as found:\n"
        "    print(found.folder, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        with shared_figures(tmp_path) as own:
            assert folder.is_dir()
            other.kill()
            other.wait()
            assert folder.is_dir()
            assert sweep(tmp_path) == 1
            assert (folder.exists(), Path(own.folder).is_dir()) == (False, True)
        assert not Path(own.folder).exists()


def test_a_server_that_was_killed_leaves_no_figures_for_good(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    up = project.folder / ".headrace" / "up"
    with serving(project) as (_, process):
        [left] = up.glob("figures-*")
        process.kill()
        process.wait()
        assert left.is_dir()
    with serving(project):
        until(lambda: left not in up.glob("figures-*") or bool(sweep(project.folder / ".headrace")))
        assert len(list(up.glob("figures-*"))) == 1

"""Applying: failures, retries, time limits, cancellation, several runs at once, dead owners."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.errors import Cancelled
from headrace.ports.ledger import SendSignal
from headrace.ports.records import AttemptState, RunState
from tests.support.projects import MODEL, ORDERS, Project, Recorder

if TYPE_CHECKING:
    from headrace.ports.records import Attempt, Run, Version
    from headrace.runtime.applied import Applied

EXTRA = """

import os, pathlib
from headrace import Options

HERE = pathlib.Path(__file__).parent

@shop.table(raw, options=Options({options}))
def extra(rows: pl.LazyFrame) -> pl.LazyFrame:
{body}
    return rows.select("order_id")
"""

COUNT_AND_FAIL = """
    with (HERE / "tries").open("a") as file:
        file.write("x")
    if len((HERE / "tries").read_text()) < 3:
        raise ValueError("not yet")
"""
BLOCK = """
    with (HERE / "tries").open("a") as file:
        file.write("x")
    (HERE / "gate").read_text()
"""


def project_with(folder: Path, body: str, options: str = "") -> Project:
    project = Project(folder / "shop", ORDERS + EXTRA.format(options=options, body=body))
    project.write_batch("01", range(10))
    os.mkfifo(project.folder / "gate")
    return project


def tries(project: Project) -> int:
    return len((project.folder / "tries").read_text())


def last_run(project: Project) -> tuple[Run, list[Attempt]]:
    with project.opened() as workspace:
        run = workspace.ledger.runs()[0]
        return run, list(workspace.ledger.attempts(run.id))


def test_a_failing_step_leaves_the_rest_alone(tmp_path: Path) -> None:
    project = project_with(tmp_path, '    raise ValueError("broken")')
    applied = project.apply()
    assert applied.failed["extra"]["code"] == "HR423"
    assert "ValueError" in applied.failed["extra"]["what"]
    assert set(applied.published) == {"raw", "orders", "by_shop"}
    run, attempts = last_run(project)
    assert run.state is RunState.FAILED
    assert {attempt.node: attempt.state for attempt in attempts}["extra"] is AttemptState.FAILED


def test_a_failing_step_is_tried_again(tmp_path: Path) -> None:
    project = project_with(tmp_path, COUNT_AND_FAIL, 'retries=2, backoff="10ms"')
    recorder = Recorder()
    applied = project.apply(observer=recorder)
    assert not applied.failed
    assert tries(project) == 3
    assert [line for line in recorder.lines if line.startswith("retried")] == [
        "retried extra 0.01",
        "retried extra 0.02",
    ]
    _, attempts = last_run(project)
    assert [attempt.state for attempt in attempts if attempt.node == "extra"] == [
        AttemptState.FAILED,
        AttemptState.FAILED,
        AttemptState.DONE,
    ]


def test_a_step_that_never_returns_is_ended(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK, 'timeout="500ms"')
    applied = project.apply()
    assert applied.failed["extra"]["code"] == "HR702"
    _, attempts = last_run(project)
    assert AttemptState.TIMED_OUT in [attempt.state for attempt in attempts if attempt.node == "extra"]


def test_a_worker_that_ends_is_a_failed_attempt(tmp_path: Path) -> None:
    project = project_with(tmp_path, "    os._exit(7)")
    applied = project.apply()
    assert applied.failed["extra"]["code"] == "HR705"
    assert "orders" in applied.published


class Background:
    """An apply in a thread of its own. `reached` is set once the step called `extra` or `model` runs."""

    def __init__(self, project: Project, environment: str | None = None) -> None:
        self.reached = threading.Event()
        self.waiting = threading.Event()
        self.published = threading.Event()
        self.applied: Applied | None = None
        self.error: BaseException | None = None
        outer = self

        class Watch(Recorder):
            def step_started(self, node: str, attempt: int) -> None:
                super().step_started(node, attempt)
                if node in ("extra", "model"):
                    outer.reached.set()

            def step_waits(self, node: str, lease: object, owner: str) -> None:
                super().step_waits(node, lease, owner)
                outer.waiting.set()

            def published(self, moves: object) -> None:  # noqa: ARG002
                outer.published.set()

        self.recorder = Watch()
        self._thread = threading.Thread(target=self._run, args=(project, environment))
        self._thread.start()

    def _run(self, project: Project, environment: str | None) -> None:
        try:
            with project.opened() as workspace:
                self.applied = workspace.apply(workspace.question(environment), self.recorder)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def join(self) -> Applied:
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.applied is not None
        return self.applied


def test_two_runs_share_the_work(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    first = Background(project)
    assert first.reached.wait(60)
    second = Background(project)
    assert second.waiting.wait(60)
    (project.folder / "gate").write_text("go")
    assert "extra" in first.join().made
    assert "extra" not in second.join().made
    assert tries(project) == 1
    assert any(line.startswith("waits extra for") for line in second.recorder.lines)


def told(project: Project) -> Path:
    """What the apply that was started says on stderr."""
    return project.folder.parent / "stderr"


def start(project: Project) -> subprocess.Popen[bytes]:
    """An apply in a process of its own, once its blocking step runs."""
    code = (
        "from headrace.project.workspace import Workspace; from headrace.runtime.observer import Observer\n"
        f"w = Workspace.open({str(project.folder)!r}); w.apply(w.question(), Observer())"
    )
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    with told(project).open("wb") as file:
        process = subprocess.Popen(command, stderr=file)
    while not (project.folder / "tries").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_a_dead_owner_is_taken_over_at_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    process = start(project)
    process.kill()
    process.wait()
    run = Background(project)
    assert run.reached.wait(60)
    (project.folder / "gate").write_text("go")
    applied = run.join()
    assert not applied.failed
    assert "raw" not in applied.made
    assert any(line.startswith("took over") for line in run.recorder.lines)
    with project.opened() as workspace:
        states = [each.state for each in workspace.ledger.runs()]
        crashed = workspace.ledger.runs()[1]
        attempts = {attempt.node: attempt.state for attempt in workspace.ledger.attempts(crashed.id)}
    assert states == [RunState.DONE, RunState.CRASHED]
    assert attempts["extra"] is AttemptState.CRASHED


def test_no_worker_outlives_a_killed_engine(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    process = start(project)
    children = _descendants(process.pid)
    assert children
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(_alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _descendants(pid: int) -> list[int]:
    """Every process below one, by way of /proc."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = stat.read_text()
            parents[int(text.split()[0])] = int(text.rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_leaves_a_true_record(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    process = start(project)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # it tells where each of its threads stands
        process.wait()
        pytest.fail(told(project).read_text())
    assert_cancelled(project)


def assert_cancelled(project: Project) -> None:
    run, attempts = last_run(project)
    assert run.state is RunState.CANCELLED
    assert {attempt.node: attempt.state for attempt in attempts}["extra"] is AttemptState.CANCELLED
    with project.opened() as workspace:
        assert not workspace.ledger.leases()
        assert set(run.summary["made"]) == {version.node for version in workspace.ledger.versions()}
        assert set(run.summary["published"]) == set(workspace.ledger.snapshot(run.environment).pointers)


class Impatient(Recorder):
    """Presses Ctrl-C when a step begins or is made; where it shall get lost, as in a `__del__` that Python runs."""

    def __init__(self, moment: str, *, lost: bool) -> None:
        super().__init__()
        self._moment = moment
        self._lost = lost

    def step_started(self, node: str, attempt: int) -> None:
        super().step_started(node, attempt)
        self._press(f"started {node}")

    def step_made(self, version: Version) -> None:
        self._press(f"made {version.node}")

    def _press(self, moment: str) -> None:
        if moment == self._moment:
            with suppress(KeyboardInterrupt) if self._lost else nullcontext():
                signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("lost", [False, True])
def test_no_ctrl_c_is_lost(tmp_path: Path, lost: bool) -> None:
    project = project_with(tmp_path, BLOCK)
    with pytest.raises(KeyboardInterrupt):
        project.apply(observer=Impatient("started extra", lost=lost))
    assert_cancelled(project)


def test_what_is_noted_when_ctrl_c_comes_is_recorded(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    with pytest.raises(KeyboardInterrupt):
        project.apply(observer=Impatient("made orders", lost=False))
    assert_cancelled(project)
    assert last_run(project)[0].summary["made"] == ["raw", "orders"]


def test_a_run_can_be_cancelled_from_outside(tmp_path: Path) -> None:
    project = project_with(tmp_path, BLOCK)
    run = Background(project)
    assert run.reached.wait(60)
    with project.opened() as workspace:
        workspace.ledger.write(SendSignal("cancel", workspace.ledger.runs()[0].id))
    with pytest.raises(Cancelled):
        run.join()
    assert last_run(project)[0].state is RunState.CANCELLED


SLOW_MODEL = MODEL.replace(
    "    return LogisticRegression().fit(data.X, data.y)",
    '    import pathlib\n    (pathlib.Path(__file__).parent / "gate").read_text()\n'
    "    return LogisticRegression().fit(data.X, data.y)",
)


def test_slow_training_does_not_hold_fresh_tables_back(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + SLOW_MODEL)
    os.mkfifo(project.folder / "gate")
    project.write_batch("01", range(150))
    first = Background(project)
    assert first.reached.wait(60)
    project.write_batch("02", range(150, 200))
    second = Background(project)
    assert second.published.wait(60)
    assert len(project.ids()) == 200
    (project.folder / "gate").write_text("go")
    assert "model" in first.join().published
    (project.folder / "gate").write_text("go")
    assert "model" in second.join().published
    assert project.plan().to_do == ()


def test_a_task_gets_the_same_key_at_each_try(tmp_path: Path) -> None:
    task = """

import pathlib
from headrace import Options

@shop.task(orders, options=Options(retries=1, backoff="1ms"))
def announce(rows: pl.DataFrame, idempotency_key: str) -> dict:
    with (pathlib.Path(__file__).parent / "tries").open("a") as file:
        file.write(idempotency_key + "\\n")
    if len((pathlib.Path(__file__).parent / "tries").read_text().split()) < 2:
        raise OSError("the other side hung up")
    return {"rows": rows.height}
"""
    project = Project(tmp_path / "shop", ORDERS + task)
    project.write_batch("01", range(10))
    planned = project.plan()
    project.apply()
    keys = (project.folder / "tries").read_text().split()
    assert keys == [planned.step("announce").key] * 2
    with project.opened() as workspace:
        version = workspace.ledger.version(keys[0])
    assert version is not None
    assert version.manifest.facts["result"] == {"rows": 10}

"""Supervisors, applies, workers and servers are killed at random; the environment ends as if nobody had touched it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from headrace.errors import HeadraceError
from headrace.project.workspace import Workspace
from tests.support.story import PROJECT, digests, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK = "HEADRACE_TEST_LIFE"
"""The variable that tells the processes of a life from all others."""
MONTHS = ("2013-01", "2013-02", "2013-03")
KILLS = 5
"""How many processes are killed in a month, at random moments of what follows its arrival."""
PATIENCE = 420.0


class Life:
    """A project that two supervisors look after, one of them standing by; either is started again when it is gone."""

    def __init__(self, folder: Path, months: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311 - whom to kill is no secret
        self.killed = 0
        self._months = months
        self._mark = uuid.uuid4().hex
        self._supervisors: list[subprocess.Popen[bytes]] = []
        self._pause = threading.Event()
        (folder / "data" / "flights").mkdir(parents=True)
        shutil.copytree(months / "weather", folder / "data" / "weather")
        code = (PROJECT / "pipeline.py").read_text()
        write(
            folder / "pipeline.py", code.partition("# 6.")[0]
        )  # what is retrained by its monitors depends on the time
        shutil.copy(PROJECT / "headrace.toml", folder)

    def arrive(self, month: str) -> None:
        """Let the flights of a month appear, at once."""
        draft = self.folder / f"{month}.draft"
        shutil.copy(self._months / "flights" / f"{month}.csv.gz", draft)
        draft.rename(self.folder / "data" / "flights" / f"{month}.csv.gz")

    def attend(self) -> None:
        """Start the supervisors that are missing."""
        self._supervisors = [each for each in self._supervisors if each.poll() is None]
        while len(self._supervisors) < 2:
            command = [str(Path(sys.executable).with_name("headrace")), "up", "--port", "0", "--watch", "200ms"]
            command += ["--control", "127.0.0.1:0"]
            with (self.folder / "said.log").open("ab") as said:
                environment = {**os.environ, MARK: self._mark}
                process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said)
            self._supervisors.append(process)

    def kill_one(self) -> None:
        """Kill any process of this life."""
        found = sorted(self._processes())
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(found), signal.SIGKILL)
                self.killed += 1

    def wait(self, seconds: float) -> None:
        self._pause.wait(seconds)

    def settle(self) -> None:
        """Wait until everything is made of all that has arrived."""
        until = monotonic() + PATIENCE
        while not self._is_settled():
            assert monotonic() < until, (self.folder / "said.log").read_text()[-4_000:]
            self.attend()
            self.wait(0.2)

    def end(self) -> None:
        """Have the supervisors end in good order, and see that nothing is left of them."""
        for each in self._supervisors:
            each.terminate()
        for each in self._supervisors:
            each.wait(60)
        until = monotonic() + PATIENCE
        while left := list(self._processes()):
            assert monotonic() < until, f"{left} outlived their supervisors"
            self.wait(0.1)

    def remove(self) -> None:
        for each in self._processes():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        for process in self._supervisors:
            process.wait(60)

    def _is_settled(self) -> bool:
        try:
            with Workspace.open(self.folder) as workspace:
                if "prod" not in workspace.ledger.environments():
                    return False
                plan = workspace.plan(workspace.question())
                pointers = workspace.ledger.snapshot("prod").pointers
                answers = pointers.get("scores") == pointers.get("scores.settled")  # a server has loaded it
                return answers and not plan.to_do and not workspace.ledger.leases() and self._is_read(workspace)
        except HeadraceError:
            return False

    def _is_read(self, workspace: Workspace) -> bool:
        """Whether all files that have arrived are part of what is published."""
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["raw_flights"])
        arrived = list((self.folder / "data" / "flights").glob("*.csv.gz"))
        return version is not None and len(version.batches) == len(arrived)

    def _processes(self) -> Iterator[int]:
        wanted = f"{MARK}={self._mark}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if wanted in (entry / "environ").read_bytes():
                        yield int(entry.name)


@contextmanager
def living(folder: Path, months: Path, seed: int) -> Iterator[Life]:
    life = Life(folder, months, seed)
    try:
        yield life
    finally:
        life.remove()


def lived(life: Life, kills: Sequence[float]) -> dict[str, Any]:
    """Let the months arrive one after the other; answers what the environment holds at the end.

    In each month so many processes are killed, each of them so many seconds after the one before.
    """
    for month in MONTHS:
        life.arrive(month)
        life.attend()
        for pause in kills:
            life.wait(pause)
            life.kill_one()
            life.attend()
        life.settle()
    life.end()
    with Workspace.open(life.folder) as workspace:
        workspace.ledger.verify()
        return digests(workspace)


@pytest.fixture(scope="session")
def quiet_life(months: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an environment holds that nobody disturbs."""
    with living(tmp_path_factory.mktemp("quiet") / "flights", months, 0) as life:
        return lived(life, ())


def test_the_quiet_life_has_a_model_of_every_month(quiet_life: dict[str, Any]) -> None:
    assert set(quiet_life["pointers"]["prod"]) >= {"raw_flights", "departures", "lateness", "scores"}
    assert quiet_life["leases"] == []
    assert len([key for node, key, passed in quiet_life["decisions"] if node == "lateness"]) == len(MONTHS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_is_killed_the_end_is_the_same(
    seed: int, months: Path, quiet_life: dict[str, Any], tmp_path: Path
) -> None:
    with living(tmp_path / "flights", months, seed) as life:
        found = lived(life, [life.chance.uniform(0.05, 1.5) for _ in range(KILLS)])
        assert life.killed >= KILLS
    assert found == quiet_life

"""Child processes that are bounded in time and that are gone, with everything they started, when their block ends."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from benchmarks.support.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PATIENCE = 10.0
"""Seconds between asking a child to end and ending it."""


_LAST_LINES = 30


class _As(TypedDict, total=False):
    """The arguments of `Popen` that say who a process runs as."""

    user: str
    group: int
    extra_groups: list[int]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def inherited(without: str) -> dict[str, str]:
    """Our environment, less the variables that begin with a prefix: the user's own settings of what is measured.

    Compiled modules may be kept, whatever is set here: without them a start measures the compiler.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(without) and name != "PYTHONDONTWRITEBYTECODE"
    }


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs, and the file that what it says goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        """The end of what it said."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])


@contextmanager
def child(argv: Sequence[str], env: Mapping[str, str], log: Path, user: str | None = None) -> Iterator[Child]:
    """A process that runs while the block does, in a session of its own; what it says goes to `log`.

    At the end the whole session is ended, so that neither workers nor their children stay behind. `user` is the user
    that it runs as, which only root may name. It starts in the folder of its log.
    """
    as_user = _As() if user is None else _As(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[])
    with log.open("ab") as said:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            **as_user,
        )
    try:
        yield Child(process, log)
    finally:
        _end(process)


def run(argv: Sequence[str], env: Mapping[str, str], log: Path, timeout: float, user: str | None = None) -> None:
    """Run a command to its end, at most `timeout` seconds. The other arguments are those of `child`.

    Raises:
        BenchError: It failed or took too long; the message holds the end of what it said.
    """
    with child(argv, env, log, user) as started:
        try:
            code = started.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{argv[0]} did not end within {timeout:.0f} s\n{started.last_words()}") from None
    if code:
        raise BenchError(f"{' '.join(argv)} ended with {code}\n{started.last_words()}")


def wait_for(what: str, probe: Callable[[], bool], started: Child, timeout: float, *, pause: float = 0.05) -> None:
    """Ask `probe` every `pause` seconds until it says yes. `started` is who must be alive for that.

    Raises:
        BenchError: The process died, or the answer was no for `timeout` seconds.
    """
    deadline = time.perf_counter() + timeout
    while not probe():
        if started.process.poll() is not None:
            raise BenchError(f"{what}: it ended with {started.process.returncode}\n{started.last_words()}")
        if time.perf_counter() > deadline:
            raise BenchError(f"{what}: not within {timeout:.0f} s\n{started.last_words()}")
        time.sleep(pause)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the session to end, then end it. `process` is its leader: its id is the session's."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.perf_counter() + _PATIENCE
        members = _session(process.pid)
        for pid in members:
            _signal(pid, number)
        while members and time.perf_counter() < deadline:
            process.poll()  # takes the exit of the leader, so that it is no longer listed
            time.sleep(0.02)
            members = _session(process.pid)
    process.wait(_PATIENCE)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended between the listing and now, which is what was wanted


def _session(leader: int) -> list[int]:
    """The processes of a session that still run; those that only wait to be noticed (zombies) are left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        state, _parent, _group, session = text.rpartition(")")[2].split()[:4]
        if int(session) == leader and state not in "ZX":
            found.append(int(stat.parent.name))
    return found

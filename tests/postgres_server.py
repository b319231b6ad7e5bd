"""A private PostgreSQL server for one process of the test suite: its own folder, its own socket, no network."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")
_ROOM = 2**31
"""Bytes that all databases of a test session may need."""


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, the newest there is."""
    on_path = shutil.which("pg_ctl")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [found.parent for place in _PLACES for found in sorted(Path(place).glob("**/bin/pg_ctl"), reverse=True)]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class PostgresServer:
    """A server that can be stopped and started again. PostgreSQL refuses to run as root: then `postgres` runs it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._numbers = count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-pg-", dir=_memory()))
        self._user = _unprivileged_user()
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._call("initdb", "-D", self._data, "-U", "headrace", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://headrace@/{database}?host={self.folder}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._call("pg_ctl", "-w", "-s", "-D", self._data, "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-s", "-D", self._data, "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The address of a new, empty database."""
        name = f"ledger{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _call(self, program: str, *arguments: str) -> None:
        other: dict[str, Any] = {}
        if self._user is not None:
            other = {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
        command: Sequence[str] = [str(self._programs / program), *arguments]
        with (self.folder / "output").open("ab") as output:  # no pipe: the server would keep it open
            subprocess.run(
                command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, **other
            )


def _memory() -> Path | None:
    """A file system in memory with room for the server, None where there is none."""
    folder = Path("/dev/shm")  # noqa: S108 - the folder below it is new
    roomy = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM
    return folder if roomy else None


def _unprivileged_user() -> str | None:
    """Who is to run the server where this process is root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    programs = binaries()
    if programs is None:
        message = "PostgreSQL is not installed (no initdb and pg_ctl)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    server = PostgresServer(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def new_database(postgres_server: PostgresServer) -> Callable[[], str]:
    """Makes an empty database and answers its address."""
    return postgres_server.new_database

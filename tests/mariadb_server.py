"""A private MariaDB server for one process of the test suite: its own folder, its own socket, no network."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACES = "/usr/sbin:/usr/local/sbin:/usr/libexec"


def programs() -> tuple[str, str] | None:
    """Where mariadbd and mariadb-install-db are."""
    path = f"{os.environ.get('PATH', '')}:{_PLACES}"
    found = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")]
    return (found[0], found[1]) if found[0] and found[1] else None


class MariadbServer:
    """A server that can be stopped and started again. It runs as `mysql` where this process is root."""

    def __init__(self, server: str, install: str) -> None:
        self._server = server
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-maria-"))
        self._user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, self._user)
        words = [install, "--no-defaults", f"--datadir={self._data}", f"--user={self._user}"]
        words += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        with (self.folder / "output").open("ab") as output:
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _socket(self) -> str:
        return str(self.folder / "socket")

    def url(self, database: str) -> str:
        return f"mariadb://root@localhost/{database}?unix_socket={self._socket}"

    def connect(self, database: str | None = None) -> Any:  # noqa: ANN401 - PyMySQL publishes no types
        return pymysql.connect(unix_socket=self._socket, user="root", database=database, autocommit=True)

    def start(self) -> None:
        words = [self._server, "--no-defaults", f"--datadir={self._data}", f"--user={self._user}"]
        words += [f"--socket={self._socket}", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"]
        words += [f"--pid-file={self.folder / 'pid'}", "--innodb-buffer-pool-size=32M", "--log-warnings=0"]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.05)
                pytest.fail((self.folder / "output").read_text())

    def _answers(self) -> bool:
        if not Path(self._socket).exists():
            return False
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"source{next(self._numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    found = programs()
    if found is None:
        message = "MariaDB is not installed (no mariadbd and mariadb-install-db)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    server = MariadbServer(*found)
    server.start()
    yield server
    server.remove()

"""A private Redis server for one process of the test suite: its own folder, a free port, and a password."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator


class RedisServer:
    """A server that can be stopped and started again; it writes every change to its disk."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.password = secrets.token_hex(8)

    def url(self, name: str = "tests") -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0#{name}"

    def client(self) -> redis.Redis:
        """A client of the test's own, which waits for a server that is starting."""
        patience = Retry(ConstantBackoff(0.02), 500)
        return redis.Redis(
            port=self.port, password=self.password, retry=patience, retry_on_error=[redis.BusyLoadingError]
        )

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "requirepass": self.password,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *words], stdout=log, stderr=log)
        with self.client() as client:
            client.ping()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def running() -> Iterator[RedisServer]:
    """A server for the tests of a module. Without the program they are skipped, but never in CI."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed, and CI must not skip its tests")
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    server = RedisServer(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A private object store (moto speaks S3 over HTTP) for one process of the test suite: a free port, nothing on disk."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "flights"
KEYS = {"access_key_id": "tests", "secret_access_key": "tests", "region": "us-east-1"}
_PATIENCE = 120  # seconds for a busy machine to start a server


class ObjectServer:
    """A store with one bucket."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests", "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=self.url, **keys)

    @property
    def options(self) -> dict[str, object]:
        """What `[storage]` says of it."""
        return {"endpoint": self.url, "retries": 1, **KEYS}

    def put(self, key: str, content: str | bytes) -> None:
        """An object that everybody may read."""
        data = content.encode() if isinstance(content, str) else content
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data, ACL="public-read")

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)

    def reset(self) -> None:
        """An empty bucket that everybody may read."""
        self.admit(10**9)
        self._ask("POST", "/moto-api/reset")
        self._client.create_bucket(Bucket=BUCKET)

    def admit(self, requests: int) -> None:
        """Look at credentials after so many requests: those of the tests are then not known."""
        self._ask("POST", "/moto-api/reset-auth", str(requests).encode())

    def stop(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, path: str, data: bytes | None = None) -> None:
        headers = {"content-type": "text/plain"}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()

    def _wait(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    pytest.fail("the object store did not start")
                time.sleep(0.05)  # a server that starts tells nobody: look again a little later


def running() -> Iterator[ObjectServer]:
    """A store for the tests of a module."""
    server = ObjectServer()
    try:
        yield server
    finally:
        server.stop()

"""A PostgreSQL server of one's own: fresh, on a private port of 127.0.0.1, durable, gone when its block ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.children import child, free_port, run, wait_for
from benchmarks.support.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALLED = "/usr/lib/postgresql/*/bin"
_USER = "postgres"
_TIMEOUT = 60.0


@contextmanager
def server(scratch: Path) -> Iterator[str]:
    """The address of an empty database whose server runs while the block does.

    PostgreSQL refuses to run as root; where we are root, it runs as the user `postgres`.

    Raises:
        BenchError: PostgreSQL is not installed, or the server does not start.
    """
    binaries = _binaries()
    user = _USER if os.geteuid() == 0 else None
    scratch.chmod(0o711)  # that user has to pass through; so do the folders above
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        data, log, port = Path(folder) / "data", scratch / "postgres.log", free_port()
        if user is not None:
            shutil.chown(folder, user)
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        create = ["initdb", "--pgdata", str(data), "--username", _USER, "--auth", "trust", "--encoding", "UTF8"]
        run([str(binaries / create[0]), *create[1:]], env, log, _TIMEOUT, user)
        settings = [f"--port={port}", "--listen_addresses=127.0.0.1", "--unix_socket_directories="]
        with child([str(binaries / "postgres"), "-D", str(data), *settings], env, log, user) as process:
            address = f"postgresql://{_USER}@127.0.0.1:{port}/postgres"
            wait_for("PostgreSQL", lambda: _answers(address), process, _TIMEOUT)
            yield address


def _binaries() -> Path:
    """The folder of the newest version that is installed, or the one that the search path names."""
    folders = sorted(Path("/").glob(_INSTALLED.lstrip("/")), key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    if not folders and found is None:
        raise BenchError("PostgreSQL is missing: its binaries are looked for in /usr/lib/postgresql and on the path")
    return folders[-1] if folders else Path(str(found)).parent


def _answers(address: str) -> bool:
    import psycopg

    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True

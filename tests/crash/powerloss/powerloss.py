"""A machine whose power can be cut: run commands on it, cut the power, and look at what is left on the disk.

    machine = Machine(root, shadow)          # two folders on one file system; what `root` holds now is on the disk
    done = machine.run([sys.executable, "-m", "headrace", "apply"], {"HEADRACE_FAILPOINT": "table.sync.before"})
    assert done.returncode == -signal.SIGKILL
    machine.cut_power()                      # `root` is what the cut left, and can be run on again

Every fsync of a process of the machine is recorded by the preloaded `powerloss.c`. Whether names that were not synced
survive, the disk may choose: `Names.SYNCED` (a file created, renamed or removed without a sync of its folder is not)
and `Names.LATEST` (it is, as when a journal is written every few seconds) are the two ends. Content that was not
synced is lost both ways: the file is what it was when it was last synced, or empty.
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SOURCE = Path(__file__).with_name("powerloss.c")

_SYNC_ALL = """
import os, sys
def sync(path, flags):
    descriptor = os.open(path, flags)
    os.fsync(descriptor)
    os.close(descriptor)
for folder, _, names in os.walk(sys.argv[1]):
    sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    for name in names if sys.argv[2] == "files" else ():
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path):
            sync(path, os.O_RDONLY)
"""


class Names(StrEnum):
    """Which names in folders a power cut leaves."""

    SYNCED = "synced"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class _Name:
    kind: str
    identity: str
    name: str


@cache
def library() -> Path:
    """The preloaded library, compiled once for each process of the test suite."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-powerloss-"))
    atexit.register(shutil.rmtree, folder)
    path = folder / "powerloss.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(path), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return path


class Machine:
    """A folder as the disk of a machine. Processes started by `run` are the only ones whose syncs count."""

    def __init__(self, root: Path, shadow: Path) -> None:
        self.root = root.resolve()
        self.shadow = shadow.resolve()
        self._power_on()

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command until it ends or kills itself; whatever it started ends with it, at once."""
        return run_with_shadow(command, self.root, self.shadow, env)

    def left(self, target: Path, names: Names = Names.SYNCED) -> Path:
        """Build in a new folder what a power cut would leave now; the machine stays as it is."""
        reconstruct(self.shadow, self.root, target, names)
        return target

    def cut_power(self, names: Names = Names.SYNCED) -> None:
        """Cut the power and switch it on again: `root` is what is left, all of it on the disk."""
        left = self.left(self.shadow.with_name(f"{self.shadow.name}.left"), names)
        shutil.rmtree(self.root)
        left.rename(self.root)
        self._power_on()

    def _power_on(self) -> None:
        shutil.rmtree(self.shadow, ignore_errors=True)
        _sync_all(self.root, self.shadow, "files")


def run_with_shadow(
    command: Sequence[str], root: Path, shadow: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and record in `shadow` what it syncs below `root`. `env` is added to the environment."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(env or {}), **_environment(root, shadow)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        process.wait()
        _end_all(shadow)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(command), process.returncode, out.read(), err.read())


def reconstruct(shadow: Path, root: Path, target: Path, names: Names = Names.SYNCED) -> None:
    """Build in `target`, which must not exist yet, what a power cut would leave of `root`."""
    latest = shadow / "latest"
    shutil.rmtree(latest, ignore_errors=True)
    _sync_all(root, latest, "folders")
    folders = (latest if names is Names.LATEST else shadow) / "folders"
    _Disk(shadow / "files", folders).build(_identity(root, latest / "folders"), target)


class _Disk:
    """The copies that the library made, as a tree of files."""

    def __init__(self, files: Path, folders: Path) -> None:
        self._files = files
        self._folders = folders
        self._built: dict[str, Path] = {}

    def build(self, identity: str, target: Path) -> None:
        target.mkdir()
        for entry in _names(self._folders / identity):
            path = target / entry.name
            if entry.kind == "d":
                self.build(entry.identity, path)
            elif entry.kind == "f":
                self._build_file(entry.identity, path)
            elif entry.kind == "l":
                message = f"symbolic links are not recorded: {path}"
                raise NotImplementedError(message)

    def _build_file(self, identity: str, path: Path) -> None:
        """One more name of the same file, or the content that was synced last, or an empty file."""
        first = self._built.setdefault(identity, path)
        content = self._files / identity
        if first != path:
            path.hardlink_to(first)
        elif content.exists():
            shutil.copyfile(content, path)
        else:
            path.touch()


def _names(path: Path) -> Iterator[_Name]:
    """The names that a folder held; a folder that was never synced is empty."""
    if path.exists():
        for line in path.read_bytes().split(b"\0")[:-1]:
            yield _Name(*os.fsdecode(line).split(" ", 2))


def _identity(root: Path, folders: Path) -> str:
    """The identity of a folder that exists, out of the copies of all folders that exist."""
    facts = root.stat()
    prefix = f"{os.major(facts.st_dev):x}.{os.minor(facts.st_dev):x}-{facts.st_ino}-"
    (found,) = (path.name for path in folders.iterdir() if path.name.startswith(prefix))
    return found


def _sync_all(root: Path, shadow: Path, what: str) -> None:
    """Record all folders, and the files in them if `what` is "files", as they are."""
    (shadow / "files").mkdir(parents=True)
    (shadow / "folders").mkdir()
    command = [sys.executable, "-I", "-S", "-c", _SYNC_ALL, str(root), what]
    subprocess.run(command, env={**os.environ, **_environment(root, shadow)}, check=True)


def _environment(root: Path, shadow: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library()),
        "HEADRACE_SHADOW": str(shadow.resolve()),
        "HEADRACE_SHADOW_ROOT": str(root.resolve()),
    }


def _end_all(shadow: Path) -> None:
    """End every process of a machine and wait for their ends: a power cut leaves nobody who goes on writing."""
    while members := list(_members(shadow)):
        for member in members:
            try:
                handle = os.pidfd_open(member)
            except ProcessLookupError:
                continue  # it ended by itself
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [])
            except ProcessLookupError:
                continue
            finally:
                os.close(handle)


def _members(shadow: Path) -> Iterator[int]:
    """The processes that record in this shadow and have not ended, in whatever session: workers have one of their own.

    A process that has ended and was not waited for has no environment any more.
    """
    mark = os.fsencode(f"HEADRACE_SHADOW={shadow.resolve()}")
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while the list was read, or is somebody else's
        if mark in environment.split(b"\0"):
            yield int(path.parent.name)

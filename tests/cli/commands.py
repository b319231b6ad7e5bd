"""Runs the real command line: in a process of its own, or, where it only reads, in the process of the test."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from headrace.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

HEADRACE = [sys.executable, "-m", "headrace.cli.main"]


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        """What was printed, read as JSON."""
        return json.loads(self.out)


def surroundings() -> dict[str, str]:
    """The environment of a command: a fixed width, no colours, no debugging."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**kept, "COLUMNS": "100", "NO_COLOR": "1"}


def headrace(folder: Path, *arguments: str, code: int = 0) -> Done:
    """Run one command in a folder; it must end with `code`."""
    done = subprocess.run(
        [*HEADRACE, *arguments], cwd=folder, env=surroundings(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


def inside(folder: Path, *arguments: str, code: int = 0) -> Done:
    """Run one command in this process, which has imported the libraries already; it must end with `code`."""
    out, err = io.StringIO(), io.StringIO()
    modules, path = set(sys.modules), list(sys.path)
    with mock.patch.dict(os.environ, surroundings(), clear=True), redirect_stdout(out), redirect_stderr(err):
        ended = run([*arguments, "--project", str(folder)])
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{folder}/"):
            del sys.modules[name]
    assert ended == code, f"{arguments} ended with {ended}\n{out.getvalue()}\n{err.getvalue()}"
    return Done(ended, out.getvalue(), err.getvalue())


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start one command in a process group of its own."""
    return subprocess.Popen(
        [*HEADRACE, *arguments],
        cwd=folder,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

"""What a terminal shows: bars while steps run, colours unless they are unwanted, rows in a frame that fits."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.cli.frames import frame_lines
from tests.cli.commands import HEADRACE, surroundings
from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path


def shown(folder: Path, *arguments: str, color: bool) -> str:
    """What one command that succeeds writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**surroundings(), "TERM": "xterm-256color"}
    if color:
        del environment["NO_COLOR"]
    with subprocess.Popen(
        [*HEADRACE, *arguments], cwd=folder, env=environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        text = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert process.returncode == 0, text.decode()
    return text.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError as error:  # on Linux, the end of what a terminal says
        if error.errno != errno.EIO:
            raise
        return b""


@pytest.mark.parametrize("color", [True, False])
def test_bars_and_colours(tmp_path: Path, color: bool) -> None:
    project = Project(tmp_path / "project")
    project.write_batch("a", range(5))
    text = shown(project.folder, "apply", color=color)
    assert "━" in text
    assert ("\x1b[32m  + orders made, 5 rows" in text) is color
    assert "  + by_shop made, 1 row" in text
    assert ("\x1b[3" in text) is color
    planned = shown(project.folder, "plan", "--refresh", "orders", color=color)
    assert planned.startswith("\x1b[33m  ~ orders" if color else "  ~ orders")
    assert shown(project.folder, "plan", "--refresh", "orders", "--no-color", color=True).startswith("  ~ orders")


def test_rows_fit_a_terminal() -> None:
    frame = pl.DataFrame({"name": ["a" * 30, None], "n": [1, 22]})
    lines = frame_lines(frame, terminal=24)
    assert max(map(len, lines)) <= 24
    assert "".join(line.split()[0] for line in lines[2:-1]).startswith("aaaa")
    assert frame_lines(frame, terminal=None) == [
        "name                             n",
        f"{'a' * 30}   1",
        f"null{' ' * 28}22",
    ]

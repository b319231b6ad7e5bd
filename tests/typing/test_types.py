"""A type checker accepts a right pipeline and rejects a wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_ERROR = re.compile(r"mistakes\.py:(\d+): error: .*\[([a-z-]+)\]$")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", "--hide-error-context", "--no-pretty"]
    finished = subprocess.run(
        [*command, "tests/typing/right.py", "tests/typing/mistakes.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return finished.stdout


def test_the_right_pipeline_is_accepted(found: str) -> None:
    assert "right.py" not in found, found


def test_each_planted_mistake_is_found(found: str) -> None:
    wanted = {}
    for number, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1):
        _, marker, codes = line.partition("  # ")
        if marker:
            wanted[number] = set(codes.split(", "))
    seen: dict[int, set[str]] = {}
    for line in found.splitlines():
        match = _ERROR.search(line)
        if match:
            seen.setdefault(int(match[1]), set()).add(match[2])
    assert seen.keys() == wanted.keys(), found
    assert {number for number in wanted if not wanted[number] & seen[number]} == set(), found

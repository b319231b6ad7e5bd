"""The repository names no package registry: whoever installs it decides where packages come from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Written in parts, so that this file does not hold what it looks for.
ADDRESSES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "python", "org"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("conda", "anaconda", "org"),
        ("rubygems", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("maven", "org"),
    )
]
OPTIONS = ["--" + "-".join(parts) for parts in (("index", "url"), ("extra", "index", "url"), ("find", "links"))]


def found_in(text: str) -> list[str]:
    return [needle for needle in (*ADDRESSES, *OPTIONS) if needle in text]


def tracked_files() -> list[Path]:
    """The files of the checkout that git has or would take, which a release is made of."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry() -> None:
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    found = {
        str(path.relative_to(ROOT)): found_in(path.read_text(encoding="utf-8", errors="replace")) for path in files
    }
    assert not {name: needles for name, needles in found.items() if needles}


def test_locks_hold_only_versions_and_hashes() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert {lock.name for lock in locks} >= {"base.txt", "demo.txt", "dev.txt", "uv.txt"}
    assert not [lock.name for lock in locks if "://" in lock.read_text(encoding="utf-8")]
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("needle", [*ADDRESSES, *OPTIONS])
def test_the_search_sees(needle: str) -> None:
    assert needle in found_in(f"pip install {needle} x")

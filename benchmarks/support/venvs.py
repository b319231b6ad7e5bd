"""One virtual environment for each rival, made on demand from its lock, under `.venv-bench` (git-ignored)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from benchmarks.support.children import run
from benchmarks.support.figures import BenchError

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venv-bench"
RIVALS = ROOT / "benchmarks" / "rivals"
LOCK_COMMAND = "python -m benchmarks --lock"

_INSTALL_TIMEOUT = 900.0


def python(rival: str) -> Path:
    """The interpreter of a rival's environment, which is made first when it is missing or its lock has changed."""
    lock = RIVALS / rival / "requirements.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    venv = VENVS / rival
    stamp = venv / ".lock-digest"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        _make(venv, lock)
        stamp.write_text(digest, encoding="utf-8")
    return venv / "bin" / "python"


def version(rival: str, package: str) -> str:
    """The version of a package that a rival's lock pins."""
    text = (RIVALS / rival / "requirements.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if found is None:
        raise BenchError(f"the lock of {rival} does not name {package}: run {LOCK_COMMAND} {rival}")
    return found[1]


def lock(rival: str) -> None:
    """Write a rival's `requirements.txt` from its `requirements.in`, with the newest versions that go together."""
    folder = RIVALS / rival
    options = ("--quiet", "--upgrade", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate")
    silence = ("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", LOCK_COMMAND)
    files = (str(folder / "requirements.in"), "--output-file", str(folder / "requirements.txt"))
    run([_uv(), "pip", "compile", *options, *silence, *files], _environment(), _log(rival), _INSTALL_TIMEOUT)


def _make(venv: Path, lock: Path) -> None:
    log = _log(venv.name)
    interpreter = str(venv / "bin" / "python")
    fetched = ("--quiet", "--compile-bytecode", "--python", interpreter, "--require-hashes", "--requirement", str(lock))
    shutil.rmtree(venv, ignore_errors=True)
    run([_uv(), "venv", "--quiet", "--python", sys.executable, str(venv)], _environment(), log, _INSTALL_TIMEOUT)
    run([_uv(), "pip", "install", *fetched], _environment(), log, _INSTALL_TIMEOUT)


def _environment() -> dict[str, str]:
    """The system's certificates: a machine behind a proxy of its own keeps that proxy's certificate there."""
    return {**os.environ, "UV_SYSTEM_CERTS": "1"}


def _log(rival: str) -> Path:
    VENVS.mkdir(exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n", encoding="utf-8")
    return VENVS / f"{rival}.log"


def _uv() -> str:
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise BenchError("uv is missing: run `make setup`")
    return found

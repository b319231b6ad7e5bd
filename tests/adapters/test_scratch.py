from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.scratch import FOLDER, Scratch

if TYPE_CHECKING:
    from pathlib import Path

LEAVE = """
import os, signal, sys
from pathlib import Path
from headrace.adapters.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.folder() / "file").write_text("text")
if sys.argv[2] == "wait":
    print("ready", flush=True)
    sys.stdin.read()
if sys.argv[2] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def contents(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FOLDER).rglob("file"))


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE, tmp_path, "die"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert contents(tmp_path) == ["file"]
    assert Scratch(tmp_path).sweep() == 1
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, tmp_path, "end"], check=True)
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_what_a_living_process_holds_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVE, str(tmp_path), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert Scratch(tmp_path).sweep() == 0
        assert contents(tmp_path) == ["file"]
        process.communicate()
    assert contents(tmp_path) == []


def test_ones_own_area_stays(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    folder = scratch.folder()
    assert scratch.sweep() == 0
    assert Scratch(tmp_path).sweep() == 0
    assert folder.is_dir()


def test_an_area_goes_with_its_store(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    (scratch.folder() / "file").touch()
    del scratch
    gc.collect()
    assert contents(tmp_path) == []


def test_an_area_without_a_lock_has_no_owner(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "area").mkdir(parents=True)
    assert Scratch(tmp_path).sweep() == 1
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_forked_process_has_an_area_of_its_own(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom headrace.adapters.scratch import Scratch\n"
        "scratch = Scratch(Path(sys.argv[1]))\nmine = scratch.folder()\nchild = os.fork()\n"
        "if child == 0:\n    print(scratch.folder().parent != mine.parent, flush=True)\n    sys.exit()\n"
        "os.waitpid(child, 0)\nprint(mine.is_dir())"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_working_folder_is_gone_after_its_block(tmp_path: Path) -> None:
    with Scratch(tmp_path).working() as folder:
        (folder / "file").touch()
    assert not folder.exists()


def test_a_working_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)

    def fail() -> None:
        with scratch.working() as folder:
            (folder / "file").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert contents(tmp_path) == []


def test_a_discarded_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    Scratch(tmp_path).discard(tmp_path / "folder")
    assert os.listdir(tmp_path) == [FOLDER]  # noqa: PTH208 - names are all that is asked
    assert contents(tmp_path) == []


def test_nothing_to_sweep(tmp_path: Path) -> None:
    assert Scratch(tmp_path).sweep() == 0

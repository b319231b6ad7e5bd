"""The layer itself: it loses what a power cut loses, and keeps what was synced."""

from __future__ import annotations

import signal
import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest

from tests.crash.powerloss.powerloss import Machine, Names

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = """
import os, signal, sqlite3, subprocess, sys
def write(path, text, sync):
    with open(path, "w") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())
def sync_folder(path="."):
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_text("old")
    return Machine(root, tmp_path / "shadow")


def run(machine: Machine, script: str, status: int = 0) -> None:
    command = [sys.executable, "-c", f"{BEGIN}\nos.chdir({str(machine.root)!r})\n{script}"]
    done = machine.run(command)
    assert done.returncode == status, done.stderr


def after_a_cut(machine: Machine, names: Names = Names.SYNCED) -> dict[str, str]:
    machine.cut_power(names)
    files = (path for path in machine.root.rglob("*") if path.is_file())
    return {str(path.relative_to(machine.root)): path.read_text() for path in files}


def test_what_was_there_before_is_on_the_disk(machine: Machine) -> None:
    assert after_a_cut(machine) == {"old": "old"}


def test_a_file_and_its_name_that_are_synced_are_kept(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=True); sync_folder()")
    assert after_a_cut(machine) == {"old": "old", "new": "text"}


def test_a_file_that_is_not_synced_is_empty(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=False); sync_folder()")
    assert after_a_cut(machine) == {"old": "old", "new": ""}


def test_a_name_that_is_not_synced_is_lost_or_not(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=True)")
    assert machine.left(machine.shadow.with_name("a"), Names.LATEST).joinpath("new").read_text() == "text"
    assert after_a_cut(machine) == {"old": "old"}


def test_a_name_without_content_may_be_kept(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=False)")
    assert after_a_cut(machine, Names.LATEST) == {"old": "old", "new": ""}


def test_the_content_is_that_of_the_last_sync(machine: Machine) -> None:
    run(machine, "write('old', 'newer', sync=True); write('old', 'newest', sync=False)")
    assert after_a_cut(machine) == {"old": "newer"}


@pytest.mark.parametrize("mode", ["os.O_WRONLY", "os.O_RDWR"])
def test_content_is_read_whatever_the_descriptor_may_do(machine: Machine, mode: str) -> None:
    run(machine, f"file = os.open('old', {mode} | os.O_TRUNC); os.write(file, b'x' * 3_000_000); os.fdatasync(file)")
    assert after_a_cut(machine) == {"old": "x" * 3_000_000}


def test_a_rename_is_lost_without_a_sync_of_the_folder(machine: Machine) -> None:
    run(machine, "write('new', 'new', sync=True); os.rename('new', 'old')")
    assert machine.left(machine.shadow.with_name("a"), Names.LATEST).joinpath("old").read_text() == "new"
    assert after_a_cut(machine) == {"old": "old"}


def test_a_rename_is_kept_with_a_sync_of_the_folder(machine: Machine) -> None:
    run(machine, "write('new', 'new', sync=True); os.rename('new', 'old'); sync_folder()")
    assert after_a_cut(machine) == {"old": "new"}


def test_a_removal_is_lost_without_a_sync_of_the_folder(machine: Machine) -> None:
    run(machine, "os.remove('old')")
    assert after_a_cut(machine) == {"old": "old"}


def test_a_new_folder_needs_a_sync_of_the_folder_above(machine: Machine) -> None:
    run(machine, "os.mkdir('a'); write('a/b', 'b', sync=True); sync_folder('a')")
    assert after_a_cut(machine) == {"old": "old"}


def test_a_new_folder_that_is_synced_is_kept(machine: Machine) -> None:
    run(machine, "os.mkdir('a'); write('a/b', 'b', sync=True); sync_folder('a'); sync_folder()")
    assert after_a_cut(machine) == {"old": "old", "a/b": "b"}


def test_a_folder_that_is_not_synced_is_empty(machine: Machine) -> None:
    run(machine, "os.mkdir('a'); write('a/b', 'b', sync=True); sync_folder()")
    assert after_a_cut(machine) == {"old": "old"}
    assert (machine.root / "a").is_dir()


def test_an_inode_that_is_used_again_is_another_file(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=True); sync_folder(); os.remove('new')")
    run(machine, "[write(f'other{number}', 'lost', sync=False) for number in range(20)]; sync_folder()")
    files = after_a_cut(machine)
    assert files.pop("old") == "old"
    assert set(files.values()) == {""}


def test_two_names_of_one_file_stay_two_names_of_one_file(machine: Machine) -> None:
    run(machine, "write('new', 'text', sync=True); os.link('new', 'link'); sync_folder()")
    assert after_a_cut(machine) == {"old": "old", "new": "text", "link": "text"}
    assert (machine.root / "new").samefile(machine.root / "link")


def test_syncs_of_child_processes_count(machine: Machine) -> None:
    child = f"{BEGIN}\nwrite('new', 'text', sync=True); sync_folder()"
    run(machine, f"subprocess.run([sys.executable, '-c', {child!r}], check=True)")
    assert after_a_cut(machine) == {"old": "old", "new": "text"}


def test_children_end_with_the_command(machine: Machine) -> None:
    forever = "import os\nwhile True: open('beat', 'w').close()"
    run(
        machine,
        f"subprocess.Popen([sys.executable, '-c', {forever!r}])\nwhile not os.path.exists('beat'): pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        -signal.SIGKILL,
    )
    (machine.root / "beat").unlink()
    assert not (machine.root / "beat").exists()


def test_power_can_be_cut_again_and_again(machine: Machine) -> None:
    for number in range(3):
        run(machine, f"write('kept{number}', 'text', sync=True); sync_folder(); write('lost', 'text', sync=True)")
        assert "lost" not in after_a_cut(machine)
    assert after_a_cut(machine) == {"old": "old", "kept0": "text", "kept1": "text", "kept2": "text"}


@pytest.mark.parametrize(
    ("journal", "synchronous", "kept"),
    [
        ("wal", "full", 5),
        ("wal", "off", 0),
        ("delete", "extra", 5),
        ("delete", "full", 4),  # the removal of the journal, which commits the last transaction, is not synced
        ("delete", "off", 0),
    ],
)
def test_sqlite_keeps_what_it_says_it_keeps(machine: Machine, journal: str, synchronous: str, kept: int) -> None:
    open_it = f"base = sqlite3.connect('base'); base.execute('pragma journal_mode={journal}')"
    run(machine, f"{open_it}; base.execute('create table rows (row)'); base.commit(); base.close()")
    run(machine, "sync_folder(); file = os.open('base', os.O_RDWR); os.fsync(file)")
    insert = "base.execute('insert into rows values (?)', (row,)); base.commit()"
    relax = f"base.execute('pragma synchronous={synchronous}')"
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    run(machine, f"{open_it}; {relax}\nfor row in range(5):\n    {insert}\n{die}", -signal.SIGKILL)
    machine.cut_power()
    connection = sqlite3.connect(machine.root / "base")
    assert connection.execute("select count(*) from rows").fetchone() == (kept,)
    connection.close()

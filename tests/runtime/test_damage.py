"""A disk that fails the project: full, closed, or not holding what was written. A coded error, and a way on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.cli.commands import HEADRACE, Done, surroundings
from tests.support.projects import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NO_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the right to open whatever it likes."""


def headrace(project: Project, *arguments: str, before: Sequence[str] = (), failpoint: str = "") -> Done:
    """Run one command in a process of its own."""
    environment = {**surroundings(), **({"HEADRACE_FAILPOINT": failpoint} if failpoint else {})}
    done = subprocess.run(
        [*before, *HEADRACE, *arguments],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def unprivileged(project: Project, *arguments: str) -> Done:
    """Run one command as somebody whom the modes of files bind."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root without setpriv: no file can be closed to it")
    return headrace(project, *arguments, before=NO_PRIVILEGE if os.geteuid() == 0 else ())


def refused(done: Done, code: str, *words: str) -> None:
    """A command failed with a code, named the thing, said why and what to do, and showed no traceback."""
    told = done.out + done.err
    assert done.code in (1, 3), told
    assert [word for word in (code, "why: ", "fix: ", *words) if word not in told] == [], told
    assert "Traceback" not in told
    assert "HR820" not in told


def state(project: Project) -> object:
    """What the environment has: its pointers, and the rows behind them."""
    with project.opened() as workspace:
        workspace.ledger.verify()
        pointers = dict(workspace.ledger.snapshot("prod").pointers)
    return pointers, project.rows("orders"), project.rows("by_shop")


def set_modes(folder: Path, mode: int) -> None:
    """Open or close a folder and all that is in it."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(mode)


def system(*command: str) -> bool:
    """Run a command of the operating system; whether it could be done."""
    program = shutil.which(command[0])
    return (
        program is not None
        and subprocess.run([program, *command[1:]], check=False, capture_output=True).returncode == 0
    )


def mended(project: Project, *arguments: str) -> None:
    """Apply goes on, to all rows."""
    done = headrace(project, "apply", *arguments)
    assert done.code == 0, done.out + done.err
    assert project.ids() == list(range(20))
    assert project.rows("by_shop") == [("a", 20, 190.0)]


def begin(folder: Path) -> Project:
    """A project with one batch applied, and a second one waiting to be."""
    project = Project(folder)
    project.write_batch("01", range(10))
    assert not project.apply().failed
    project.write_batch("02", range(10, 20))
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return begin(tmp_path / "shop")


# ---------------------------------------------------------------------- full and closed


@pytest.mark.parametrize(
    ("failpoint", "code"),
    [
        ("artefact.write.before", "HR636"),
        ("manifest.rename.before", "HR636"),
        ("table.commit.before", "HR636"),
        ("ledger.commit.before", "HR613"),
    ],
)
def test_no_space_at_a_write(project: Project, failpoint: str, code: str) -> None:
    before = state(project)
    refused(headrace(project, "apply", failpoint=f"{failpoint}=ENOSPC"), code, "No space left on device")
    after = state(project)
    if failpoint == "table.commit.before":  # the source was made and published before
        assert after[1:] == before[1:]  # type: ignore[index]
    else:
        assert after == before
    mended(project)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system in memory, of a given size."""
    folder.mkdir()
    if not system("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("may not mount a file system")
    try:
        yield
    finally:
        assert system("umount", "--lazy", str(folder))


@pytest.mark.parametrize("left", [0, 16_384, 65_536])
def test_a_full_disk(tmp_path: Path, left: int) -> None:
    with small_disk(tmp_path / "disk", "4m"):
        project = begin(tmp_path / "disk" / "shop")
        before = state(project)
        filler = tmp_path / "disk" / "filler"
        free = shutil.disk_usage(tmp_path / "disk").free
        filler.write_bytes(b"\0" * (free - left))
        told = headrace(project, "apply")
        assert told.code, told.out
        assert "HR636" in told.out + told.err or "HR613" in told.out + told.err, told.out + told.err
        assert "HR820" not in told.err
        filler.unlink()
        assert state(project)[1:] == before[1:]  # type: ignore[index]
        mended(project)


BIG = """
from headrace import Pipeline, files
from headrace.sources import database

shop = Pipeline("shop")
"""
LANDED = {
    "a file": (BIG + 'raw = shop.source("raw", files("../../big/*.csv"))\n', "apply"),
    "a database": (BIG + 'raw = shop.source("raw", database("crm", table="orders"))\n', "plan"),
}


@pytest.mark.parametrize("what", LANDED)
def test_a_disk_that_gets_full_while_a_piece_is_landed(tmp_path: Path, what: str) -> None:
    code, verb = LANDED[what]
    numbers = np.random.default_rng(1).integers(0, 2**40, 300_000)
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "a.csv").write_text("n\n" + "".join(f"{number}\n" for number in numbers))
    with closing(sqlite3.connect(tmp_path / "crm.db")) as crm, crm:
        crm.execute("CREATE TABLE orders (n INTEGER)")
        crm.executemany("INSERT INTO orders VALUES (?)", [(int(number),) for number in numbers])
    with small_disk(tmp_path / "disk", "3m"):
        project = Project(tmp_path / "disk" / "shop", code)
        settings = project.folder / "headrace.toml"
        settings.write_text(f'{settings.read_text()}\n[databases]\ncrm = "sqlite:{tmp_path / "crm.db"}"\n')
        filler = tmp_path / "disk" / "filler"
        assert headrace(project, "status").code == 0
        filler.write_bytes(b"\0" * (shutil.disk_usage(tmp_path / "disk").free - 800_000))
        refused(headrace(project, verb), "HR636", "raw", "No space left on device")
        filler.unlink()
        assert headrace(project, "apply").code == 0


def test_a_disk_that_is_mounted_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m"):
        project = begin(tmp_path / "disk" / "shop")
        before = state(project)
        # A worker of the last command may be about to end, and hold a file open until then.
        assert any(system("mount", "-o", "remount,ro", str(tmp_path / "disk")) for _ in range(1_000))
        refused(headrace(project, "apply"), "HR637", str(project.folder))
        assert system("mount", "-o", "remount,rw", str(tmp_path / "disk"))
        assert state(project) == before
        mended(project)


@pytest.mark.parametrize(("folder", "code"), [(".headrace", "HR637"), (".headrace/store", "HR637")])
def test_a_read_only_folder(project: Project, folder: str, code: str) -> None:
    before = state(project)
    set_modes(project.folder / folder, 0o555)
    refused(unprivileged(project, "apply"), code, str(project.folder / folder))
    set_modes(project.folder / folder, 0o755)
    assert state(project) == before
    mended(project)


def test_a_file_that_may_not_be_read(project: Project) -> None:
    before = state(project)
    (project.folder / "data" / "02.csv").chmod(0)
    refused(unprivileged(project, "apply"), "HR302", "data/02.csv")
    (project.folder / "data" / "02.csv").chmod(0o644)
    assert state(project) == before
    mended(project)


# ---------------------------------------------------------------------- damaged


def newest(project: Project, pattern: str) -> Path:
    return max((project.folder / ".headrace" / "store").glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace(".parquet", ".parked", 1))


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:40] = b"\xaa" * 32
    path.write_bytes(content)


LOG = "tables/orders/*/_delta_log/*.json"
FILE = "tables/orders/*/*.parquet"


@pytest.mark.parametrize(
    ("pattern", "damage", "code"),
    [
        (LOG, truncated, "HR630"),
        (LOG, edited, "HR630"),
        (LOG, lambda path: path.unlink(), "HR630"),
        (FILE, truncated, "HR632"),
        (FILE, flipped, "HR632"),
        (FILE, lambda path: path.unlink(), "HR631"),
    ],
)
def test_a_damaged_table(project: Project, pattern: str, damage: Callable[[Path], None], code: str) -> None:
    path = newest(project, pattern)
    project.write_batch("02", [5, *range(10, 20)])  # a key that may be in the damaged file, so that it is looked at
    with project.opened() as workspace:
        before = dict(workspace.ledger.snapshot("prod").pointers)
    damage(path)
    found = headrace(project, "doctor", "--json")
    assert found.code == 5
    [finding] = [each for each in found.data["findings"] if not each["fine"]]
    assert code in finding["text"]
    assert finding["text"].startswith("table of orders ")
    refused(headrace(project, "query", "select * from orders"), code, str(path))
    refused(headrace(project, "apply"), code, "orders", str(path), "--refresh")
    with project.opened() as workspace:
        after = workspace.ledger.snapshot("prod").pointers
    assert {name: after[name] for name in ("orders", "by_shop")} == {
        name: before[name] for name in ("orders", "by_shop")
    }
    mended(project, "--refresh", "orders")
    assert headrace(project, "doctor").code == 0


def test_damage_that_no_step_reads_is_told_by_doctor_and_by_queries(project: Project) -> None:
    path = newest(project, FILE)
    flipped(path)
    assert headrace(project, "doctor").code == 5
    assert headrace(project, "apply").code == 0  # new keys lie behind those of the file, and by_shop reads no key
    assert project.rows("by_shop") == [("a", 20, 190.0)]
    refused(headrace(project, "query", "select * from orders"), "HR632", str(path))
    assert headrace(project, "doctor").code == 5
    mended(project, "--refresh", "orders")
    assert headrace(project, "doctor").code == 0


@pytest.mark.parametrize(
    ("damage", "code"), [(truncated, "HR634"), (flipped, "HR634"), (lambda path: path.unlink(), "HR633")]
)
def test_a_damaged_artefact(project: Project, damage: Callable[[Path], None], code: str) -> None:
    path = newest(project, "artefacts/[!.]*/*.parquet")
    damage(path)
    found = headrace(project, "doctor", "--json")
    assert found.code == 5
    [finding] = [each for each in found.data["findings"] if not each["fine"]]
    assert code in finding["text"]
    assert finding["text"].startswith("data/01.csv of raw ")
    refused(headrace(project, "apply", "--refresh", "orders"), code, path.name)
    mended(project, "--refresh", "raw")
    assert headrace(project, "doctor").code == 0


def test_a_damaged_manifest_is_not_missed(project: Project) -> None:
    """The ledger holds what a manifest says: it is read only to go on after a crash."""
    for path in (project.folder / ".headrace/store/manifests").glob("[!.]*/*.json"):
        truncated(path)
    mended(project)


def scribbled(path: Path) -> None:
    """Pages in the middle are overwritten."""
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 8] = b"\x55" * (4096 * 7)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [scribbled, lambda path: path.write_bytes(path.read_bytes()[:5000]), lambda path: path.write_text("x" * 9000)],
)
def test_a_damaged_ledger(project: Project, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    before = state(project)
    backup = tmp_path / "ledger.backup"
    assert headrace(project, "backup", str(backup)).code == 0
    ledger = project.folder / ".headrace" / "ledger.db"
    damage(ledger)
    found = headrace(project, "doctor", "--json")
    assert found.code == 5
    assert [each for each in found.data["findings"] if not each["fine"] and "HR606" in each["text"]]
    for command in (["query", "select 1"], ["apply"], ["status"]):
        refused(headrace(project, *command), "HR606", str(ledger), "backup")
    ledger.unlink()
    assert headrace(project, "restore", str(backup)).code == 0
    assert state(project) == before
    mended(project)


def test_a_ledger_that_was_edited(project: Project) -> None:
    import sqlite3

    with sqlite3.connect(project.folder / ".headrace" / "ledger.db") as database:
        database.execute("UPDATE entries SET body = body || ' ' WHERE seq = 3")
    database.close()
    found = headrace(project, "doctor", "--json")
    assert found.code == 5
    [finding] = [each for each in found.data["findings"] if not each["fine"]]
    assert finding["about"] == "ledger"
    assert "HR605" in finding["text"]
    assert "3" in finding["text"]
    assert finding["fix"]
    assert json.loads(found.out)["healthy"] is False

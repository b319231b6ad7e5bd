"""What only a file can do to a ledger: be damaged, be locked, lie where it cannot be written, fill the disk."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.adapters import mounts, sqlite
from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import AddVersion, SendSignal
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 4096
NOBODY = 65534

WRITE = """
import os, sys
from pathlib import Path
from headrace.adapters.clocks import SystemClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.ledger.queries import migrations, queries
from headrace.ports.ledger import AddVersion
from headrace.testing.ledgers import version_of
queries("sqlite"), migrations("sqlite")  # read while Python's own files can be
"""


def open_ledger(path: Path) -> SqlLedger:
    return SqlLedger(SqliteDatabase(path), SimulatedClock())


def run(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITE + script]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of 200 versions, closed."""
    path = tmp_path / "ledger.db"
    with closing(open_ledger(path)) as ledger:
        ledger.write(*(AddVersion(version_of(number)) for number in range(200)))
    return path


@pytest.mark.parametrize("content", [b"not a database at all" * 100, bytes(range(1, 256)) * 80])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(content)
    with pytest.raises(HeadraceError) as raised:
        open_ledger(tmp_path / "ledger.db")
    assert raised.value.code == "HR606"
    assert "restore" in raised.value.fix


def damage_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4 * PAGE)
        file.write(b"\xff" * (path.stat().st_size - 4 * PAGE))


def damage_root(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 200)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [damage_pages, damage_root, cut])
def test_a_damaged_file_is_told_and_the_remedy_with_it(path: Path, damage: object) -> None:
    assert callable(damage)
    damage(path)
    with pytest.raises(HeadraceError) as raised, closing(open_ledger(path)) as ledger:  # noqa: PT012 - any of it
        ledger.versions()
        ledger.verify()
    assert raised.value.code == "HR606"
    assert str(path) in raised.value.what


def test_text_that_is_no_text_is_damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE seq = 1")
    with closing(open_ledger(path)) as ledger, pytest.raises(HeadraceError) as raised:
        ledger.versions()
    assert raised.value.code == "HR606"


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody may read and only its owner write."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-readable-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = f"""
if os.geteuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
else:
    os.chmod(FOLDER, 0o555)
try:
    ledger = SqlLedger(SqliteDatabase(Path(FOLDER) / NAME), SystemClock())
    ledger.write(AddVersion(version_of(1)))
except HeadraceError as error:
    print(error.code, error.what)
"""


@pytest.mark.parametrize("name", ["ledger.db", "new.db", "folder/ledger.db"])
def test_a_folder_that_may_not_be_written(readable: Path, name: str) -> None:
    with closing(open_ledger(readable / "ledger.db")) as ledger:
        ledger.write(SendSignal("refresh", "prod"))
    done = run(f"FOLDER, NAME = {str(readable)!r}, {name!r}\n{AS_NOBODY}")
    assert done.stdout.startswith("HR612"), done
    assert str(readable) in done.stdout


def test_a_file_that_may_not_be_written(readable: Path) -> None:
    with closing(open_ledger(readable / "ledger.db")):
        pass
    readable.chmod(0o777)
    (readable / "ledger.lock").chmod(0o666)
    (readable / "ledger.db").chmod(0o444)
    script = f"FOLDER, NAME = {str(readable)!r}, 'ledger.db'\n{AS_NOBODY.replace('0o555', '0o755')}"
    assert run(script).stdout.startswith("HR612")


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(HeadraceError) as raised:
        open_ledger(tmp_path / "ledger.db")
    assert raised.value.code == "HR612"


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
"""


@pytest.mark.parametrize(("limit", "failpoint"), [(LIMITED, ""), ("", "ledger.commit.before=ENOSPC")])
def test_a_full_disk_writes_nothing_by_half(tmp_path: Path, limit: str, failpoint: str) -> None:
    path = tmp_path / "ledger.db"
    with closing(open_ledger(path)) as ledger:
        ledger.write(AddVersion(version_of(1)))
    script = f"""{limit}
ledger = SqlLedger(SqliteDatabase(Path({str(path)!r})), SystemClock())
try:
    ledger.write(*(AddVersion(version_of(number)) for number in range(2, 1000)))
except HeadraceError as error:
    print(error.code)
"""
    done = run(script, HEADRACE_FAILPOINT=failpoint)
    assert done.stdout == "HR613\n", done
    with closing(open_ledger(path)) as ledger:
        assert [version.key for version in ledger.versions()] == ["table-1"]
        assert ledger.verify() == 1
        ledger.write(AddVersion(version_of(2)))


def test_the_database_itself_is_full(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "ledger.db")
    with closing(SqlLedger(database, SimulatedClock())) as ledger:
        with database.reading() as connection:
            pages = connection.rows("PRAGMA page_count")[0][0]
        with database.writing() as connection:
            connection.rows(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(HeadraceError) as raised:
            ledger.write(*(AddVersion(version_of(number)) for number in range(100)))
        assert raised.value.code == "HR613"
        assert ledger.verify() == 0
        ledger.write(AddVersion(version_of(1)))
        assert ledger.verify() == 1


def test_another_program_holds_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.01)
    with closing(open_ledger(path)) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        assert len(ledger.versions()) == 200
        with pytest.raises(HeadraceError) as raised:
            ledger.write(AddVersion(version_of(999)))
        assert raised.value.code == "HR617"
        shell.execute("ROLLBACK")
        ledger.write(AddVersion(version_of(999)))


MOUNTS = r"""/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local xfs rw 0 0
share /mnt/with\040space cifs rw 0 0
user@host: /mnt/remote fuse.sshfs rw 0 0
tmpfs /mnt/remote/over tmpfs rw 0 0
server:/top /over nfs rw 0 0
/dev/vdc /over ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/project", None),
        ("/home/me/project", "nfs4"),
        ("/home/local/project", None),
        ("/homely/project", None),
        ("/mnt/with space/project", "cifs"),
        ("/mnt/remote", "fuse.sshfs"),
        ("/mnt/remote/over/project", None),
        ("/over/project", None),
    ],
)
def test_network_file_systems_are_known(
    place: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "mounts")
    assert mounts.on_network(Path(place)) == kind


def test_a_ledger_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(f"/dev/vda / ext4 rw 0 0\nserver:/ {tmp_path} nfs rw 0 0\n")
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "mounts")
    with pytest.raises(HeadraceError, match="nfs") as raised:
        open_ledger(tmp_path / "state" / "ledger.db")
    assert raised.value.code == "HR608"
    assert not (tmp_path / "state").exists()


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "none")
    assert mounts.on_network(tmp_path) is None


def test_this_machine_knows_its_file_systems() -> None:
    assert mounts.file_system_of(Path("/proc/self")) == "proc"


def test_readers_see_one_moment_and_do_not_wait(path: Path) -> None:
    database = SqliteDatabase(path)
    with closing(SqlLedger(database, SimulatedClock())) as ledger, database.reading() as connection:
        assert connection.rows("SELECT count(*) FROM versions") == [(200,)]
        ledger.write(AddVersion(version_of(999)))
        assert connection.rows("SELECT count(*) FROM versions") == [(200,)]
        assert len(ledger.versions()) == 201
        with database.writing():
            assert len(ledger.versions()) == 201


def test_readers_cannot_write(path: Path) -> None:
    database = SqliteDatabase(path)
    with closing(database), pytest.raises(HeadraceError) as raised, database.reading() as connection:
        connection.run("DELETE FROM versions")
    assert raised.value.code == "HR612"


def test_commits_are_synced(path: Path) -> None:
    database = SqliteDatabase(path)
    with closing(database), database.writing() as connection:
        assert connection.rows("PRAGMA synchronous") == [(2,)]
        assert connection.rows("PRAGMA journal_mode") == [("wal",)]


def test_closing_folds_the_log_into_the_file(path: Path) -> None:
    ledger = open_ledger(path)
    ledger.write(AddVersion(version_of(999)))
    assert len(ledger.versions()) == 201
    assert ledger.change_counter() == ledger.change_counter()
    assert path.with_name("ledger.db-wal").exists()
    ledger.close()
    ledger.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["ledger.db", "ledger.lock"]


def test_connections_are_used_again(path: Path) -> None:
    with closing(open_ledger(path)) as ledger, ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: len(ledger.versions()), range(40)))
        assert sizes == [200] * 40
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        list(pool.map(lambda _: len(ledger.versions()), range(40)))
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 4


def test_a_savepoint_undoes_what_is_inside_of_it(path: Path) -> None:
    database = SqliteDatabase(path)
    with closing(database):
        with database.writing() as connection:
            connection.run("DELETE FROM versions WHERE key = 'table-1'")
            with pytest.raises(ZeroDivisionError), connection.savepoint():  # noqa: PT012 - one savepoint
                connection.run("DELETE FROM versions")
                raise ZeroDivisionError
        with database.reading() as connection:
            assert list(connection.stream("SELECT count(*) FROM versions")) == [(199,)]


KILLED = """
path, number = sys.argv[1:]
with SqliteDatabase(Path(path)).writing() as connection:
    connection.run("DELETE FROM versions")
    os.kill(os.getpid(), int(number))
"""


def test_a_killed_writer_lets_the_others_go_on(path: Path) -> None:
    command = [sys.executable, "-c", WRITE + KILLED, str(path), str(int(signal.SIGKILL))]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with closing(open_ledger(path)) as ledger:
        assert len(ledger.versions()) == 200
        ledger.write(AddVersion(version_of(999)))
        assert ledger.verify() == 201

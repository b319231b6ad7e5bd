"""Which files a source sees, and how it knows that one has changed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.ports.outside import Outlook, Outside
from headrace.sources import digests
from headrace.sources.files import Files, files
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.ports.records import Batch

NOBODY = 65534
CACHE = Path(".headrace") / "cache" / "digests.json"


def write(folder: Path, name: str, content: str = "a\n1\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def observed(of: Files, project: Path) -> tuple[Batch, ...]:
    return of.observe(Outlook(Outside(project, Workshop(project).stores)))


def refused(folder: Path, pattern: str) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        observed(files(pattern), folder)
    return caught.value


def test_a_batch_is_a_file_known_by_its_content(tmp_path: Path) -> None:
    write(tmp_path, "data/b.csv", "a\n2\n")
    write(tmp_path, "data/a.csv")
    write(tmp_path, "data/.hidden.csv")
    write(tmp_path, "data/a.txt")
    (tmp_path / "data" / "folder.csv").mkdir()
    first, second = observed(files("data/*.csv"), tmp_path)
    assert (first.id, second.id) == ("data/a.csv", "data/b.csv")
    assert first.digest == hashlib.sha256(b"a\n1\n").hexdigest()
    assert (first.size, second.size) == (4, 4)


def test_a_pattern_reaches_into_folders_and_out_of_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    inside = write(project, "data/2024/01/a.csv")
    outside = write(tmp_path, "elsewhere/b.csv")
    assert [batch.id for batch in observed(files("data/**/*.csv"), project)] == ["data/2024/01/a.csv"]
    assert [batch.id for batch in observed(files("../elsewhere/*.csv"), project)] == [str(outside)]
    assert [batch.id for batch in observed(files(f"{tmp_path}/elsewhere/*.csv"), project)] == [str(outside)]
    assert [batch.id for batch in observed(files(f"{project}/data/*/*/*.csv"), project)] == ["data/2024/01/a.csv"]
    assert inside.exists()


def test_one_file_without_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "data/a.csv")
    assert [batch.id for batch in observed(files("data/a.csv"), tmp_path)] == ["data/a.csv"]


def test_a_wrong_folder_gets_a_suggestion(tmp_path: Path) -> None:
    write(tmp_path, "data/flights/a.csv")
    error = refused(tmp_path, "data/fligths/*.csv")
    assert error.code == "HR301"
    assert "data/fligths/*.csv" in error.what
    assert "no folder 'fligths' in data: did you mean 'flights'?" in error.fix
    assert "no folder 'dat' in the project's folder: did you mean 'data'?" in refused(tmp_path, "dat/*.csv").fix


def test_a_wrong_ending_gets_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "data/a.csv.gz")
    assert refused(tmp_path, "data/*.csv").fix.startswith("Data holds a.csv.gz: ")
    (tmp_path / "void").mkdir()
    assert refused(tmp_path, "void/*.csv").fix.startswith("Void is empty: ")
    assert refused(tmp_path, "*.csv").fix.startswith("The project's folder holds data, void: ")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, for which no permission holds."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_file_that_may_not_be_read(open_folder: Path) -> None:
    write(open_folder, "data/a.csv")
    secret = write(open_folder, "data/b.csv")
    secret.chmod(0)
    with as_nobody():
        error = refused(open_folder, "data/*.csv")
    assert error.code == "HR302"
    assert error.what == "data/b.csv cannot be read: Permission denied"


def test_a_folder_that_may_not_be_read(open_folder: Path) -> None:
    folder = write(open_folder, "data/a.csv").parent
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    with as_nobody():
        error = refused(open_folder, "data/*.csv")
    folder.chmod(0o700)
    assert (error.code, error.what) == ("HR302", "data cannot be read: Permission denied")


def test_a_file_with_several_names_is_one(tmp_path: Path) -> None:
    for name in ("2024-01.csv", "copy.csv", "in/b.csv"):
        write(tmp_path, f"data/{name}")
    (tmp_path / "data/latest.csv").symlink_to("2024-01.csv")
    (tmp_path / "data/in/circle").symlink_to("../in")
    (tmp_path / "data/hard.csv").hardlink_to(tmp_path / "data/copy.csv")
    (tmp_path / "data/elsewhere.csv").symlink_to(write(tmp_path, "other/c.csv"))
    names = ["2024-01.csv", "copy.csv", "elsewhere.csv", "hard.csv", "in/b.csv"]
    assert [batch.id for batch in observed(files("data/**/*.csv"), tmp_path)] == [f"data/{name}" for name in names]


def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("nothing")
    error = refused(tmp_path, "*.csv")
    assert error.code == "HR302"
    assert "a.csv cannot be read: No such file" in error.what


def test_an_unknown_ending() -> None:
    with pytest.raises(HeadraceError, match="HR303"):
        files("data/*.json")


@pytest.mark.parametrize("kind", [pl.List(pl.Int64), pl.Duration, pl.Object, pl.Null, list])
def test_a_type_that_cannot_be_landed(kind: type) -> None:
    with pytest.raises(HeadraceError, match="HR318"):
        files("a.csv", schema={"x": kind})


def test_types_are_declared_in_several_spellings() -> None:
    one = files("a.csv", schema={"x": int, "y": str})
    assert one.schema == files("b.csv", schema={"x": pl.Int64, "y": pl.String()}).schema
    assert canonical(one.settings()) == canonical(files("b.csv", schema={"y": str, "x": pl.Int64}).settings())
    assert canonical(one.settings()) != canonical(files("b.csv", schema={"y": str, "x": float}).settings())
    assert canonical(files("a.csv").settings()) != canonical(files("a.csv", null_values=["NA"]).settings())


class Hashing:
    """Counts how many files were hashed, and how old the cache seems."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.hashed: list[str] = []
        plain = digests.DigestCache._digest  # noqa: SLF001 - counted, not replaced

        def counted(cache: digests.DigestCache, path: Path) -> str:
            self.hashed.append(path.name)
            return plain(cache, path)

        monkeypatch.setattr(digests.DigestCache, "_digest", counted)

    def age(self, seconds: int) -> None:
        """As if the cache had been written that long after now."""
        stat = (self.folder / CACHE).stat()
        os.utime(self.folder / CACHE, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))

    def observe(self) -> list[str]:
        self.hashed.clear()
        observed(files("*.csv"), self.folder)
        return sorted(self.hashed)


@pytest.fixture
def hashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hashing:
    write(tmp_path, "a.csv")
    write(tmp_path, "b.csv")
    return Hashing(tmp_path, monkeypatch)


def test_a_file_is_hashed_until_its_times_have_settled(hashing: Hashing) -> None:
    assert hashing.observe() == ["a.csv", "b.csv"]
    assert hashing.observe() == ["a.csv", "b.csv"]
    hashing.age(10)
    assert hashing.observe() == []
    write(hashing.folder, "b.csv", "a\n2\n")
    assert hashing.observe() == ["b.csv"]


def test_the_digest_of_a_file_is_known_as_long_as_it_is_the_same(hashing: Hashing) -> None:
    hashing.observe()
    path = hashing.folder / "a.csv"
    cache = digests.DigestCache(hashing.folder)
    assert cache.known("a.csv", path.stat()) is None, "its times have not settled"
    hashing.age(10)
    assert cache.known("a.csv", path.stat()) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert cache.known("c.csv", path.stat()) is None
    path.touch()
    assert cache.known("a.csv", path.stat()) is None


def test_a_file_that_went_away_leaves_the_cache(hashing: Hashing) -> None:
    hashing.observe()
    (hashing.folder / "a.csv").unlink()
    hashing.observe()
    assert list(json.loads((hashing.folder / CACHE).read_text())) == ["b.csv"]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a.csv": 3}', '{"a.csv": []}', "\0"])
def test_a_damaged_cache_is_made_again(hashing: Hashing, content: str) -> None:
    expected = observed(files("*.csv"), hashing.folder)
    (hashing.folder / CACHE).write_text(content)
    assert observed(files("*.csv"), hashing.folder) == expected
    assert json.loads((hashing.folder / CACHE).read_text()).keys() == {"a.csv", "b.csv"}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    (tmp_path / ".headrace").write_text("in the way")
    assert len(observed(files("*.csv"), tmp_path)) == 1

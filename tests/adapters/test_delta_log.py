from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.delta_log import (
    EVERY,
    DataFile,
    Entry,
    check_files,
    content_digest,
    entry_path,
    read_entry,
    read_files,
    write_summary,
)
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def data_file(number: int) -> DataFile:
    return DataFile(f"{number}.parquet", number, f"digest {number}", 1)


def write_entry(directory: Path, version: int, files: tuple[DataFile, ...]) -> Path:
    lines = [
        {"commitInfo": {"operation": "WRITE", "headrace": Entry(f"key {version}", files).to_json()}},
        *({"add": {"path": file.name, "size": file.size}} for file in files),
        {"txn": {"appId": "headrace", "version": version}},
    ]
    path = entry_path(directory, version)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_an_entry_is_read_back(tmp_path: Path) -> None:
    write_entry(tmp_path, 3, (data_file(1), data_file(2)))
    assert read_entry(tmp_path, 3) == Entry("key 3", (data_file(1), data_file(2)))


def test_a_missing_entry_is_an_error(tmp_path: Path) -> None:
    write_entry(tmp_path, 0, (data_file(0),))
    with pytest.raises(HeadraceError, match=r"HR630 .* is missing"):
        read_files(tmp_path, 1)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda _: b"text",
    "list": lambda _: b"[]",
    "without the end": lambda content: content[:-10],
    "without a line": lambda content: content.rpartition(b"\n")[0],
    "without files": lambda content: b"\n".join(line for line in content.split(b"\n") if b'"add"' not in line),
    "a zeroed line": lambda content: content.replace(b'{"add"', b"\0\0\0\0\0\0"),
    "another program's": lambda content: content.replace(b'"headrace"', b'"other"'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = write_entry(tmp_path, 0, (data_file(1), data_file(2)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(HeadraceError, match="HR630"):
        read_entry(tmp_path, 0)


def test_a_file_that_stands_for_another_one_is_one_that_was_added(tmp_path: Path) -> None:
    path = write_entry(tmp_path, 0, (data_file(1),))
    for stand in (["another"], "1", None):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        info = next(line["commitInfo"] for line in lines if "commitInfo" in line)
        info["headrace"]["instead"] = {"gone": stand}
        lines.insert(-1, {"remove": {"path": "gone"}})
        damaged = tmp_path / "damaged"
        entry_path(damaged, 0).parent.mkdir(parents=True, exist_ok=True)
        entry_path(damaged, 0).write_text("\n".join(map(json.dumps, lines)))
        with pytest.raises(HeadraceError, match="HR630"):
            read_entry(damaged, 0)


@given(cut=st.integers(min_value=0))
def test_no_part_of_an_entry_passes_for_it(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    path = write_entry(folder, 0, (data_file(1),))
    content = path.read_bytes()
    path.write_bytes(content[: cut % len(content)])
    with pytest.raises(HeadraceError, match="HR630"):
        read_entry(folder, 0)


def grown(directory: Path, versions: int) -> list[tuple[DataFile, ...]]:
    """A log with one file for each version, and summaries."""
    aside = directory / "aside"
    aside.mkdir()
    found = []
    for version in range(versions):
        write_entry(directory, version, (data_file(version),))
        found.append(tuple(map(data_file, range(version + 1))))
        write_summary(directory, version, found[-1], aside)
    return found


def test_the_files_of_each_version(tmp_path: Path) -> None:
    for version, files in enumerate(grown(tmp_path, 2 * EVERY + 3)):
        assert read_files(tmp_path, version) == files


def test_a_summary_spares_the_log_before_it(tmp_path: Path) -> None:
    files = grown(tmp_path, EVERY + 3)
    for version in range(EVERY + 1):
        entry_path(tmp_path, version).unlink()
    assert read_files(tmp_path, EVERY + 2) == files[-1]


@pytest.mark.parametrize("damage", [b"", b"\xff", b"\0" * 50, b"0\n[]"])
def test_a_damaged_summary_is_done_without(tmp_path: Path, damage: bytes) -> None:
    files = grown(tmp_path, 2 * EVERY + 3)
    for path in (tmp_path / "_headrace").iterdir():
        path.write_bytes(damage)
    assert read_files(tmp_path, 2 * EVERY + 2) == files[-1]


def test_the_digest_is_of_content_and_order_and_not_of_names() -> None:
    first, second = data_file(1), data_file(2)
    renamed = DataFile("other", first.size, first.sha256, first.rows)
    assert content_digest([first, second]) == content_digest([renamed, second])
    assert content_digest([first, second]) != content_digest([second, first])
    assert content_digest([first, second]) != content_digest([first])


def test_files_are_checked(tmp_path: Path) -> None:
    file = DataFile("a", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 1)
    with pytest.raises(HeadraceError, match="HR631"):
        check_files(tmp_path, (file,), content=False)
    (tmp_path / "a").write_bytes(b"abcd")
    with pytest.raises(HeadraceError, match=r"HR632 .* 4 bytes instead of 3"):
        check_files(tmp_path, (file,), content=False)
    (tmp_path / "a").write_bytes(b"abd")
    check_files(tmp_path, (file,), content=False)
    with pytest.raises(HeadraceError, match=r"HR632 .* digest"):
        check_files(tmp_path, (file,), content=True)
    (tmp_path / "a").write_bytes(b"abc")
    check_files(tmp_path, (file,), content=True)

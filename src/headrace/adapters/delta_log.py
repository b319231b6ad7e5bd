"""What a Delta log says about the rows of a version, read without the Delta library: fast, and strict.

Each commit of a store carries, in its commit info, the key that it was made for and the files that it added, with
size, digest and rows. The library takes an empty log entry, which a power cut can leave, for a commit without rows;
here it is an error. Every so many versions the list of files is written down beside the log (a summary), so that
reading a version takes about as long after a thousand commits as after ten.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from headrace.adapters.durable import file_digest, rename_file, sync_folder, write_file
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from headrace.ports.records import Json

LOG = "_delta_log"
SUMMARIES = "_headrace"
EVERY = 20
"""Versions between two summaries, and between two checkpoints of the Delta library."""

Files = tuple["DataFile", ...]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a table: its name in the table's directory, its size in bytes, its SHA-256 and its rows."""

    name: str
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit: the key that it was made for, the files that it added, and those that others stand for since.

    `instead` has, for each file that is left out, the names of the added ones that stand in its place. `behind` has,
    for each added file that does not lie at the end, the file before the commit that it follows ("": none).
    """

    key: str
    files: Files
    instead: Mapping[str, Sequence[str]] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data, for the commit info."""
        more = {name: dict(of) for name, of in (("instead", self.instead), ("behind", self.behind)) if of}
        return {"key": self.key, "files": [list(astuple(file)) for file in self.files], **more}

    def after(self, files: Files) -> Files:
        """The files of the version, where those before it were `files`: in their order, new ones at their places."""
        if not self.instead and not self.behind:
            return files + self.files
        added = {file.name: file for file in self.files}
        following: dict[str, list[DataFile]] = {}
        for name, before in self.behind.items():
            following.setdefault(before, []).append(added.pop(name))
        placed = following.get("", [])
        for file in files:
            stand = self.instead.get(file.name)
            placed += [file] if stand is None else [added.pop(name) for name in stand]
            placed += following.get(file.name, [])
        return (*placed, *added.values())


def entry_path(directory: Path, version: int) -> Path:
    """Where the log entry of a version lies."""
    return directory / LOG / f"{version:020}.json"


def read_entry(directory: Path, version: int) -> Entry:
    """The commit that made a version.

    Raises:
        HeadraceError: HR630 when it is missing, damaged, or from another program.
    """
    path = entry_path(directory, version)
    try:
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        info = next(line["commitInfo"] for line in lines if "commitInfo" in line)["headrace"]
        files = tuple(DataFile(*file) for file in info["files"])
        added = [(line["add"]["path"], line["add"]["size"]) for line in lines if "add" in line]
        gone = [line["remove"]["path"] for line in lines if "remove" in line]
        entry = Entry(info["key"], files, info.get("instead", {}), info.get("behind", {}))
        stand = {*chain.from_iterable(entry.instead.values())}
    except FileNotFoundError as error:
        raise HeadraceError("HR630", f"{path} is missing") from error
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise HeadraceError("HR630", f"{path} is no log entry of a table") from error
    named = added == [(file.name, file.size) for file in files] and gone == list(entry.instead)
    if "txn" not in lines[-1] or not named or not stand.issubset(file.name for file in files):
        raise HeadraceError("HR630", f"{path} is not complete")
    return entry


def read_files(directory: Path, version: int) -> Files:
    """The files of a version, in the order of its rows. Raises HR630 when the log cannot say."""
    start, files = _summary_before(directory, version)
    for number in range(start + 1, version + 1):
        files = read_entry(directory, number).after(files)
    return files


def write_summary(directory: Path, version: int, files: Files, aside: Path) -> None:
    """Write down the files of a version, durably, if it is one that gets a summary. `aside` is a folder to build in."""
    path = _summary_path(directory, version)
    if version % EVERY or (version == 0 and len(files) == 1) or path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    body = json.dumps([astuple(file) for file in files])
    temporary = aside / path.name
    write_file(temporary, f"{_checksum(body)}\n{body}".encode())
    rename_file(temporary, path)
    sync_folder(directory)


def content_digest(files: Iterable[DataFile]) -> str:
    """The digest of a version: of the content of its files in their order, whatever the files are called."""
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.size} {file.sha256}\n".encode())
    return content.hexdigest()


def check_files(directory: Path, files: Files, *, content: bool) -> None:
    """Raise HR631 for a file that is missing, HR632 for one that has another size or, if asked, another content."""
    for file in files:
        path = directory / file.name
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise HeadraceError("HR631", f"{path} is missing") from error
        if size != file.size:
            raise HeadraceError("HR632", f"{path} has {size} bytes instead of {file.size}")
        if content and file_digest(path) != file.sha256:
            raise HeadraceError("HR632", f"{path} does not have the digest {file.sha256}")


def _summary_path(directory: Path, version: int) -> Path:
    return directory / SUMMARIES / f"{version:020}.json"


def _summary_before(directory: Path, version: int) -> tuple[int, Files]:
    """The newest readable summary up to a version; before the first version there are no files."""
    for number in range(version - version % EVERY, -1, -EVERY):
        try:
            checksum, _, body = _summary_path(directory, number).read_text(encoding="utf-8").partition("\n")
        except (FileNotFoundError, UnicodeDecodeError):
            continue  # the log itself says the same, only slower
        if checksum == _checksum(body):
            return number, tuple(DataFile(*file) for file in json.loads(body))
    return -1, ()


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()

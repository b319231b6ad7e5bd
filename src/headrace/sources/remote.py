"""Files of an object store or a server: batches by their content, as those of the local disk are."""

from __future__ import annotations

import fnmatch
import glob
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.mappings import differences
from headrace.ports.records import Batch, Ref
from headrace.sources.hashing import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.ports.objects import Found, Objects
    from headrace.ports.outside import Outlook, Outside
    from headrace.ports.stores import Stores
    from headrace.sources.spec import FileSpec

_THREADS = 8
_SHOWN = 3


def observe(spec: FileSpec, outlook: Outlook) -> tuple[Batch, ...]:
    """Every matching object with the digest of its content, sorted by address.

    An object is known by its content, as a file is. Its content is fetched when it is new or its mark (its ETag) is,
    and kept among the artefacts of the project until `headrace gc` finds that nothing needs it; what is landed is what
    was fetched, so that an object may change in between.

    Raises:
        HeadraceError: HR301 where none matches, unless those that were there are kept; HR302, HR312 and HR360 to HR366
            for what cannot be listed or fetched.
    """
    outside = outlook.outside
    root, pattern = split(spec.pattern)
    objects = outside.objects(root)
    found = _matching(objects, pattern)
    if not found and spec.removed != "keep":
        raise HeadraceError("HR301", f"no file matches {spec.pattern}", fix=_hint(objects, root, pattern))
    cache = _Fetched(root, objects, outside, _landed(outlook))
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        batches = tuple(pool.map(cache.batch, found))
    cache.save()
    return batches


def path_of(batch: Batch, stores: Stores) -> Path:
    """Where that lies which was fetched of an object. Raises HR332 for one that was kept and has to be read again."""
    if not batch.location:
        raise HeadraceError("HR332", batch.id)
    return stores.artefacts.path(Ref("artefact", batch.location, batch.digest))


def recalled(batch: Batch, outside: Outside) -> Batch:
    """A batch that was fetched some time ago, with its location. Raises HR302 where that is not known any more."""
    entry = _load(outside.project).get(batch.id)
    if entry is None or entry.digest != batch.digest:
        raise HeadraceError("HR302", f"{batch.id} is not at hand")
    return replace(batch, location=entry.path)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was fetched of an object: its size and mark then, the digest of its content, and where that lies."""

    size: int
    mark: str
    digest: str
    path: str


class _Fetched:
    """The objects of a source, and what was fetched of them before. Threads may ask at the same time."""

    def __init__(self, root: str, objects: Objects, outside: Outside, landed: Mapping[str, str]) -> None:
        self._root = root
        self._objects = objects
        self._outside = outside
        self._landed = landed
        self._known = _load(outside.project)
        self._new: dict[str, _Entry] = {}

    def batch(self, found: Found) -> Batch:
        """An object as a batch; fetched where its content is not known, or is to be landed and not at hand."""
        name = f"{self._root}/{found.key}"
        entry = self._known.get(name)
        known = entry is not None and bool(found.mark) and (entry.mark, entry.size) == (found.mark, found.size)
        if entry is None or not known or (self._landed.get(name) != entry.digest and not self._at_hand(entry)):
            entry = self._new[name] = self._fetch(found)
        return Batch(name, entry.digest, entry.size, location=entry.path)

    def save(self) -> None:
        """Remember what was fetched. It is only a cache: one that cannot be written costs fetching again."""
        if not self._new:
            return
        path = _cache(self._outside.project)
        partial = path.with_suffix(f".{os.getpid()}-{id(self)}.partial")
        entries = {**_load(self._outside.project), **self._new}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({name: [e.size, e.mark, e.digest, e.path] for name, e in entries.items()}))
            partial.replace(path)
        except OSError:
            return

    def _at_hand(self, entry: _Entry) -> bool:
        try:
            self._outside.stores.artefacts.path(Ref("artefact", entry.path, entry.digest))
        except HeadraceError:
            return False
        return True

    def _fetch(self, found: Found) -> _Entry:
        artefacts = self._outside.stores.artefacts
        folder = artefacts.scratch()
        target = folder / "object"
        try:
            self._objects.fetch(found, target)
            size = target.stat().st_size
            with target.open("rb", buffering=0) as content:
                digest = digest_of(content)
            return _Entry(size, found.mark, digest, artefacts.adopt(target, ".object").path)
        finally:
            target.unlink(missing_ok=True)
            folder.rmdir()


def is_remote(pattern: str) -> bool:
    """Whether a pattern of files is an address of another place than the local disk."""
    return "://" in pattern


def split(pattern: str) -> tuple[str, str]:
    """The root of an address, and the pattern below it. Raises HR365 for one without a path."""
    scheme, _, rest = pattern.partition("://")
    place, _, path = rest.partition("/")
    if not place or not path:
        raise HeadraceError("HR365", f"files({pattern!r}) names no files: it has no path")
    return f"{scheme}://{place}", path


def _matching(objects: Objects, pattern: str) -> list[Found]:
    """The objects that match, sorted by key."""
    if not glob.has_magic(pattern):
        one = objects.look(pattern)
        return [] if one is None else [one]
    parts = pattern.split("/")
    found = [each for each in objects.find(_fixed(pattern)) if _matches(each.key.split("/"), parts)]
    return sorted(found, key=lambda each: each.key)


def _fixed(pattern: str) -> str:
    """The folders that a pattern names without a wildcard, with a slash at the end."""
    fixed = []
    for part in pattern.split("/")[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(f"{part}/")
    return "".join(fixed)


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a key matches a pattern, folder by folder, as in `glob`: `**` is any folders, hidden names do not."""
    if not parts:
        return not names
    if parts[0] == "**":
        if len(parts) == 1:
            return bool(names) and not any(name.startswith(".") for name in names)
        rest = [at for at in range(len(names)) if not any(name.startswith(".") for name in names[:at])]
        return any(_matches(names[at:], parts[1:]) for at in rest)
    if not names or (names[0].startswith(".") and not parts[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _landed(outlook: Outlook) -> dict[str, str]:
    """The batches that were landed by the same code, with their digests: their content is not needed again."""
    found: dict[str, str] = {}
    before: Mapping[str, str] = {}
    for version in (*outlook.made(), *(() if outlook.before is None else (outlook.before,))):
        came = differences(before, version.batches).items()  # what they share was there already
        found.update((batch, digest) for batch, (_, digest) in came if digest is not None)
        before = version.batches
    return found


def _hint(objects: Objects, root: str, pattern: str) -> str:
    """What is there instead."""
    if not glob.has_magic(pattern):
        return f"There is no object {pattern!r} in {root}: correct the address."
    keys = sorted(each.key for each in objects.find(_fixed(pattern)))
    shown = ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
    below = f"{root}/{_fixed(pattern)}"
    return f"{below} holds {shown}: correct the pattern." if keys else f"There is nothing below {below}."


def _cache(project: Path) -> Path:
    return project / ".headrace" / "cache" / "objects.json"


def _load(project: Path) -> dict[str, _Entry]:
    try:
        content = json.loads(_cache(project).read_bytes())
        return {str(name): _Entry(*entry) for name, entry in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

"""Marks: which batches of a table are not simply what the present code makes of them.

A version covers batches by their identities: the digest of the content, and a mark behind it. Without a mark the
present code has made the rows. `@KEY` says that they stay as the version KEY had them, made by earlier code (forward
only); `#2` that they were made again, the second time. Marks are part of the key, and stay until the code changes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from headrace.ports.mappings import counted, differences, pairs, pieced, shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.records import Version

KEPT: Final = "@"
AGAIN: Final = "#"
_KEY: Final = 16
"""Characters of a key that name a version in a mark."""
_MARK: Final = re.compile(rf"({KEPT}[^{KEPT}{AGAIN}]{{1,{_KEY}}}|{AGAIN}\d+)$")


def mark_of(identity: str) -> str:
    """The mark of a batch; empty without one."""
    found = _MARK.search(identity)
    return "" if found is None else found[0]


def digest_of(identity: str) -> str:
    """The digest of a batch, without the mark."""
    return identity.removesuffix(mark_of(identity))


def is_kept(identity: str) -> bool:
    """Whether the rows of a batch stay as earlier code made them."""
    return mark_of(identity).startswith(KEPT)


def kept_among(batches: Mapping[str, str]) -> int:
    """Of how many batches the rows stay as earlier code made them."""
    return counted(batches, _kept)


def has_kept(version: Version, wanted: Mapping[str, str]) -> bool:
    """Whether a version has all of the rows that are to stay as earlier code made them."""
    different = differences(version.batches, wanted).values() if kept_among(wanted) else ()
    return not any(now is not None and is_kept(now) for _, now in different)


def _kept(batches: Mapping[str, str]) -> int:
    return sum(map(is_kept, batches.values()))


def _marked(batches: Mapping[str, str]) -> int:
    return sum(bool(mark_of(identity)) for identity in batches.values())


def carried(plain: Mapping[str, str], pointed: Version, *, moved: bool) -> dict[str, str]:
    """The marks of a version that goes on from another one, by batch. A batch whose content changed loses its own.

    Args:
        plain: The batches that are wanted, by id, with their digests.
        pointed: The version that the environment points to.
        moved: Whether the code has changed since, and its rows are to stay.
    """
    if not moved and not counted(pointed.batches, _marked):
        return {}
    marks = {}
    present = dict(pairs(pointed.batches))
    for batch, digest in pairs(plain):
        before = present.get(batch)
        if before is None or digest_of(before) != digest:
            continue
        mark = mark_of(before)
        if moved and not mark.startswith(KEPT):
            mark = f"{KEPT}{pointed.key[:_KEY]}"
        if mark:
            marks[batch] = mark
    return marks


def seen(version: Version, wanted: Mapping[str, str], fingerprint: str) -> Version:
    """A version as something to build on: one by earlier code holds what is to stay of it, and nothing else."""
    if version.fingerprint == fingerprint:
        return version
    own = f"{KEPT}{version.key[:_KEY]}"
    batches = {
        batch: identity if is_kept(identity) else f"{digest_of(identity)}{own}"
        for batch, identity in pairs(version.batches)
    }
    return replace(version, batches=pieced(batches) if shared(batches, wanted) else {})

"""The digest of a file: its SHA-256 or, of one larger than a block, that of the SHA-256 of its blocks.

Blocks are counted side by side. One core counts a gigabyte in half a second, which a file waits for before anything of
it is planned.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO

BLOCK = 2**26
"""Bytes. The digest of what is not larger is what `sha256sum` says."""
_READ = 2**18
_MOST = 16
"""Blocks that are counted at once: more come no faster from any disk."""


class Hashing:
    """Counts the digest of bytes that come one after the other."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._room = BLOCK
        self._blocks: list[bytes] = []

    def update(self, content: bytes | memoryview) -> None:
        """Some more bytes."""
        left = memoryview(content)
        while left:
            if not self._room:
                self._blocks.append(self._sha.digest())
                self._sha, self._room = hashlib.sha256(), BLOCK
            part = left[: self._room]
            self._sha.update(part)
            self._room -= len(part)
            left = left[len(part) :]

    def hexdigest(self) -> str:
        """The digest of all that came."""
        return _together([*self._blocks, self._sha.digest()])


def digest_of(file: FileIO) -> str:
    """The digest of an open file, as large as it is now. Raises OSError."""
    size = os.fstat(file.fileno()).st_size
    if size <= BLOCK:
        return hashlib.file_digest(file, "sha256").hexdigest()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST)) as threads:
        return _together(list(threads.map(partial(_block, file.fileno()), range(0, size, BLOCK))))


def _block(file: int, begin: int) -> bytes:
    sha, buffer = hashlib.sha256(), memoryview(bytearray(_READ))
    left = BLOCK
    while left and (size := os.preadv(file, [buffer[: min(left, _READ)]], begin + BLOCK - left)):
        sha.update(buffer[:size])
        left -= size
    return sha.digest()


def _together(blocks: list[bytes]) -> str:
    return blocks[0].hex() if len(blocks) == 1 else hashlib.sha256(b"".join(blocks)).hexdigest()

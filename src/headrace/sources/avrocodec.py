"""The blocks of an Avro file in codecs that Polars does not know, unpacked: the same file without compression."""

from __future__ import annotations

import bz2
import io
import lzma
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import HeadraceError
from headrace.sources.avroschema import MAGIC, metadata, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.sources.options import Limits

_CODEC = "avro.codec"
_KNOWN = frozenset({"", "null", "deflate", "snappy"})
"""Codecs that Polars reads; none means null."""
_SYNC = 16
"""Bytes that end the header, and each block."""


def without_codec(name: str, content: bytes, limits: Limits) -> bytes:
    """The content, its blocks unpacked where they are in bzip2, xz or zstandard; other content as it is.

    Raises:
        HeadraceError: HR311 for a block that is damaged, HR323 for a file that unpacks to more than it may.
    """
    file = io.BytesIO(content)
    try:
        told = metadata(file)
        codec = told.get(_CODEC, b"").decode()
    except (LookupError, ValueError):
        return content
    unpack = _CODECS.get(codec)
    if unpack is None:
        _refuse_unknown(name, codec)
        return content
    sync = file.read(_SYNC)
    made = [_header({**told, _CODEC: b"null"}), sync]
    size = 0
    while rows := _number(name, file):
        block = unpack(name, file.read(_number(name, file)), limits.bytes - size)
        size += len(block)
        limits.check_size(name, size)
        if file.read(_SYNC) != sync:
            raise _damaged(name, "a block does not end as it has to")
        made += [_written(rows), _written(len(block)), block, sync]
    return b"".join(made)


def _refuse_unknown(name: str, codec: str) -> None:
    if codec not in _KNOWN:
        fix = f"Write the file in one of {', '.join(sorted({*_CODECS, *_KNOWN} - {''}))}."
        raise HeadraceError("HR311", f"{name}: its blocks are in the codec {codec!r}, which is not read", fix=fix)


def _number(name: str, file: io.BytesIO) -> int:
    """The next number; 0 at the end of the file. Raises HR311 for one that is cut off, or below 0."""
    if file.tell() == len(file.getbuffer()):
        return 0
    try:
        found = number(file)
    except LookupError:
        raise _damaged(name, "it ends within a number") from None
    if found < 0:
        raise _damaged(name, f"a block of {found} rows or bytes")
    return found


def _by_python(start: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> Callable[[str, bytes, int], bytes]:
    def unpack(name: str, block: bytes, most: int) -> bytes:
        unpacking = start()
        try:
            found = unpacking.decompress(block, most + 1)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise _damaged(name, str(error)) from None
        if not unpacking.eof and len(found) <= most:
            raise _damaged(name, "a block is cut off")
        return found

    return unpack


def _zstandard(name: str, block: bytes, most: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(block), "zstd") as unpacking:
            found: bytes = unpacking.read(most + 1)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, str(error)) from None
    return found


def _damaged(name: str, what: str) -> HeadraceError:
    return HeadraceError("HR311", f"{name} is no readable Avro file: {what}")


def _header(told: Mapping[str, bytes]) -> bytes:
    entries = [part for key, value in told.items() for part in (key.encode(), value)]
    return MAGIC + _written(len(told)) + b"".join(_written(len(part)) + part for part in entries) + _written(0)


def _written(value: int) -> bytes:
    """A number as Avro writes it."""
    left, written = value << 1, bytearray()
    while left > 0x7F:  # noqa: PLR2004 - what seven bits hold
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


_CODECS: Mapping[str, Callable[[str, bytes, int], bytes]] = {
    "bzip2": _by_python(bz2.BZ2Decompressor),
    "xz": _by_python(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    "zstandard": _zstandard,
}

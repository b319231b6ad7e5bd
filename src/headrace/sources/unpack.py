"""Compressed content to plain content, never to more of it than a source allows."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.sources.options import Limits

_CHUNK = 4 * 2**20
_TRUNCATED_ZSTD = "Truncated compressed stream"


def unpacked(name: str, content: bytes, compression: str, limits: Limits) -> bytes:
    """The content of a compressed file, of all its members one after the other.

    Raises:
        HeadraceError: HR304 where nothing is in it, HR305 where it is cut off, HR306 where it is damaged or no such
            data, HR323 where there is more in it than is allowed.
    """
    if not compression:
        return content
    plain = io.BytesIO()
    try:
        for chunk in _chunks(content, compression):
            plain.write(chunk)
            limits.check(name, len(content), plain.tell())
    except EOFError:
        raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        if str(error) == _TRUNCATED_ZSTD:
            raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from None
        raise HeadraceError("HR306", f"{name}: {error}") from None
    if not plain.tell():
        raise HeadraceError("HR304", f"{name} is empty (0 bytes after it was decompressed)")
    return plain.getvalue()


def _chunks(content: bytes, compression: str) -> Iterator[bytes]:
    if compression == "bzip2":
        return _members(content, bz2.BZ2Decompressor, b"BZh")
    if compression == "xz":
        return _members(content, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), b"\xfd7zXZ\0")
    return _streamed(_zstd(content) if compression == "zstd" else gzip.GzipFile(fileobj=io.BytesIO(content)))


def _zstd(content: bytes) -> BinaryIO:
    import pyarrow as pa

    stream: BinaryIO = pa.CompressedInputStream(pa.BufferReader(content), "zstd")
    return stream


def _streamed(stream: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _members(
    content: bytes, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], magic: bytes
) -> Iterator[bytes]:
    """What the members hold. What follows them is an error; the library's file objects pass over it."""
    rest = content
    while rest:
        if not rest.startswith(magic[: len(rest)]):
            message = "what stands there is no compressed data"
            raise OSError(message)
        member = make()
        yield member.decompress(rest, _CHUNK)
        while not member.eof:
            if member.needs_input:
                raise EOFError
            yield member.decompress(b"", _CHUNK)
        rest = member.unused_data.lstrip(b"\0")

"""Compressed content to plain content, never to more of it than a source allows."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.sources.options import Limits

_CHUNK = 4 * 2**20
_TRUNCATED_ZSTD = "Truncated compressed stream"


class Readable(Protocol):
    """What bytes can be read from, one after the other."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes, at most so many; none at the end."""


def unpacked(name: str, content: bytes, compression: str, limits: Limits) -> bytes:
    """The content of a compressed file, of all its members one after the other.

    Raises:
        HeadraceError: HR304 where nothing is in it, HR305 where it is cut off, HR306 where it is damaged or no such
            data, HR323 where there is more in it than is allowed.
    """
    if not compression:
        return content
    return b"".join(stream(name, io.BytesIO(content), len(content), compression, limits, _CHUNK))


def stream(name: str, file: Readable, packed: int, compression: str, limits: Limits, size: int) -> Iterator[bytes]:
    """What `unpacked` answers, in chunks of about `size` bytes, of a file of `packed` bytes. Raises the same errors."""
    total = 0
    try:
        for chunk in _chunks(file, compression, size):
            total += len(chunk)
            if compression:
                limits.check(name, packed, total)
            yield chunk
    except EOFError:
        raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        if not compression:
            raise
        if str(error) == _TRUNCATED_ZSTD:
            raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from None
        raise HeadraceError("HR306", f"{name}: {error}") from None
    if not total:
        after = " after it was decompressed" if compression else ""
        raise HeadraceError("HR304", f"{name} is empty (0 bytes{after})")


def _chunks(file: Readable, compression: str, size: int) -> Iterator[bytes]:
    if compression == "bzip2":
        return _members(file, bz2.BZ2Decompressor, b"BZh", size)
    if compression == "xz":
        return _members(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), b"\xfd7zXZ\0", size)
    if compression == "zstd":
        return _streamed(_zstd(file), size)
    return _streamed(gzip.GzipFile(fileobj=io.BufferedReader(_Seen(file), _CHUNK)) if compression else file, size)


def _zstd(file: Readable) -> BinaryIO:
    import pyarrow as pa

    plain: BinaryIO = pa.CompressedInputStream(pa.PythonFile(_Seen(file), mode="r"), "zstd")
    return plain


class _Seen(io.RawIOBase):
    """Whatever can be read, as a file of the standard library: the libraries ask it for more than its bytes."""

    def __init__(self, file: Readable) -> None:
        self._file = file

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """The next bytes into a buffer."""
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _streamed(stream: Readable, size: int) -> Iterator[bytes]:
    while chunk := stream.read(size):
        yield chunk


def _members(
    file: Readable, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], magic: bytes, size: int
) -> Iterator[bytes]:
    """What the members hold. What follows them is an error; the library's file objects pass over it."""
    rest = file.read(size)
    while rest:
        while len(rest) < len(magic) and (more := file.read(size)):
            rest += more
        if not rest.startswith(magic[: len(rest)]):
            message = "what stands there is no compressed data"
            raise OSError(message)
        member = make()
        yield member.decompress(rest, size)
        while not member.eof:
            content = b""
            if member.needs_input:
                content = file.read(size)
                if not content:
                    raise EOFError
            yield member.decompress(content, size)
        rest = member.unused_data.lstrip(b"\0")
        while not rest and (more := file.read(size)):
            rest = more.lstrip(b"\0")

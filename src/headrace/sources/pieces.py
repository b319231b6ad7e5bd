"""A file piece by piece, each ending with a whole line, so that never more than a few pieces are in memory."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO

from headrace.errors import HeadraceError
from headrace.sources.hashing import Hashing
from headrace.sources.texts import BOM, FIX_ORDER, ORDERS, Text, header_of, last_end, utf8
from headrace.sources.unpack import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from headrace.sources.kinds import Kind
    from headrace.sources.spec import FileSpec

_READ = 2**20


def unknown(_: BinaryIO) -> str | None:
    """No digest is known without reading."""
    return None


class Digested:
    """A file that is read from start to end, and the digest of what was read of it.

    `known` answers the digest of the open file where that is known without reading; it is not counted again then.
    """

    def __init__(self, name: str, file: BinaryIO, known: Callable[[BinaryIO], str | None] = unknown) -> None:
        self._name = name
        self._file = file
        self._known = known
        self._counted = known(file) is None
        self._sha = Hashing()
        self._read_to_end = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises HR302."""
        try:
            content = self._file.read(size)
        except OSError as error:
            raise HeadraceError("HR302", f"{self._name} cannot be read: {error.strerror}") from error
        if self._counted:
            self._sha.update(content)
        return content

    def digest(self) -> str:
        """The digest of the whole file: what nobody has read yet is read now."""
        if not self._counted:
            known = self._known(self._file)
            if known is not None:
                return known
            self._counted = True
            self._file.seek(0)
        while not self._read_to_end and self.read(_READ):
            pass
        self._read_to_end = True
        return self._sha.hexdigest()

    def again(self) -> BinaryIO:
        """The file itself, from its start, for those who read here and there; ask for the digest before."""
        self._file.seek(0)
        return self._file


def line_pieces(name: str, file: Digested, packed: int, spec: FileSpec, kind: Kind, size: int) -> Iterator[Text]:
    """The text of a file in pieces of about `size` bytes that end with a line, each after the header of the file.

    `packed` is the size of the file on disk. NDJSON has no header, and is UTF-8 whatever the dialect is.

    Raises:
        HeadraceError: HR304 to HR306, HR308 and HR323, as for a file that is read at once.
    """
    csv = kind.format == "csv"
    dialect = spec.dialect
    encoding, quote = (dialect.encoding, dialect.quote) if csv else ("utf-8", None)
    chunks = stream(name, file, packed, kind.compression, spec.limits, size)
    if encoding != "utf-8":
        chunks = _decoded(name, chunks, encoding)
    mark = quote.encode() if quote else None
    header = header_of(dialect) if csv and not dialect.header else b""
    before = 0
    for added, lines in _whole_lines(_unmarked(chunks), mark, header, named=csv and not header):
        text = Text(utf8(name, lines, before=before - added), added, before=before)
        before += text.newlines - added  # counted here, while other pieces are worked on
        yield text


def _first_line(text: bytes, quote: bytes | None) -> bytes:
    """The header of a text: its first line that is not blank."""
    begin = 0
    while True:
        end = _line_end(text, quote, begin)
        if text[begin:end].strip(b"\r\n") or end >= len(text):
            return text[begin:end]
        begin = end


def _line_end(text: bytes, quote: bytes | None, begin: int) -> int:
    end = begin
    while True:
        found = text.find(b"\n", end)
        if found < 0:
            return len(text)
        end = found + 1
        if quote is None or text.count(quote, begin, end) % 2 == 0:
            return end


def _unmarked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes without a byte order mark before them."""
    begin = b""
    while len(begin) < len(BOM) and (chunk := next(chunks, None)) is not None:
        begin += chunk
    yield begin.removeprefix(BOM)
    yield from chunks


def _whole_lines(
    chunks: Iterable[bytes], quote: bytes | None, header: bytes, *, named: bool
) -> Iterator[tuple[int, bytes]]:
    """The same bytes, cut behind line ends that do not stand in quotation marks, each piece after the header.

    `named`: the header is the first line of them all. Each piece comes with how many lines of it are not its own.
    """
    rest: list[bytes] = []
    added = header.count(b"\n")
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest.append(chunk)
            continue
        text = b"".join((header, *rest, memoryview(chunk)[:end]))
        cut = last_end(text, quote) if quote is not None and quote in text else len(text)
        rest = [chunk[end:]]
        if cut < len(text):
            rest.insert(0, text[max(cut, len(header)) :])
            text = text[:cut]
        if cut > len(header):
            yield added, text
            if named:
                header, named = _first_line(text, quote), False
                added = header.count(b"\n")
    if any(rest):
        yield added, b"".join((header, *rest))


def _decoded(name: str, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Chunks of another encoding in UTF-8. Raises HR308."""
    decoder = codecs.getincrementaldecoder(encoding)()
    first, lines = True, 0
    for chunk in chunks:
        if first and encoding == "utf-16" and not chunk.startswith(ORDERS):
            raise HeadraceError("HR308", f"{name}: UTF-16 without a byte order mark", fix=FIX_ORDER)
        text = _decode(name, decoder, chunk, lines, encoding)
        yield (text.removeprefix("\ufeff") if first else text).encode()
        lines += text.count("\n")
        first = False
    _decode(name, decoder, b"", lines, encoding)


def _decode(name: str, decoder: codecs.IncrementalDecoder, chunk: bytes, lines: int, encoding: str) -> str:
    try:
        return decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        plain = "utf-16-le" if encoding == "utf-16" else encoding
        line = 1 + lines + error.object[: error.start].decode(plain, errors="ignore").count("\n")
        raise HeadraceError("HR308", f"{name}, line {line}: not {encoding.upper()}") from None

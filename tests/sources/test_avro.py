"""Types of Avro that cannot be read are named; Polars ends in a riddle on some of them, and in a panic on others."""

from __future__ import annotations

import bz2
import io
import json
import lzma
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.sources import avroschema
from tests.sources.making import MAKERS, parsed, refused, zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENUM: Mapping[str, Any] = {"type": "enum", "name": "e", "symbols": ["A", "B"]}


def number(value: int) -> bytes:
    """As Avro writes one: the sign in the lowest bit, seven bits a byte."""
    left, written = value << 1 ^ value >> 63, b""
    while left > 0x7F:
        written += bytes([left & 0x7F | 0x80])
        left >>= 7
    return written + bytes([left])


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def avro(*fields: tuple[str, object], sized: bool = False) -> bytes:
    """A file without rows; `sized`: the blocks of its header tell their size."""
    schema = {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields]}
    entries = [text(b"avro.codec") + text(b"null"), text(b"avro.schema") + text(json.dumps(schema).encode())]
    blocks = [number(-1) + number(len(each)) + each if sized else number(1) + each for each in entries]
    return b"Obj\x01" + b"".join(blocks) + number(0) + b"s" * 16


PACKED: Mapping[str, Any] = {"bzip2": bz2.compress, "xz": lzma.compress, "zstandard": zstd}
FRAME = pl.DataFrame({"n": range(5000), "t": ["é" * (n % 7) for n in range(5000)], "x": [n / 7 for n in range(5000)]})


def packed(codec: str, change: Any = lambda block: block) -> bytes:  # noqa: ANN401
    """A file of two blocks in a codec, the packed blocks changed."""
    plain = MAKERS["avro"](FRAME)
    sync = plain[-16:]
    head = plain[: plain.index(sync)]
    found = head + sync
    for rows in (FRAME.head(2000), FRAME.tail(3000)):
        _, block, _ = MAKERS["avro"](rows).split(MAKERS["avro"](rows)[-16:])
        file = io.BytesIO(block)
        count, _ = avroschema.number(file), avroschema.number(file)
        content = change(PACKED[codec](file.read()))
        found += number(count) + number(len(content)) + content + sync
    name = codec.encode()
    if b"avro.codec" in head:
        return found.replace(text(b"avro.codec") + text(b"null"), text(b"avro.codec") + text(name), 1)
    return found.replace(b"Obj\x01" + number(1), b"Obj\x01" + number(2) + text(b"avro.codec") + text(name), 1)


@pytest.mark.parametrize("codec", PACKED)
def test_a_codec_that_polars_does_not_know(codec: str) -> None:
    assert parsed("f.avro", packed(codec)).rows() == FRAME.rows()


@pytest.mark.parametrize("codec", PACKED)
def test_a_damaged_block(codec: str) -> None:
    changes: list[Callable[[bytes], bytes]] = [
        lambda block: block[:-9],
        lambda block: block[:0],
        lambda block: block[:40] + bytes(byte ^ 0xFF for byte in block[40:80]) + block[80:],
    ]
    for change in changes:
        assert refused("f.avro", packed(codec, change)).code == "HR311"
    whole = packed(codec)
    for end in (len(whole) - 1, len(whole) - 20, len(whole) - 16):
        assert refused("f.avro", whole[:end]).code == "HR311"
    assert refused("f.avro", whole[:-1] + b"x").what.endswith("a block does not end as it has to")
    assert refused("f.avro", whole + b"\x80").what.endswith("it ends within a number")
    assert refused("f.avro", whole + number(-1)).what.endswith("a block of -1 rows or bytes")


@pytest.mark.parametrize("codec", PACKED)
def test_a_block_that_unpacks_to_too_much(codec: str) -> None:
    assert refused("f.avro", packed(codec), max_bytes=20_000).code == "HR323"


def test_a_codec_that_nobody_knows() -> None:
    content = packed("xz").replace(text(b"xz"), text(b"q9"), 1)
    error = refused("f.avro", content)
    assert (error.code, error.what) == ("HR311", "f.avro: its blocks are in the codec 'q9', which is not read")


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (["int", "string"], "column 'b' is a union of several types"),
        (["null", "int", "string"], "column 'b' is a union of several types"),
        (["null", ENUM], "column 'b' is an enumeration that may be null"),
        ([ENUM, "null"], "column 'b' is an enumeration that may be null"),
        ({"type": ["null", ENUM]}, "column 'b' is an enumeration that may be null"),
        ({"type": "map", "values": "int"}, "column 'b' is of type map"),
        ({"type": "array", "items": "int"}, "column 'b' is of type array"),
        (["null", {"type": "record", "name": "q", "fields": []}], "column 'b' is of type record"),
        ("null", "column 'b' is of type null"),
        (["null"], "column 'b' is of type null"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 50}, "column 'b' is a decimal of 50 digits"),
    ],
)
def test_a_type_that_cannot_be_read(kind: object, said: str, capfd: pytest.CaptureFixture[str], *, sized: bool) -> None:
    error = refused("f.avro", avro(("a", "int"), ("b", kind), sized=sized))
    assert (error.code, error.what) == ("HR316", f"f.avro: {said}")
    assert "panicked" not in capfd.readouterr().err


def test_a_type_that_is_declared_once_and_used_twice() -> None:
    error = refused("f.avro", avro(("a", ENUM), ("b", "e")))
    assert (error.code, error.what) == ("HR316", "f.avro: column 'b' is of the type 'e' that another column declares")


@pytest.mark.parametrize(
    "kind", ["int", ["null", "string"], ["double", "null"], ENUM, {"type": "string", "avro.java.string": "String"}]
)
def test_a_type_that_can_be_read(kind: object) -> None:
    assert parsed("f.avro", avro(("a", kind))).columns == ["a"]


def test_a_damaged_header_is_left_to_the_reader() -> None:
    whole = MAKERS["avro"](pl.DataFrame({"n": [1, 2]}))
    for end in range(1, whole.index(whole[-16:]) + 16):
        assert refused("f.avro", whole[:end]).code == "HR311"

"""Types of Avro that cannot be read are named; Polars ends in a riddle on some of them, and in a panic on others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.sources.making import MAKERS, parsed, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

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

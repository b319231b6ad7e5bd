"""Canonical bytes: equal data has equal bytes, different data has different bytes, and nothing else is accepted."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.ports.canonical import StandIn, canonical, digest_of


class Colour(Enum):
    RED = 1
    BLUE = 2


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    A = "a"


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list)


@dataclass
class Spot:
    x: int
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: int


Loose = namedtuple("Loose", "a b")  # noqa: PYI024 - the untyped form is what is tested


class Own:
    def __init__(self, value: object) -> None:
        self.value = value

    def __headrace_canonical__(self) -> object:
        return self.value


DIFFERENT: list[Any] = [
    None, True, False, 1, 0, -1, 255, -255, 1.0, 0.0, -0.0, math.inf, -math.inf, math.nan, 1j, complex(0.0, -0.0),
    "", "1", "a", b"", b"1", bytearray(b"1"), "\ud800", "None", ...,
    [], (), {}, set(), frozenset(), [[]], [()], ([],), [1, 2], [2, 1], [12], (1, 2), {1, 2}, frozenset({1, 2}),
    ["ab"], ["a", "b"], ["a", ["b"]], [["a"], "b"], {"a": 1}, {"a": "1"}, {"a": 1, "b": 2}, {1: "a"}, [("a", 1)],
    date(2013, 1, 1), datetime(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, fold=1),  # noqa: DTZ001
    datetime(2013, 1, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2013, 1, 1, tzinfo=ZoneInfo("Europe/Paris")),
    time(1), time(1, tzinfo=UTC), timedelta(1), timedelta(seconds=1), timedelta(microseconds=1),
    Decimal("1.0"), Decimal("1.00"), Fraction(1, 3), UUID(int=1), range(3), range(0, 3, 2),
    PurePosixPath("a/b"), re.compile("a"), re.compile("a", re.IGNORECASE), re.compile(b"a"),
    np.float64(1), np.float32(1), np.int64(1), np.int32(1), np.bool_(True), np.str_("a"), np.datetime64("2013-01-01"),
    Colour.RED, Colour.BLUE, Level.LOW, Word.A, Point(1), Point(2), Point(1, ["a"]), Spot(1), Pair(1, 2), Loose(1, 2),
    Own(1), Own("1"), StandIn("own", 1), StandIn("other", 1),
]  # fmt: skip


def test_different_values_have_different_bytes() -> None:
    assert len({canonical(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_a_value_inside_of_a_container_differs_as_well() -> None:
    assert len({canonical([value, "x"]) for value in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [1]}, {"b": [1], "a": 1}),
        ({"a": 1}, MappingProxyType({"a": 1})),
        ({"a": 1, "b": 2}, OrderedDict(b=2, a=1)),
        ({3, 1, 2}, {2, 3, 1}),
        (math.nan, -math.nan),
        (Own([1]), Own([1])),
        (np.float64(2.5), np.float64(5) / 2),
    ],
)
def test_equal_values_have_equal_bytes(one: object, other: object) -> None:
    assert canonical(one) == canonical(other)
    assert digest_of(one) == digest_of(other)


def test_an_integer_may_have_any_number_of_digits() -> None:
    assert canonical(10**5000) != canonical(10**5000 + 1)


def test_digests_are_pinned() -> None:
    """They stand in ledgers: a change of the encoding would make everything again."""
    value = {
        "a": [1, 2.5, None, True, "é", b"\x00"],
        "when": date(2013, 1, 1),
        "set": {1, 2},
        "p": PurePosixPath("a/b"),
    }
    assert digest_of(value) == "da02bf94faa2265730e8259f03677e72cfc3f40c1fe2be82cf7784bf595fb976"


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    program = "from headrace.ports.canonical import digest_of; print(digest_of([{'a', 'b', 'c'}, {'x': 1, 'y': 2}]))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("value", [object(), len, int, lambda: None, np.zeros(2), iter([]), Exception("x")])
def test_what_is_not_plain_is_refused_with_the_path_to_it(value: object) -> None:
    with pytest.raises(HeadraceError) as caught:
        canonical({"model": [1, {"loss": value}]}, what="the setting")
    assert caught.value.code == "HR200"
    assert "the setting['model'][1]['loss'] is of type" in caught.value.what


def test_a_key_that_is_not_plain_is_refused() -> None:
    with pytest.raises(HeadraceError, match="HR200"):
        canonical({len: 1})


def test_a_subclass_of_a_plain_type_is_refused() -> None:
    class Text(str):
        __slots__ = ()

    with pytest.raises(HeadraceError, match="HR200"):
        canonical(Text("a"))


def test_a_container_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append([value])
    with pytest.raises(HeadraceError, match="HR201"):
        canonical(value)


def test_a_value_may_occur_twice() -> None:
    shared = [1]
    assert canonical([shared, shared]) == canonical([[1], [1]])


def test_extend_is_asked_about_text_and_unknown_types_only() -> None:
    asked: list[object] = []

    def extend(value: object) -> StandIn | None:
        asked.append(value)
        return StandIn("function", "len") if value is len else None

    assert canonical([1, "a", None, len], extend=extend) == canonical([1, "a", None, StandIn("function", "len")])
    assert asked[:2] == ["a", len]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.timedeltas(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def spelled(value: object) -> str:
    """A text that is equal for values that must have equal bytes: types told apart, dictionaries in one order."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{spelled(key)}:{spelled(inner)}" for key, inner in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(spelled, value))})"
    return f"{type(value).__name__}:{value!r}"


@given(plain, plain)
def test_bytes_are_equal_exactly_when_the_values_are(one: object, other: object) -> None:
    assert (canonical(one) == canonical(other)) == (spelled(one) == spelled(other))


@given(st.dictionaries(st.text(), plain))
def test_order_of_a_dictionary_does_not_matter(value: dict[str, object]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))

"""Plain data as bytes, the same bytes for equal data on every machine and every Python, and the digest of them.

Every key of the ledger goes through here. The encoding tells types apart (1, 1.0, True and "1" differ, a list differs
from a tuple), does not depend on the order of a dictionary or of a set, and is injective: each piece carries its type
and its length, so that no two values share their bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import starmap
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, TypeGuard
from uuid import UUID

from headrace.errors import HeadraceError


@dataclass(frozen=True, slots=True)
class StandIn:
    """What is encoded instead of a value: `kind` keeps it apart from every plain value, `value` is plain itself."""

    kind: str
    value: object


Extend: TypeAlias = Callable[[object], StandIn | None]
"""Asked for each value that is not of a built-in plain type; answers None to leave it to `canonical`."""


def canonical(value: object, *, extend: Extend | None = None, what: str = "the value") -> bytes:
    """The canonical bytes of a plain value.

    Plain are None, bool, int, float (any nan is one nan, -0.0 is not 0.0), complex, str, bytes, date, datetime, time,
    timedelta, Decimal, Fraction, UUID, range, paths, compiled patterns, NumPy scalars, members of an Enum, types with
    `__headrace_canonical__()`, data classes and named tuples (by qualified name of the class), and lists, tuples,
    sets and dictionaries of those.

    Args:
        value: What to encode.
        extend: Asked first about each value that is not of a built-in plain type, for callers that know more types.
        what: What the value is, for the message of an error.

    Raises:
        HeadraceError: HR200 for a value that is not plain, HR201 for a container that holds itself.
    """
    return _Encoder(extend, what).encode(value)


def digest_of(value: object, *, extend: Extend | None = None, what: str = "the value") -> str:
    """The SHA-256 of the canonical bytes, in hexadecimal. Arguments and errors as for `canonical`."""
    return hashlib.sha256(canonical(value, extend=extend, what=what)).hexdigest()


def texts_in(value: object) -> Iterator[str]:
    """Every text within a plain value, those that name things included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts_in(key)
            yield from texts_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from texts_in(each)
    elif not isinstance(value, type) and hasattr(value, "__headrace_canonical__"):
        yield from texts_in(value.__headrace_canonical__())
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts_in(getattr(value, field.name))


def qualified_name(kind: type) -> str:
    """The name of a class with the module that it stands in."""
    return f"{kind.__module__}.{kind.__qualname__}"


class NumpyScalar(Protocol):
    """What is needed of a NumPy scalar to encode it."""

    dtype: Any

    def tobytes(self) -> bytes:
        """The value as it lies in memory."""


def is_numpy_scalar(value: object) -> TypeGuard[NumpyScalar]:
    """Whether the value is a NumPy scalar, found without importing NumPy."""
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and getattr(value, "ndim", None) == 0


def _frame(tag: bytes, payload: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(payload), payload)


def _text(value: str) -> bytes:
    return _frame(b"s", value.encode("utf-8", "surrogatepass"))


def _float(value: float) -> bytes:
    return _frame(b"f", b"nan" if math.isnan(value) else value.hex().encode())


def _moment(value: datetime | time) -> bytes:
    zone = value.tzinfo
    name = None if zone is None or isinstance(zone, timezone) else str(zone)
    return _frame(b"M", _text(value.isoformat()) + _text(f"{name or ''}|{value.fold}"))


def _duration(value: timedelta) -> bytes:
    return _frame(b"W", f"{value.days},{value.seconds},{value.microseconds}".encode())


def _named(name: str) -> Callable[[Any], bytes]:
    """An encoder for types whose text says all."""
    return lambda value: _frame(b"N", _text(name) + _text(str(value)))


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"n",
    bool: lambda value: b"t" if value else b"u",
    int: lambda value: _frame(b"i", b"%x" % value),
    float: _float,
    complex: lambda value: _frame(b"c", _float(value.real) + _float(value.imag)),
    str: _text,
    bytes: lambda value: _frame(b"b", value),
    bytearray: lambda value: _frame(b"B", bytes(value)),
    datetime: _moment,
    time: _moment,
    timedelta: _duration,
    date: _named("date"),
    Decimal: _named("decimal"),
    Fraction: _named("fraction"),
    UUID: _named("uuid"),
    range: _named("range"),
    type(...): _named("ellipsis"),
}


class _Encoder:
    """One encoding: knows the containers that it stands in and the path to the value, for messages."""

    def __init__(self, extend: Extend | None, what: str) -> None:
        self._extend = extend
        self._what = what
        self._path: list[str] = []
        self._inside: set[int] = set()

    def encode(self, value: object) -> bytes:
        kind = type(value)
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            if self._extend is not None and kind is str and (stand_in := self._extend(value)) is not None:
                return self._stand_in(stand_in)
            return scalar(value)
        if id(value) in self._inside:
            raise HeadraceError("HR201", f"{self._where()} contains itself")
        self._inside.add(id(value))
        try:
            container = _CONTAINERS.get(kind)
            return self._other(value) if container is None else container(self, value)
        finally:
            self._inside.discard(id(value))

    def _where(self) -> str:
        return self._what + "".join(self._path)

    def _at(self, step: str, value: object) -> bytes:
        self._path.append(step)
        data = self.encode(value)
        self._path.pop()
        return data

    def sequence(self, values: list[object] | tuple[object, ...]) -> bytes:
        tag = b"l" if type(values) is list else b"p"
        return _frame(tag, b"".join([self._at(f"[{position}]", value) for position, value in enumerate(values)]))

    def unordered(self, values: set[object] | frozenset[object]) -> bytes:
        tag = b"S" if type(values) is set else b"F"
        return _frame(tag, b"".join(sorted([self._at("{}", value) for value in values])))

    def mapping(self, values: Mapping[object, object]) -> bytes:
        return _frame(b"d", b"".join(sorted(starmap(self._item, values.items()))))

    def _item(self, key: object, value: object) -> bytes:
        return self._at(" (a key)", key) + self._at(f"[{key!r}]", value)

    def _stand_in(self, stand_in: StandIn) -> bytes:
        return _frame(b"X", _text(stand_in.kind) + self.encode(stand_in.value))

    def _other(self, value: object) -> bytes:
        if self._extend is not None and (stand_in := self._extend(value)) is not None:
            return self._stand_in(stand_in)
        stand_in = _stand_in_for(value)
        if stand_in is None:
            raise HeadraceError("HR200", f"{self._where()} is of type {qualified_name(type(value))}: {value!r:.80}")
        return self._stand_in(stand_in)


_CONTAINERS: dict[type, Callable[[_Encoder, Any], bytes]] = {
    list: _Encoder.sequence,
    tuple: _Encoder.sequence,
    set: _Encoder.unordered,
    frozenset: _Encoder.unordered,
    dict: _Encoder.mapping,
    OrderedDict: _Encoder.mapping,
    MappingProxyType: _Encoder.mapping,
}


def _stand_in_for(value: object) -> StandIn | None:
    """What stands for a value whose type is not of the built-in plain ones; None where it is not plain."""
    if isinstance(value, StandIn):
        return value
    kind = type(value)
    own: Callable[[object], object] | None = getattr(kind, "__headrace_canonical__", None)
    if own is not None:
        return StandIn("own", (qualified_name(kind), own(value)))
    if isinstance(value, PurePath):
        return StandIn("path", value.as_posix())
    if isinstance(value, re.Pattern):
        return StandIn("pattern", (value.pattern, value.flags))
    return _structure(value, qualified_name(kind)) or _numpy_stand_in(value)


def _structure(value: object, name: str) -> StandIn | None:
    """What stands for an instance of a class that says what its instances hold."""
    if isinstance(value, Enum):
        return StandIn("enum", (name, value.name, value.value))
    if is_dataclass(value) and not isinstance(value, type):
        return StandIn("dataclass", (name, {field.name: getattr(value, field.name) for field in fields(value)}))
    if isinstance(value, tuple) and hasattr(type(value), "_fields"):
        return StandIn("namedtuple", (name, tuple(value)))
    return None


def _numpy_stand_in(value: object) -> StandIn | None:
    if not is_numpy_scalar(value):
        return None
    kind = str(value.dtype.str)
    if kind == "|O":
        return None
    return StandIn("numpy", (kind, value.tobytes()))

"""Sketches: the quantiles and the number of different values of a column in a few kilobytes that can be merged. Pure.

The Apache DataSketches library has both as well. Its quantiles sketch draws random bits from a generator that cannot be
seeded, so that the same rows would give another profile each time, and its HyperLogLog takes one value at a time. Here
the same rows in the same batches give the same bytes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from headrace.ports.records import Facts, Json

    Floats = npt.NDArray[np.float64]
    Hashes = npt.NDArray[np.uint64]
    Registers = npt.NDArray[np.uint8]

K: Final = 200
"""How many values the topmost level of a quantiles sketch holds, at most."""
RANK_ERROR: Final = 0.015
"""How far the rank of a told quantile may be off, in 99 of 100 sketches, however many rows there are (measured)."""
PRECISION: Final = 12
DISTINCT_ERROR: Final = 1.04 / sqrt(1 << PRECISION)
"""The standard error of a told number of different values, as a share of it."""

_SHRINK: Final = 2 / 3
_LEAST: Final = 8
_REGISTERS: Final = 1 << PRECISION
_REST: Final = 64 - PRECISION
_CHUNK: Final = 1 << 14
"""So many values are hashed at a time that what is computed on the way stays in the processor's cache."""
_ALPHA: Final = 1 / (2 * np.log(2))


@dataclass(frozen=True, slots=True, eq=False)
class Quantiles:
    """A sketch of the quantiles of numbers.

    Z. Karnin, K. Lang, E. Liberty, Optimal quantile approximation in streams, 2016.
    A value at level h stands for 2^h values. A level that overflows is sorted, and every other value of it moves up;
    whether the odd or the even ones do is drawn from the number of values so far, the same each time.
    """

    count: int
    levels: tuple[Floats, ...]

    @classmethod
    def of(cls, values: Floats) -> Quantiles:
        """The sketch of finite numbers."""
        return cls(len(values), _compressed([np.sort(values)], len(values)))

    def merge(self, other: Quantiles) -> Quantiles:
        """The sketch of both together."""
        count, empty = self.count + other.count, np.empty(0)
        height = max(len(self.levels), len(other.levels))
        pairs = [
            [each.levels[level] if level < len(each.levels) else empty for each in (self, other)]
            for level in range(height)
        ]
        return Quantiles(count, _compressed([np.sort(np.concatenate(pair)) for pair in pairs], count))

    def at(self, shares: Sequence[float]) -> list[float | None]:
        """For each share, about the smallest value that so many of the values are at most; None without values."""
        if not self.count:
            return [None] * len(shares)
        values = np.concatenate(self.levels)
        weights = np.concatenate([np.full(len(each), 1 << level) for level, each in enumerate(self.levels)])
        order = np.argsort(values, kind="stable")
        up_to = np.cumsum(weights[order])
        places = np.searchsorted(up_to, np.asarray(shares) * up_to[-1], side="left")
        return [float(each) for each in values[order][np.minimum(places, len(values) - 1)]]

    def to_json(self) -> Json:
        """Plain data."""
        return {"count": self.count, "levels": [_text(each.astype("<f8").tobytes()) for each in self.levels]}

    @classmethod
    def from_json(cls, data: Facts) -> Quantiles:
        """The inverse of `to_json`."""
        levels = (np.frombuffer(b64decode(each), "<f8").astype(np.float64) for each in data["levels"])
        return cls(data["count"], tuple(levels))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantiles) or self.count != other.count:
            return False
        return len(self.levels) == len(other.levels) and all(map(np.array_equal, self.levels, other.levels))

    def __hash__(self) -> int:
        return hash((self.count, len(self.levels)))


@dataclass(frozen=True, slots=True)
class Distinct:
    """A sketch of how many different values there are: a HyperLogLog of 4,096 registers.

    P. Flajolet, E. Fusy, O. Gandouet, F. Meunier, HyperLogLog, 2007; estimated as by O. Ertl, New cardinality
    estimation algorithms for HyperLogLog sketches, 2017, who needs no tables of corrections.
    """

    registers: bytes

    @classmethod
    def of_numbers(cls, values: Floats) -> Distinct:
        """The sketch of finite numbers; 0 and -0 are the same."""
        registers: Registers = np.zeros(_REGISTERS, np.uint8)
        for start in range(0, len(values), _CHUNK):
            _register(registers, _mixed((values[start : start + _CHUNK] + 0.0).view(np.uint64)))
        return cls(registers.tobytes())

    @classmethod
    def of_texts(cls, values: Iterable[str]) -> Distinct:
        """The sketch of texts."""
        hashes = b"".join(blake2b(each.encode("utf-8", "surrogatepass"), digest_size=8).digest() for each in values)
        registers: Registers = np.zeros(_REGISTERS, np.uint8)
        _register(registers, np.frombuffer(hashes, "<u8").astype(np.uint64))
        return cls(registers.tobytes())

    @classmethod
    def of_hashes(cls, hashes: Hashes) -> Distinct:
        """The sketch of values of any kind, by 64 bits of each that are equal where the values are."""
        registers: Registers = np.zeros(_REGISTERS, np.uint8)
        _register(registers, _mixed(hashes))
        return cls(registers.tobytes())

    def merge(self, other: Distinct) -> Distinct:
        """The sketch of both together."""
        return Distinct(np.maximum(self._array(), other._array()).tobytes())

    @property
    def estimate(self) -> float:
        """About how many different values there are; 0 if and only if there is none."""
        counts = np.bincount(self._array(), minlength=_REST + 2)
        total = _REGISTERS * _tau(1 - counts[_REST + 1] / _REGISTERS)
        for rank in range(_REST, 0, -1):
            total = 0.5 * (total + counts[rank])
        total += _REGISTERS * _sigma(counts[0] / _REGISTERS)
        return float(_ALPHA * _REGISTERS * _REGISTERS / total)

    def to_json(self) -> Json:
        """Plain data: all registers, or, where few are set, their places and values."""
        registers = self._array()
        places = np.flatnonzero(registers)
        if len(places) * 3 >= _REGISTERS:
            return {"all": _text(self.registers)}
        return {"places": _text(places.astype("<u2").tobytes()), "ranks": _text(registers[places].tobytes())}

    @classmethod
    def from_json(cls, data: Facts) -> Distinct:
        """The inverse of `to_json`."""
        if "all" in data:
            return cls(b64decode(data["all"]))
        registers: Registers = np.zeros(_REGISTERS, np.uint8)
        registers[np.frombuffer(b64decode(data["places"]), "<u2")] = np.frombuffer(b64decode(data["ranks"]), np.uint8)
        return cls(registers.tobytes())

    def _array(self) -> Registers:
        return np.frombuffer(self.registers, np.uint8)


def _register(registers: Registers, hashes: Hashes) -> None:
    """Keep in each register, which the first bits of a hash name, how far down the first bit of the rest stood."""
    rest = hashes & np.uint64((1 << _REST) - 1)
    ranks = (_REST + 1 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
    np.maximum.at(registers, (hashes >> np.uint64(_REST)).astype(np.intp), ranks)


def _compressed(levels: list[Floats], count: int) -> tuple[Floats, ...]:
    """Let values move up until each level, sorted, holds no more than it may."""
    level = 0
    while level < len(levels):
        if len(levels[level]) <= _capacity(level, len(levels)):
            level += 1
            continue
        if level + 1 == len(levels):
            levels.append(np.empty(0))
        staying, moving = _halved(levels[level], _is_odd(count, level))
        levels[level] = staying
        levels[level + 1] = np.sort(np.concatenate([levels[level + 1], moving]))
        level = 0
    return tuple(levels)


def _capacity(level: int, height: int) -> int:
    return max(_LEAST, ceil(K * _SHRINK ** (height - 1 - level)))


def _halved(values: Floats, odd: bool) -> tuple[Floats, Floats]:  # noqa: FBT001 - internal
    """What stays of a level, the largest value of an odd number of them, and what moves up: every other one."""
    pairs = len(values) // 2 * 2
    return values[pairs:], values[int(odd) : pairs : 2]


def _is_odd(count: int, level: int) -> bool:
    mixed = _mixed(np.array([count * 64 + level], dtype=np.uint64))
    return bool(mixed[0] & np.uint64(1))


def _mixed(bits: Hashes) -> Hashes:
    """Each number thoroughly mixed: the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, 2014)."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _sigma(share: float) -> float:
    """Ertl's correction for registers that are still empty."""
    if share == 1:
        return float("inf")
    total, step, before = share, 1.0, -1.0
    while total != before:
        share, before = share * share, total
        total, step = total + share * step, 2 * step
    return total


def _tau(share: float) -> float:
    """Ertl's correction for registers that are full."""
    if share in (0, 1):
        return 0.0
    total, step, before = 1 - share, 1.0, -1.0
    while total != before:
        share, before, step = sqrt(share), total, step / 2
        total -= (1 - share) ** 2 * step
    return total / 3


def _text(content: bytes) -> str:
    return b64encode(content).decode()

"""The options of `files`: how a text is written, which sheet is read, how much a file may unpack to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypedDict

from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from headrace.sources.kinds import Kind

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252")
REMOVED = ("drop", "keep", "fail")
_DECIMALS = (".", ",")
_RATIO_FROM = 16 * 2**20
"""Bytes. Less than this is not judged by its ratio: a small file of one repeated line shrinks a lot."""


class Options(TypedDict, total=False):
    """The keywords of `files` that only some kinds of file know. See `files`."""

    separator: str
    quote: str | None
    encoding: str
    header: bool
    names: Sequence[str]
    comment: str | None
    decimal: str
    sheet: str
    hive: bool
    removed: str
    max_bytes: int
    max_ratio: int


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. `names` are the columns where the file has no header line."""

    separator: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    header: bool = True
    names: tuple[str, ...] = ()
    comment: str | None = None
    decimal: str = "."

    def __post_init__(self) -> None:
        single = {"separator": self.separator, "quote": self.quote}
        for option, mark in single.items():
            if mark is not None and not (len(mark) == 1 and mark.isascii() and mark not in "\r\n\0"):
                raise _wrong(option, mark, "it is one ASCII character")
        if self.encoding not in ENCODINGS:
            raise _wrong("encoding", self.encoding, did_you_mean(self.encoding, ENCODINGS))
        if self.decimal not in _DECIMALS:
            raise _wrong("decimal", self.decimal, "it is '.' or ','")
        if self.separator in (self.quote, self.decimal):
            raise _wrong("separator", self.separator, "another option has the same character")
        self._check_comment()
        self._check_names()

    def _check_comment(self) -> None:
        if self.comment is None:
            return
        if not self.comment or set(self.comment) & {"\r", "\n", self.separator, self.quote}:
            raise _wrong("comment", self.comment, "it is a text without the separator, the quote and line ends")

    def _check_names(self) -> None:
        if self.header == bool(self.names):
            raise _wrong("names", list(self.names), "names are given with header=False, and only then")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise _wrong("names", list(self.names), f"{twice[0]!r} stands there twice")
        if any(mark in name for name in self.names for mark in ("\r", "\n")):
            raise _wrong("names", list(self.names), "a name has no line end")
        if self.quote is None and any(self.separator in name for name in self.names):
            raise _wrong("names", list(self.names), "a name holds the separator, and nothing quotes it")

    def settings(self) -> dict[str, object]:
        """What differs from the usual dialect, so that a source without options keeps its fingerprint."""
        return {field.name: getattr(self, field.name) for field in fields(self) if self._unusual(field.name)}

    def _unusual(self, option: str) -> bool:
        return bool(getattr(self, option) != getattr(USUAL, option))


USUAL = Dialect()


@dataclass(frozen=True)
class Limits:
    """How much a file may unpack to, in bytes and as a multiple of its size on disk. They decide no row."""

    bytes: int = 8 * 2**30
    ratio: int = 1000

    def __post_init__(self) -> None:
        for option, value in (("max_bytes", self.bytes), ("max_ratio", self.ratio)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise _wrong(option, value, "it is a whole number above 0")

    def allowed(self, packed: int) -> int:
        """How many bytes a file of this size on disk may unpack to."""
        return min(self.bytes, max(packed * self.ratio, _RATIO_FROM))

    def check(self, name: str, packed: int, unpacked: int) -> None:
        """Raises HR323 where a file unpacks to more than it may."""
        if unpacked > self.allowed(packed):
            raise HeadraceError("HR323", f"{name} has {packed} bytes and unpacks to more than {self.allowed(packed)}")

    def check_size(self, name: str, unpacked: int) -> None:
        """Raises HR323 where the columns of a file take more memory than it may unpack to.

        Columns of equal values shrink without end in a columnar file, so that their ratio says nothing.
        """
        if unpacked > self.bytes:
            raise HeadraceError("HR323", f"{name} unpacks to {unpacked} bytes, more than {self.bytes}")


_CSV = frozenset(field.name for field in fields(Dialect))
_LIMITS = frozenset({"max_bytes", "max_ratio"})
_KNOWN = frozenset(Options.__annotations__)


def checked(kind: Kind, options: Mapping[str, object], *, nulls: bool) -> None:
    """Raises HR322 for an option that is unknown, or that this kind of file does not have."""
    known = (
        {"hive", "removed", *_LIMITS}
        | (_CSV if kind.format == "csv" else set())
        | ({"sheet"} if kind.format == "xlsx" else set())
    )
    for option in options:
        if option not in _KNOWN:
            raise HeadraceError("HR322", f"files({option}=...): {did_you_mean(option, _KNOWN)}")
        if option not in known:
            raise HeadraceError("HR322", f"files({option}=...) says nothing about {kind.format} files")
    if nulls and kind.format != "csv":
        raise HeadraceError("HR322", f"files(null_values=...) says nothing about {kind.format} files")


def dialect_of(options: Mapping[str, object]) -> Dialect:
    """The dialect that the options declare. Raises HR322 for one that cannot be."""
    given = {option: value for option, value in options.items() if option in _CSV}
    names = given.get("names", ())
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise _wrong("names", names, "they are a list of texts")
    return Dialect(**{**given, "names": tuple(names)})  # type: ignore[arg-type]


def removed_of(options: Mapping[str, object]) -> str:
    """What becomes of the rows of a file that is removed. Raises HR322 for a rule that is unknown."""
    rule = options.get("removed", REMOVED[0])
    if rule not in REMOVED:
        raise _wrong("removed", rule, did_you_mean(str(rule), REMOVED))
    return str(rule)


def limits_of(options: Mapping[str, object]) -> Limits:
    """The limits that the options declare. Raises HR322 for one that cannot be."""
    given = {option.removeprefix("max_"): value for option, value in options.items() if option in _LIMITS}
    return Limits(**given)  # type: ignore[arg-type]


def _wrong(option: str, value: object, why: str) -> HeadraceError:
    return HeadraceError("HR322", f"files({option}={value!r}): {why}")

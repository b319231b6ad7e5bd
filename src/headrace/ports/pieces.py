"""Large mappings in pieces, so that two that differ in little share nearly everything: in memory, stored, and sent.

A mapping of names to plain data is sorted and cut: before a name whose SHA-256 ends in a zero, in hexadecimal, and
after 64 entries. Each piece is canonical JSON, named by its SHA-256. The names of the pieces are cut in the same way,
where the digest of the first name in each ends in two zeros, then in three, until one piece is left: its digest names
the mapping, and depends on nothing but the entries. Another entry changes one piece of about 16, and those above it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from threading import Lock
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from headrace.errors import HeadraceError

T = TypeVar("T")

LIMIT: Final = 32
"""A mapping of no more entries is left as it is."""
_MOST: Final = 64
"""Entries of a piece."""
_KEPT: Final = 16_384
"""Pieces that a process keeps at hand."""

Fetch: TypeAlias = Callable[[Sequence[str]], Mapping[str, str]]
"""Answers the texts of pieces by digest, as far as they are there."""


class Head(NamedTuple):
    """How a piece is named: its first name, its digest, how many entries of the mapping it holds."""

    first: str
    digest: str
    size: int


@dataclass(slots=True, eq=False)
class _Piece:
    """The text of a piece, and what was found out about it."""

    text: str
    heads: tuple[Head, ...] | None
    leaves: tuple[Head, ...] | None = None
    folded: dict[object, Any] = field(default_factory=dict)


class _Kept:
    """The pieces that were used last, by digest. Equal digests mean equal texts, whoever wrote them."""

    def __init__(self) -> None:
        self._pieces: OrderedDict[str, _Piece] = OrderedDict()
        self._lock = Lock()

    def get(self, digest: str) -> _Piece | None:
        with self._lock:
            piece = self._pieces.get(digest)
            if piece is not None:
                self._pieces.move_to_end(digest)
            return piece

    def put(self, digest: str, text: str) -> _Piece:
        with self._lock:
            piece = self._pieces.get(digest)
            if piece is None:
                heads = tuple(Head(*each) for each in json.loads(text)) if text.startswith("[") else None
                piece = self._pieces[digest] = _Piece(text, heads)
                if len(self._pieces) > _KEPT:
                    self._pieces.popitem(last=False)
            return piece


_KEPT_PIECES = _Kept()


def nothing(_: Sequence[str]) -> Mapping[str, str]:
    """Finds no piece."""
    return {}


class Tree:
    """Names and plain data in pieces. Immutable. `own` has texts that may be stored nowhere, `fetch` finds others."""

    __slots__ = ("_fetch", "_leaves", "own", "root")

    def __init__(self, root: Head, own: Mapping[str, str] | None = None, fetch: Fetch = nothing) -> None:
        self.root = root
        self.own: Mapping[str, str] = own or {}
        self._fetch = fetch
        self._leaves: tuple[Head, ...] | None = None

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Tree:
        """The tree of some entries."""
        return _built(_cut(sorted(entries.items())), {}, nothing)

    def __reduce__(self) -> tuple[type[Tree], tuple[Head, Mapping[str, str]]]:
        return Tree, (self.root, self.missing(frozenset()))

    @property
    def leaves(self) -> tuple[Head, ...]:
        """The pieces that hold entries, in order."""
        if self._leaves is None:
            self._leaves = self._under(self.root)
        return self._leaves

    def _under(self, head: Head) -> tuple[Head, ...]:
        """The leaves below a piece. Each piece remembers its own."""
        piece = self._pieces((head,))[0]
        if piece.heads is None:
            return (head,)
        if piece.leaves is None:
            first = self._pieces(piece.heads[:1])[0]
            above = first.heads is not None
            piece.leaves = tuple(leaf for each in piece.heads for leaf in self._under(each)) if above else piece.heads
        return piece.leaves

    def apart(self, other: Tree) -> tuple[list[Head], list[Head]]:
        """The leaves of the two trees, less what both have."""
        mine, theirs = [self.root], [other.root]
        while True:
            both = {head.digest for head in mine} & {head.digest for head in theirs}
            more, mine = self._opened(mine, both)
            others, theirs = other._opened(theirs, both)
            if not (more or others):
                return mine, theirs

    def _opened(self, heads: Sequence[Head], less: set[str]) -> tuple[bool, list[Head]]:
        """What lies right below some pieces, or they themselves where they are leaves; whether any was none."""
        left = [head for head in heads if head.digest not in less]
        found: list[Head] = []
        for head, piece in zip(left, self._pieces(left), strict=True):
            found += (head,) if piece.heads is None else piece.heads
        return len(found) > len(left) or found != left, found

    def entries(self, leaf: Head) -> dict[str, Any]:
        """The entries of one of the leaves."""
        return _decoded(self._pieces((leaf,))[0].text)

    def items(self) -> Iterator[tuple[str, Any]]:
        """All entries, in order."""
        for piece in self._pieces(self.leaves):
            yield from _decoded(piece.text).items()

    def get(self, name: str) -> Any:  # noqa: ANN401 - plain data
        """The data of a name; None without one."""
        head = self.root
        while (heads := self._pieces((head,))[0].heads) is not None:
            head = heads[max(bisect_right(heads, name, key=_first) - 1, 0)]
        return self.entries(head).get(name)

    def changed(self, put: Mapping[str, Any], drop: Iterable[str] = ()) -> Tree:
        """The tree with some entries else, or gone."""
        leaves = list(self.leaves)
        firsts = [leaf.first for leaf in leaves]
        touched: dict[int, list[str]] = {}
        gone = set(drop) - put.keys()
        for name in (*put, *gone):
            touched.setdefault(max(bisect_right(firsts, name) - 1, 0), []).append(name)
        made: dict[str, str] = {}
        for begin, end in reversed(_runs(_widened(leaves, touched, gone))):
            entries: dict[str, Any] = {}
            for leaf in leaves[begin:end]:
                entries.update(self.entries(leaf))
            for place in range(begin, end):
                for name in touched.get(place, ()):
                    entries[name] = put.get(name)
            pieces = _cut(sorted(each for each in entries.items() if each[0] not in gone))
            leaves[begin:end] = [head for head, _ in pieces]
            made.update((head.digest, text) for head, text in pieces)
        return _joined(leaves, {**self.own, **made}, self._fetch)

    def fold(self, leaf: Callable[[Mapping[str, Any]], T], join: Callable[[Sequence[T]], T]) -> T:
        """What `leaf` makes of each piece and `join` of several in order; it is remembered, so name functions."""

        def of(piece: _Piece) -> T:
            if leaf not in piece.folded:
                below = piece.heads
                piece.folded[leaf] = (
                    leaf(_decoded(piece.text)) if below is None else join([of(each) for each in self._pieces(below)])
                )
            found: T = piece.folded[leaf]
            return found

        return of(self._pieces((self.root,))[0])

    def missing(self, known: Iterable[str] | Mapping[str, Any]) -> dict[str, str]:
        """The texts of the pieces that are not among those known; what is below a known one is known."""
        found: dict[str, str] = {}
        heads = [self.root]
        while heads := [head for head in heads if head.digest not in known and head.digest not in found]:
            under: list[Head] = []
            for head, piece in zip(heads, self._pieces(heads), strict=True):
                found[head.digest] = piece.text
                under += piece.heads or ()
            heads = under
        return found

    def is_whole(self) -> bool:
        """Whether every piece is to be had."""
        heads: Sequence[Head] = (self.root,)
        while heads:
            known = {head.digest for head in heads if head.digest in self.own}
            asked = [head.digest for head in heads if head.digest not in known]
            if len(self._fetch(asked)) < len(asked):
                return False
            heads = [head for piece in self._pieces(heads) for head in piece.heads or ()]
        return True

    @property
    def digests(self) -> set[str]:
        """The digests of all pieces."""
        found = {leaf.digest for leaf in self.leaves}
        heads = [self.root]
        while heads and heads[0].digest not in found:
            found.update(head.digest for head in heads)
            heads = [head for piece in self._pieces(heads) for head in piece.heads or ()]
        return found

    def _pieces(self, heads: Sequence[Head]) -> list[_Piece]:
        """Pieces by their heads. Raises HR606 for one that is not there, or is not what was written."""
        found = [_KEPT_PIECES.get(head.digest) for head in heads]
        absent = [head.digest for head, piece in zip(heads, found, strict=True) if piece is None]
        if absent:
            texts = {digest: self.own[digest] for digest in absent if digest in self.own}
            texts.update(self._fetch([digest for digest in absent if digest not in texts]))
            fresh = {digest: _KEPT_PIECES.put(digest, checked(digest, texts.get(digest))) for digest in absent}
            found = [piece or fresh[head.digest] for head, piece in zip(heads, found, strict=True)]
        return [piece for piece in found if piece is not None]


def checked(digest: str, text: str | None) -> str:
    """The text of a piece. Raises HR606 where there is none, or another one than was written."""
    if text is None:
        raise HeadraceError("HR606", f"the piece {digest[:12]} of a version is missing")
    if not is_piece(digest, text):
        raise HeadraceError("HR606", f"the piece {digest[:12]} of a version is not what was written")
    return text


def is_piece(digest: str, text: str) -> bool:
    """Whether a text is the piece of this name."""
    return sha256(text.encode()).hexdigest() == digest


def below(text: str) -> list[str]:
    """The digests of the pieces that a piece names."""
    return [digest for _, digest, _ in json.loads(text)] if text.startswith("[") else []


_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@lru_cache(maxsize=64)
def _decoded(text: str) -> dict[str, Any]:
    """The entries of a leaf. They are shared: nobody may change them."""
    found: dict[str, Any] = json.loads(text)
    return found


def _first(head: Head) -> str:
    return head.first


@lru_cache(maxsize=1 << 16)
def _rank(name: str) -> int:
    """In how many zeros the digest of a name ends."""
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return len(digest) - len(digest.rstrip("0"))


def _parts(items: Iterable[T], name: Callable[[T], str], rank: int) -> Iterator[tuple[T, ...]]:
    part: list[T] = []
    for item in items:
        if part and (len(part) == _MOST or _rank(name(item)) >= rank):
            yield tuple(part)
            part = []
        part.append(item)
    if part:
        yield tuple(part)


def _named(entry: tuple[str, Any]) -> str:
    return entry[0]


def _cut(entries: Iterable[tuple[str, Any]]) -> list[tuple[Head, str]]:
    """The leaves of sorted entries."""
    found = []
    for part in _parts(entries, _named, 1):
        text = _encoded(dict(part))
        found.append((Head(part[0][0], sha256(text.encode()).hexdigest(), len(part)), text))
    return found


@lru_cache(maxsize=4_096)
def _over(heads: tuple[Head, ...]) -> tuple[Head, str]:
    """The piece that names others."""
    text = _encoded(heads)
    return Head(heads[0].first, sha256(text.encode()).hexdigest(), sum(head.size for head in heads)), text


def _built(pieces: Sequence[tuple[Head, str]], own: Mapping[str, str], fetch: Fetch) -> Tree:
    return _joined([head for head, _ in pieces], {**own, **{head.digest: text for head, text in pieces}}, fetch)


def _joined(leaves: Sequence[Head], own: dict[str, str], fetch: Fetch) -> Tree:
    """The tree over leaves. Of `own`, what is not in it is left out."""
    used = {leaf.digest for leaf in leaves}
    heads, rank = leaves, 2
    while len(heads) > 1:
        above = [_over(part) for part in _parts(heads, _first, rank)]
        own.update((head.digest, text) for head, text in above)
        heads, rank = [head for head, _ in above], rank + 1
        used.update(head.digest for head in heads)
    tree = Tree(heads[0], {digest: text for digest, text in own.items() if digest in used}, fetch)
    tree._leaves = tuple(leaves)  # noqa: SLF001 - its own kind
    return tree


def _widened(leaves: Sequence[Head], touched: Iterable[int], gone: set[str]) -> list[int]:
    """The leaves that may be cut elsewhere when these are touched.

    What follows a full leaf begins where that one ends; what loses its first name may go on the leaf before.
    """
    found: set[int] = set()
    waiting = list(touched)
    while waiting:
        place = waiting.pop()
        if place in found or not 0 <= place < len(leaves):
            continue
        found.add(place)
        if leaves[place].first in gone:
            waiting.append(place - 1)
        if place + 1 < len(leaves) and not _rank(leaves[place + 1].first):
            waiting.append(place + 1)
    return sorted(found)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours together: where they begin, and where they end."""
    parts = [list(part) for _, part in groupby(enumerate(places), key=lambda each: each[1] - each[0])]
    return [(part[0][1], part[-1][1] + 1) for part in parts]

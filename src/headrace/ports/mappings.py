"""Mappings and lists that may be large: as they are while they are small, else in pieces (see `headrace.ports.pieces`).

Whoever makes or compares large ones does it by these functions, whose cost is that of the difference.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from headrace.ports.pieces import LIMIT, Tree

if TYPE_CHECKING:
    from headrace.ports.pieces import Head

T = TypeVar("T")
V = TypeVar("V")


_FEW: Final = 16
"""One of so many entries is cheaper to look up than all are to read."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of a mapping are plain data."""

    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


def _same(value: T) -> T:
    return value


PLAIN: Final = Codec(_same, _same)


class Pieces(Mapping[str, V]):
    """A mapping in pieces, sorted by name. Its values are shared: nobody may change them."""

    __slots__ = ("codec", "tree")

    def __init__(self, tree: Tree, codec: Codec = PLAIN) -> None:
        self.tree = tree
        self.codec = codec

    def __reduce__(self) -> tuple[type[Pieces[V]], tuple[Tree, Codec]]:
        return Pieces, (self.tree, self.codec)

    def __getitem__(self, name: str) -> V:
        found = self.tree.get(name) if isinstance(name, str) else None
        if found is None:
            raise KeyError(name)
        return cast("V", self.codec.from_plain(found))

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.tree.items())

    def __len__(self) -> int:
        return self.tree.root.size

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Pieces):
            return self.tree.root == other.tree.root and self.codec == other.codec
        return isinstance(other, Mapping) and len(self) == len(other) and plain(self) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} entries, {self.tree.root.digest[:12]}>"


class PieceList(Sequence[Any]):
    """A list of plain data in pieces."""

    __slots__ = ("tree",)

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def __reduce__(self) -> tuple[type[PieceList], tuple[Tree]]:
        return PieceList, (self.tree,)

    @overload
    def __getitem__(self, place: int) -> Any: ...  # noqa: ANN401 - plain data
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return list(self)[place]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self.tree.get(_numbered(place % len(self)))

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self.tree.items())

    def __len__(self) -> int:
        return self.tree.root.size

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PieceList):
            return self.tree.root == other.tree.root
        return isinstance(other, list) and list(self) == other

    __hash__ = None  # type: ignore[assignment]

    def plus(self, values: Sequence[Any], *, instead: int = 0) -> PieceList:
        """The list with these at the end, `instead` of so many of the last ones."""
        begin = len(self) - instead
        put = {_numbered(begin + at): value for at, value in enumerate(values)}
        return PieceList(self.tree.changed(put, [_numbered(at) for at in range(begin + len(values), len(self))]))


def _numbered(place: int) -> str:
    return f"{place:012}"


def listed(values: Sequence[Any]) -> Sequence[Any]:
    """A list, in pieces where it is long."""
    if isinstance(values, PieceList) or len(values) <= LIMIT:
        return values
    return PieceList(Tree.of({_numbered(at): value for at, value in enumerate(values)}))


def pieced(entries: Mapping[str, V], codec: Codec = PLAIN) -> Mapping[str, V]:
    """A mapping, in pieces where it is large; sorted by name."""
    if isinstance(entries, Pieces):
        return entries if len(entries) > LIMIT else plain(entries)
    if len(entries) <= LIMIT:
        return dict(sorted(entries.items()))
    return Pieces(Tree.of({name: codec.to_plain(value) for name, value in entries.items()}), codec)


def plain(entries: Mapping[str, V]) -> dict[str, V]:
    """A mapping as a dictionary."""
    return dict(entries.items()) if not isinstance(entries, Pieces) else dict(_pairs(entries))


def at_hand(entries: Mapping[str, V], asked: int) -> Mapping[str, V]:
    """A mapping of which so many entries will be asked for: as a dictionary, where these are a good part of it."""
    return plain(entries) if isinstance(entries, Pieces) and _FEW * asked > len(entries) else entries


def _pairs(entries: Pieces[V]) -> Iterator[tuple[str, V]]:
    decode = entries.codec.from_plain
    return ((name, decode(value)) for name, value in entries.tree.items())


def pairs(entries: Mapping[str, V]) -> Iterable[tuple[str, V]]:
    """The entries, without looking each of them up."""
    return _pairs(entries) if isinstance(entries, Pieces) else entries.items()


def changed(
    entries: Mapping[str, V], put: Mapping[str, V], drop: Iterable[str] = (), codec: Codec = PLAIN
) -> Mapping[str, V]:
    """The mapping with some entries else, or gone."""
    gone = set(drop)
    if isinstance(entries, Pieces) and len(entries) - len(gone) > LIMIT:
        if not put and not gone:
            return entries
        encode = entries.codec.to_plain
        tree = entries.tree.changed({name: encode(value) for name, value in put.items()}, gone)
        return Pieces(tree, entries.codec)
    left = {name: value for name, value in pairs(entries) if name not in gone}
    return pieced({**left, **put}, codec)


def differences(before: Mapping[str, V], after: Mapping[str, V]) -> dict[str, tuple[V | None, V | None]]:
    """What two mappings have not in common: by name, sorted, what was and what is (None: no such entry)."""
    one, other = _apart(before, after)
    found = {name: (one.get(name), other.get(name)) for name in sorted(one.keys() | other.keys())}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def shared(one: Mapping[str, V], other: Mapping[str, V]) -> int:
    """How many entries two mappings have in common."""
    return len(one) - sum(was is not None for was, _ in differences(one, other).values())


def _apart(before: Mapping[str, V], after: Mapping[str, V]) -> tuple[Mapping[str, V], Mapping[str, V]]:
    """Two mappings without pieces that both have."""
    if before is after:
        return {}, {}
    if not isinstance(before, Pieces) or not isinstance(after, Pieces):
        return plain(before), plain(after)
    if before.tree.root == after.tree.root:
        return {}, {}
    one, other = before.tree.apart(after.tree)
    return _entries(before, one), _entries(after, other)


def _entries(entries: Pieces[V], leaves: Iterable[Head]) -> dict[str, V]:
    decode = entries.codec.from_plain
    return {name: decode(value) for leaf in leaves for name, value in entries.tree.entries(leaf).items()}


def beginning(entries: Mapping[str, V], prefix: str) -> dict[str, V]:
    """The entries whose names begin so."""
    if not isinstance(entries, Pieces):
        return {name: value for name, value in entries.items() if name.startswith(prefix)}
    leaves = entries.tree.leaves
    begin = max(bisect_right(leaves, prefix, key=_first) - 1, 0)
    near = takewhile(lambda leaf: leaf.first <= prefix or leaf.first.startswith(prefix), leaves[begin:])
    return {name: value for name, value in _entries(entries, near).items() if name.startswith(prefix)}


def _first(leaf: Head) -> str:
    return leaf.first


def folded(entries: Mapping[str, Any], leaf: Callable[[Mapping[str, Any]], T], join: Callable[[Sequence[T]], T]) -> T:
    """What `leaf` makes of some entries, plain data in order, and `join` of several results in order.

    What it made of a piece is remembered by function: `leaf` is one that has a name, and depends on nothing else.
    """
    if isinstance(entries, Pieces):
        return entries.tree.fold(leaf, join)
    return leaf(dict(sorted(entries.items())))


def counted(entries: Mapping[str, Any], leaf: Callable[[Mapping[str, Any]], int]) -> int:
    """The sum of what `leaf` counts; as for `folded`."""
    return folded(entries, leaf, total)


def total(counts: Sequence[int]) -> int:
    """The sum."""
    return sum(counts)


def trees(*values: object) -> Iterator[Tree]:
    """The trees of those values that are in pieces."""
    return (value.tree for value in values if isinstance(value, Pieces | PieceList))

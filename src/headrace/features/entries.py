"""Entries of the online store as bytes: where the parts of one stand. `packed` tells how they are spelled.

Entries of one form, which have as many rows and values in the same columns, have everything at the same places. A view
without texts works out a form once. Values that are read as they stand, without a gap, are then taken all together.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from headrace.features.packed import FOLDED, PLACES, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.features.packed import Header, Packed

_FORMS = 1_024
"""How many forms of entries a view remembers."""
_CODES = {"float": "d", "whole": "q"}
"""How the values that may be taken together are read: all have eight bytes."""
_ROWS, _TIMES_END = slice(0, 4), 20
"""Where the head of an entry says how many rows it has, and where what it says of columns begins."""
_place = Struct("<I").unpack_from

# Of a column in an entry: its flags, how many folded values are held, and where places, values, sums and what comes
# after them begin (the sums of a deviation, the extremes, the codes).
Where: TypeAlias = tuple[int, int, int, int, int, int]


# Puts features of an entity into a row: they end before the position `high`, and begin at the one that `lows` holds for
# their length, where 0 is before all rows.
Take: TypeAlias = "Callable[[Entity, Sequence[int], int, dict[str, object]], None]"


@dataclass(frozen=True, slots=True)
class More:
    """The bytes of what stands behind the sums of a column: of one sum of a deviation, of both extremes, of codes."""

    spread: int
    extremes: int
    codes: bool

    @classmethod
    def of(cls, column: Packed) -> More:
        """What a column has."""
        size = 1 if column.kind == "boolean" else 8
        return cls(column.spread, 2 * size * column.extremes, column.codes)

    def extremes_at(self, rows: int) -> int:
        """Where the extremes begin, in an entry of so many rows."""
        return 2 * self.spread * (rows + 2)

    def codes_at(self, rows: int) -> int:
        """Where the codes begin."""
        return self.extremes_at(rows) + self.extremes

    def size(self, rows: int, values: int) -> int:
        """All of it, in an entry of so many rows and values."""
        return self.codes_at(rows) + (8 + 4 * values if self.codes else 0)


@dataclass(frozen=True, slots=True)
class Measure:
    """How some features are taken from an entry. `straight` is the column of one that is its newest value as it stands.

    `over` is then the place of its window among the lengths of the view, and `name` its name.
    """

    take: Take
    straight: int | None = None
    name: str = ""
    over: int = 0


class Run:
    """Newest values of one window that stand in one order, at equal distances from the first."""

    __slots__ = ("folded", "names", "over", "start", "take")

    def __init__(self, found: Sequence[tuple[int, str, str]], over: int, *, folded: bool) -> None:
        """`found` tells of each value where those of its column begin, its code and the name of the feature."""
        found = sorted(found)
        self.start, self.over, self.folded = found[0][0], over, int(folded)
        self.names = tuple(name for _, _, name in found)
        code, end = "<", self.start
        for start, letter, _ in found:
            code += f"{start - end}x{letter}"
            end = start + 8
        self.take: Callable[[bytes, int], tuple[object, ...]] = Struct(code).unpack_from


class Form:
    """Where the columns of an entry stand, which values are taken together, and how the others are."""

    __slots__ = ("columns", "is_prepared", "plan", "times")

    def __init__(self, times: slice, columns: Sequence[Where], takes: Sequence[Take]) -> None:
        self.times = times
        self.columns = columns
        self.plan: tuple[Sequence[Run], Sequence[Take]] = ((), takes)
        self.is_prepared = False


class Entity:
    """The entry of one entity."""

    __slots__ = ("columns", "content", "folded", "form", "newest", "times")

    def __init__(self, content: bytes, form: Form, folded: int, newest: int) -> None:
        self.content = content
        self.form = form
        self.columns = form.columns
        self.folded = folded
        self.newest = newest
        self.times = memoryview(content)[form.times].cast("q")


class Entries:
    """Reads the entries of one view. It may be used from any thread."""

    def __init__(self, header: Header, measures: Sequence[Measure]) -> None:
        self._head = head_of(header.columns)
        self._kinds = [each.kind for each in header.columns]
        self._sizes = [_sizes(each) for each in header.columns]
        self._measures = measures
        self._everything = [each.take for each in measures]
        self._alike = not any(each.kind == "text" and each.values for each in header.columns)
        self._shape = slice(_TIMES_END, self._head.size)
        self._forms: dict[bytes, Form] = {}
        self._lock = Lock()
        nothing = bytes(self._head.size + sum(map(_least, header.columns)))
        self.absent = self.read(nothing)

    def read(self, content: bytes) -> Entity:
        """An entry. Raises struct.error or TypeError for what is none."""
        found = self._head.unpack_from(content)
        if not self._alike:
            return Entity(content, self._form(found, content), found[1], found[2])
        shape = content[_ROWS] + content[self._shape]
        form = self._forms.get(shape)
        if form is None:
            form = self._form(found, content)
            with self._lock:
                if len(self._forms) >= _FORMS:
                    self._forms.clear()
                self._forms[shape] = form
        elif not form.is_prepared:  # a form that is met again is worth the work
            form.plan = self._plan(form.columns)
            form.is_prepared = True
        return Entity(content, form, found[1], found[2])

    def _form(self, found: Sequence[int], content: bytes) -> Form:
        rows, size = found[0], self._head.size
        end = size + 8 * rows
        columns: list[Where] = []
        place, start = 3, end
        for width, sums_width, more in self._sizes:
            flags, count, held = found[place : place + 3]
            values = start + 4 * (rows + 2) if flags & PLACES else start
            sums = values + (width * count if width >= 0 else _place(content, values + 4 * count)[0])
            after = sums + sums_width * (rows + 2)
            columns.append((flags, held, start, values, sums, after))
            start = after if more is None else after + more.size(rows, count)
            place += 3
        return Form(slice(size, end), columns, self._everything)

    def _plan(self, columns: Sequence[Where]) -> tuple[Sequence[Run], Sequence[Take]]:
        """The values that are taken together, and how all others are taken."""
        groups: dict[tuple[int, int], list[Measure]] = {}
        for each in self._measures:
            if each.straight is not None and self._kinds[each.straight] in _CODES:
                flags = columns[each.straight][0]
                if not flags & PLACES:
                    groups.setdefault((each.over, flags & FOLDED), []).append(each)
        runs, together = [], set()
        for (over, folded), found in groups.items():
            values = [
                (columns[n][3], _CODES[self._kinds[n]], each.name) for each in found if (n := each.straight) is not None
            ]
            if len({start for start, _, _ in values}) == len(found):
                runs.append(Run(values, over, folded=bool(folded)))
                together |= set(map(id, found))
        return runs, [each.take for each in self._measures if id(each) not in together]


def _sizes(column: Packed) -> tuple[int, int, More | None]:
    """The bytes of one value, 0 without values and -1 for text, which tells its length; of one sum; and the rest."""
    size = {"text": -1, "boolean": 1}.get(column.kind, 8)
    more = More.of(column) if column.spread or column.extremes or column.codes else None
    return size if column.values else 0, column.sums, more


def _least(column: Packed) -> int:
    """The bytes of a column in an entry without rows."""
    more = More.of(column).size(0, 0)
    return 4 * (column.kind == "text" and column.values) + 2 * column.sums + more

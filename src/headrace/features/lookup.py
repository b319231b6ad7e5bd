"""Looking up features of single entities in the online store, as the offline join would have them.

An entry is not unpacked: what a feature needs is read from the bytes where it stands. A window is two binary searches
over the times of the entity, and an aggregate the difference of two numbers.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

from headrace.errors import HeadraceError
from headrace.features.packed import FOLDED, HEADER_KEY, PLACES, SPELLINGS, Header, head_of, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.features.packed import Packed
    from headrace.ports.online import OnlineStore

KEPT = 1_024
"""How many entries a view keeps at hand."""

_LARGEST_KEPT = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = _EPOCH.toordinal()
_LARGEST = 2**63
_place = Struct("<I").unpack_from
_whole = Struct("<q").unpack_from
_float = Struct("<d").unpack_from
_wide = Struct("<Qq").unpack_from
_ends = Struct("<II").unpack_from

# Of a column in an entry: its flags, how many folded values are held, and where places, values and sums begin.
_Where: TypeAlias = tuple[int, int, int, int, int]


class _Entity:
    """The entry of one entity."""

    __slots__ = ("columns", "content", "folded", "newest", "times")

    def __init__(self, content: bytes, head: Struct, columns: Sequence[tuple[int, int]]) -> None:
        found = head.unpack_from(content)
        rows, self.folded, self.newest = found[:3]
        self.content = content
        end = head.size + 8 * rows
        self.times = memoryview(content)[head.size : end].cast("q")
        self.columns: list[_Where] = []
        place = 3
        for size, width in columns:
            flags = found[place]
            values = end + 4 * (rows + 2) if flags & PLACES else end
            count = found[place + 1]
            sums = values + (size * count if size >= 0 else _place(content, values + 4 * count)[0])
            self.columns.append((flags, found[place + 2], end, values, sums))
            end = sums + width * (rows + 2)
            place += 3


def _sizes(column: Packed) -> tuple[int, int]:
    """The bytes of one value, 0 without values and -1 for text, which tells its length; and those of one sum."""
    size = {"text": -1, "boolean": 1}.get(column.kind, 8)
    return size if column.values else 0, column.sums


# Puts features of an entity into a row: they end before the position `high`, and begin at the one that `lows` holds for
# their length, where 0 is before all rows.
_Measure: TypeAlias = "Callable[[_Entity, Sequence[int], int, dict[str, object]], None]"


class OnlineView:
    """One generation of a view. It may be used from any thread."""

    def __init__(self, store: OnlineStore, generation: str, header: Header) -> None:
        self.generation = generation
        self.header = header
        self._store = store
        self._head = head_of(header.columns)
        self._columns = [_sizes(each) for each in header.columns]
        self._spellings = [SPELLINGS[kind] for _, kind in header.entity]
        overs = list(dict.fromkeys(each.over for each in header.features))
        self._overs = overs
        self._measures = _measures(header, overs)
        self._unknown: dict[str, object] = {each.name: None for each in header.features}
        nothing = bytes(self._head.size + sum(4 * (each.kind == "text") + 2 * each.sums for each in header.columns))
        self._absent = _Entity(nothing, self._head, self._columns)
        self._kept: OrderedDict[bytes, _Entity] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def open(cls, store: OnlineStore, generation: str) -> OnlineView:
        """A generation, which tells itself what it holds. Raises HR470, HR471 and HR472."""
        (content,) = store.get(generation, [HEADER_KEY])
        return cls(store, generation, Header.decoded(content, generation))

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return tuple(self._unknown)

    def lookup(
        self, entities: Sequence[Sequence[object]], cutoffs: Sequence[int]
    ) -> tuple[list[dict[str, object]], list[int | None]]:
        """What was visible of each entity strictly before its cut-off.

        Args:
            entities: For each row the values that name the entity, in the order of the view's entity; ISO 8601 text
                will do for dates and datetimes. Where one is None, every feature is None.
            cutoffs: For each row the moment that is asked about, in microseconds since 1970.

        Returns:
            For each row its features by name, and when the newest row of its entity became visible that the cut-off
            sees, even where it is past every window; None where there is none.

        Raises:
            HeadraceError: HR475 for a cut-off before the horizon, HR476 for a value that cannot name an entity, HR456
                for a total beyond 64 bits, HR470, HR471 and HR472.
        """
        if cutoffs:
            self._refuse_early(min(cutoffs))
        keys = [self._key(entity) for entity in entities]
        found = self._found(keys)
        values: list[dict[str, object]] = []
        seen: list[int | None] = []
        for key, cutoff in zip(keys, cutoffs, strict=True):
            if key is None:
                values.append(self._unknown.copy())
                seen.append(None)
                continue
            entity = found[key]
            times = entity.times
            count = bisect_left(times, cutoff)
            high = count + 1
            lows = [0 if over is None else bisect_left(times, cutoff - over, 0, count) + 1 for over in self._overs]
            row = self._unknown.copy()
            for measure in self._measures:
                measure(entity, lows, high, row)
            values.append(row)
            seen.append(times[count - 1] if count else entity.newest if entity.folded else None)
        return values, seen

    def check(self, entity: Sequence[object], cutoff: int) -> None:
        """Raise HR475 or HR476 for what `lookup` would refuse of one row, without asking the store."""
        self._refuse_early(cutoff)
        self._key(entity)

    def _key(self, entity: Sequence[object]) -> bytes | None:
        """The key of an entity; None where one of its values is."""
        if len(entity) != len(self._spellings):
            raise HeadraceError(
                "HR476", f"{self.header.view} is looked up by {len(self._spellings)} values: {entity!r}"
            )
        if None in entity:
            return None
        try:
            return key_of([spell(value) for spell, value in zip(self._spellings, entity, strict=True)])
        except (TypeError, ValueError) as error:
            wanted = ", ".join(f"{name} ({kind})" for name, kind in self.header.entity)
            raise HeadraceError(
                "HR476", f"{self.header.view} is looked up by {wanted}, not by {entity!r:.100}"
            ) from error

    def _found(self, keys: Sequence[bytes | None]) -> dict[bytes, _Entity]:
        """The entry of each key: those at hand, and the others by one consistent read."""
        kept, found, missing = self._kept, {}, []
        with self._lock:
            for key in keys:
                if key is not None:
                    entity = kept.get(key)
                    if entity is None:
                        missing.append(key)
                    else:
                        found[key] = entity
                        kept.move_to_end(key)
        if missing:
            contents = self._store.get(self.generation, missing)
            for key, content in zip(missing, contents, strict=True):
                found[key] = self._absent if content is None else self._read(content)
            self._keep(missing, found)
        return found

    def _read(self, content: bytes) -> _Entity:
        try:
            return _Entity(content, self._head, self._columns)
        except (struct.error, TypeError) as error:
            what = f"generation {self.generation[:12]} of {self.header.view} has an entry that is none: {error}"
            raise HeadraceError("HR471", what) from error

    def _keep(self, keys: Sequence[bytes], found: dict[bytes, _Entity]) -> None:
        """Keep entries at hand, unless they are large, in place of those that were not asked for the longest."""
        with self._lock:
            for key in keys:
                if len(found[key].content) <= _LARGEST_KEPT:
                    self._kept[key] = found[key]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _refuse_early(self, cutoff: int) -> None:
        horizon = self.header.horizon
        if horizon is not None and cutoff < horizon:
            asked, first = ((_EPOCH + timedelta(microseconds=each)).isoformat() for each in (cutoff, horizon))
            raise HeadraceError("HR475", f"{self.header.view} is asked about {asked}, and can be from {first} on")


def _measures(header: Header, overs: Sequence[int | None]) -> list[_Measure]:
    """How the features are read off an entry: by column, since those of one column have most of the work in common."""
    found: list[_Measure] = []
    for place in (None, *range(len(header.columns))):
        words: dict[str, list[tuple[str, int]]] = {}
        for each in header.features:
            if each.column == place:
                words.setdefault(each.word, []).append((each.name, overs.index(each.over)))
        if place is None:
            found += [_count(name, over) for name, over in words.get("count", ())]
            continue
        column = header.columns[place]
        found += [_latest(place, column, each) for each in words.get("latest", ())]
        found += [_newest(place, column, each) for each in words.get("newest", ())]
        if column.sums:
            means, totals = ([*words.get(word, ())] for word in ("mean", "total"))
            found.append(_summed(place, column, means, totals))
    return found


def _count(name: str, over: int) -> _Measure:
    def count(entity: _Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        low = lows[over]
        into[name] = high - low if low else entity.folded + high - 1

    return count


def _summed(
    place: int, column: Packed, means: Sequence[tuple[str, int]], totals: Sequence[tuple[str, int]]
) -> _Measure:
    """Means and totals of a column: the sums of each window are taken once."""
    unit = column.unit
    read = _sum_of_8 if column.sums == 8 else _sum_of_16  # noqa: PLR2004 - bytes
    windows = sorted({over for _, over in (*means, *totals)})
    wanted = [([n for n, o in means if o == over], [n for n, o in totals if o == over], over) for over in windows]

    def summed(entity: _Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, held, places, _, sums = entity.columns[place]
        content = entity.content
        last = read(content, sums, high)
        for mean_names, total_names, over in wanted:
            low = lows[over]
            found = last - read(content, sums, low)
            for name in mean_names:
                count = _between(content, places, low or 1, high) if flags & PLACES else high - (low or 1)
                if not low:
                    count += held
                mean = float(found) / count if count else None
                into[name] = mean if unit is None or mean is None else mean * unit
            for name in total_names:
                into[name] = _bounded(found, name) if unit is None else float(found) * unit

    return summed


def _between(content: bytes, places: int, low: int, high: int) -> int:
    """How many values that are not missing stand between two positions."""
    return _place(content, places + 4 * high)[0] - _place(content, places + 4 * low)[0]  # type: ignore[no-any-return]


def _sum_of_8(content: bytes, start: int, position: int) -> int:
    return _whole(content, start + 8 * position)[0]  # type: ignore[no-any-return]


def _sum_of_16(content: bytes, start: int, position: int) -> int:
    low, high = _wide(content, start + 16 * position)
    return (high << 64) + low  # type: ignore[no-any-return]


def _bounded(found: int, name: str) -> int:
    if not -_LARGEST <= found < _LARGEST:
        raise HeadraceError("HR456", f"{name} is {found}")
    return found


def _latest(place: int, column: Packed, wanted: tuple[str, int]) -> _Measure:
    value = _value(column)
    name, over = wanted

    def latest(entity: _Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, _, places, values, _ = entity.columns[place]
        content, low = entity.content, lows[over]
        if flags & PLACES:
            last = _place(content, places + 4 * high)[0]
            first = _place(content, places + 4 * low)[0]
        else:
            folded = 1 if flags & FOLDED else 0
            last = high - 1 + folded
            first = low - 1 + folded if low else 0
        into[name] = value(content, values, last - 1) if last > first else None

    return latest


def _newest(place: int, column: Packed, wanted: tuple[str, int]) -> _Measure:
    value = _value(column)
    name, over = wanted

    def newest(entity: _Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, _, places, values, _ = entity.columns[place]
        content = entity.content
        if flags & PLACES:
            last = _place(content, places + 4 * high)[0]
            held = last > _place(content, places + 4 * high - 4)[0]
        else:
            folded = 1 if flags & FOLDED else 0
            last = high - 1 + folded
            held = high > 1 or folded > 0
        into[name] = value(content, values, last - 1) if held and high > lows[over] else None

    return newest


def _value(column: Packed) -> Callable[[bytes, int, int], object]:
    """How the value with a number is read: of the entry, where its values begin, the number."""
    kind = column.kind
    if kind == "text":
        return _text_value
    if kind == "boolean":
        return lambda content, start, number: content[start + number] != 0
    if kind == "float":
        return lambda content, start, number: _float(content, start + 8 * number)[0]
    if kind == "date":
        return lambda content, start, number: date.fromordinal(_FIRST_DAY + _whole(content, start + 8 * number)[0])
    if kind == "datetime":
        return _datetime_value(column.zone)
    return lambda content, start, number: _whole(content, start + 8 * number)[0]


def _text_value(content: bytes, start: int, number: int) -> str:
    begin, end = _ends(content, start + 4 * number)
    return content[start + begin : start + end].decode()


def _datetime_value(zone: str | None) -> Callable[[bytes, int, int], object]:
    where = None if zone is None else ZoneInfo(zone)

    def moment(content: bytes, start: int, number: int) -> datetime:
        found = _EPOCH + timedelta(microseconds=_whole(content, start + 8 * number)[0])
        return found.replace(tzinfo=None) if where is None else found.astimezone(where)

    return moment

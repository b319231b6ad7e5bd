"""How a feature is read off an entry: by column, since the features of one column have most of the work in common."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from headrace.errors import HeadraceError
from headrace.features.entries import Measure, More
from headrace.features.packed import FOLDED, PLACES
from headrace.features.spread import deviation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.features.entries import Entity, Take
    from headrace.features.packed import Header, Packed

NEWEST = "newest"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = _EPOCH.toordinal()
_LARGEST = 2**63
_place = Struct("<I").unpack_from
_whole = Struct("<q").unpack_from
_float = Struct("<d").unpack_from
_wide = Struct("<Qq").unpack_from
_ends = Struct("<II").unpack_from


def measures_of(header: Header, overs: Sequence[int | None]) -> list[Measure]:
    """How the features of a view are taken; `overs` are the lengths of its windows."""
    found: list[Measure] = []
    for place in (None, *range(len(header.columns))):
        words: dict[str, list[tuple[str, int]]] = {}
        for each in header.features:
            if each.column == place:
                words.setdefault(each.word, []).append((each.name, overs.index(each.over)))
        if place is None:
            found += [Measure(_count(name, over)) for name, over in words.get("count", ())]
            continue
        column = header.columns[place]
        found += [Measure(_latest(place, column, each)) for each in words.get("latest", ())]
        found += [Measure(_newest(place, column, each), place, *each) for each in words.get(NEWEST, ())]
        if column.sums:
            means, totals = ([*words.get(word, ())] for word in ("mean", "total"))
            found.append(Measure(_summed(place, column, means, totals)))
        if column.spread:
            found.append(Measure(_deviations(place, column, words.get("std", ()))))
        for word, pick in (("smallest", min), ("largest", max)):
            found += [Measure(_extreme(place, column, each, pick)) for each in words.get(word, ())]
        found += [Measure(_distinct(place, column, each)) for each in words.get("distinct", ())]
    return found


def _count(name: str, over: int) -> Take:
    def count(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        low = lows[over]
        into[name] = high - low if low else entity.folded + high - 1

    return count


def _summed(place: int, column: Packed, means: Sequence[tuple[str, int]], totals: Sequence[tuple[str, int]]) -> Take:
    """Means and totals of a column: the sums of each window are taken once."""
    unit = column.unit
    read = _sum_of_8 if column.sums == 8 else _sum_of_16  # noqa: PLR2004 - bytes
    windows = sorted({over for _, over in (*means, *totals)})
    wanted = [([n for n, o in means if o == over], [n for n, o in totals if o == over], over) for over in windows]

    def summed(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, held, places, _, sums, _ = entity.columns[place]
        content = entity.content
        last = read(content, sums, high)
        for mean_names, total_names, over in wanted:
            low = lows[over]
            found = last - read(content, sums, low)
            for name in mean_names:
                count = _held(content, flags, held, places, low, high)
                mean = float(found) / count if count else None
                into[name] = mean if unit is None or mean is None else mean * unit
            for name in total_names:
                into[name] = _bounded(found, name) if unit is None else float(found) * unit

    return summed


def _deviations(place: int, column: Packed, wanted: Sequence[tuple[str, int]]) -> Take:
    unit, width = column.spread_unit, column.spread
    read = _sum_of_8 if width == 8 else _sum_of_16  # noqa: PLR2004 - bytes

    def deviations(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, held, places, _, _, sums = entity.columns[place]
        content, squares = entity.content, sums + width * (len(entity.times) + 2)
        for name, over in wanted:
            low = lows[over]
            total = read(content, sums, high) - read(content, sums, low)
            square = read(content, squares, high) - read(content, squares, low)
            into[name] = deviation_of(_held(content, flags, held, places, low, high), total, square, unit)

    return deviations


def _extreme(place: int, column: Packed, wanted: tuple[str, int], pick: Callable[..., Any]) -> Take:
    """The values of a window are gone through, which takes about 20 ns for each."""
    code: Any = {"float": "d", "boolean": "B"}.get(column.kind, "q")
    size, spell = (1 if code == "B" else 8), _spelled(column)
    which, more = (0 if pick is min else 1), More.of(column)
    name, over = wanted

    def extreme(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, held, places, values, _, after = entity.columns[place]
        content, low = entity.content, lows[over]
        first, last = _numbers(content, flags, places, low or 1, high)
        found = list(memoryview(content)[values + size * first : values + size * last].cast(code))
        if not low and held:
            start = after + more.extremes_at(len(entity.times)) + size * which
            found += memoryview(content)[start : start + size].cast(code)
        into[name] = spell(pick(found)) if found else None

    return extreme


def _distinct(place: int, column: Packed, wanted: tuple[str, int]) -> Take:
    """The codes of a window are gone through, which takes about 40 ns for each."""
    more = More.of(column)
    name, over = wanted

    def distinct(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, held, places, _, _, after = entity.columns[place]
        content, low = entity.content, lows[over]
        first, last = _numbers(content, flags, places, low or 1, high)
        start = after + more.codes_at(len(entity.times))
        codes = set(memoryview(content)[start + 8 + 4 * first : start + 8 + 4 * last].cast("I"))
        if low:
            into[name] = len(codes)
        else:
            into[name] = _whole(content, start)[0] + sum(code >= held for code in codes)

    return distinct


def _held(content: bytes, flags: int, held: int, places: int, low: int, high: int) -> int:
    """How many values that are not missing stand between two positions, the folded ones among them."""
    first, last = _numbers(content, flags, places, low or 1, high)
    return last - first if low else last - first + held


def _numbers(content: bytes, flags: int, places: int, low: int, high: int) -> tuple[int, int]:
    """The numbers of the first value between two positions behind the folded rows, and of the one after the last."""
    if flags & PLACES:
        return _place(content, places + 4 * low)[0], _place(content, places + 4 * high)[0]
    folded = 1 if flags & FOLDED else 0
    return low - 1 + folded, high - 1 + folded


def _sum_of_8(content: bytes, start: int, position: int) -> int:
    return _whole(content, start + 8 * position)[0]  # type: ignore[no-any-return]


def _sum_of_16(content: bytes, start: int, position: int) -> int:
    low, high = _wide(content, start + 16 * position)
    return (high << 64) + low  # type: ignore[no-any-return]


def _bounded(found: int, name: str) -> int:
    if not -_LARGEST <= found < _LARGEST:
        raise HeadraceError("HR456", f"{name} is {found}")
    return found


def _latest(place: int, column: Packed, wanted: tuple[str, int]) -> Take:
    value = _value(column)
    name, over = wanted

    def latest(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, _, places, values, _, _ = entity.columns[place]
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


def _newest(place: int, column: Packed, wanted: tuple[str, int]) -> Take:
    value = _value(column)
    name, over = wanted

    def newest(entity: Entity, lows: Sequence[int], high: int, into: dict[str, object]) -> None:
        flags, _, places, values, _, _ = entity.columns[place]
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
    if kind == "whole":
        return lambda content, start, number: _whole(content, start + 8 * number)[0]
    spell = _spelled(column)
    return lambda content, start, number: spell(_whole(content, start + 8 * number)[0])


def _spelled(column: Packed) -> Callable[[Any], object]:
    """What a number of an entry stands for. Of two zeros, a float gives the one without a sign."""
    kind = column.kind
    if kind == "boolean":
        return bool
    if kind == "float":
        return lambda number: number + 0.0
    if kind == "date":
        return lambda number: date.fromordinal(_FIRST_DAY + number)
    return _datetime_of(column.zone) if kind == "datetime" else int


def _text_value(content: bytes, start: int, number: int) -> str:
    begin, end = _ends(content, start + 4 * number)
    return content[start + begin : start + end].decode()


def _datetime_of(zone: str | None) -> Callable[[int], object]:
    where = None if zone is None else ZoneInfo(zone)

    def moment(number: int) -> datetime:
        found = _EPOCH + timedelta(microseconds=number)
        return found.replace(tzinfo=None) if where is None else found.astimezone(where)

    return moment

"""Packing the rows of a view for the online store (see `packed` for the layout)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.features.aggregates import Count, Distinct, Latest, Mean, Newest, Smallest, Std, Total
from headrace.features.grouping import Prints
from headrace.features.join import in_order
from headrace.features.moments import VISIBLE_AT
from headrace.features.packed import (
    FOLDED,
    HEADER_KEY,
    PLACES,
    SPELLINGS,
    Header,
    Packed,
    PackedFeature,
    entity_kind_of,
    head_of,
    key_of,
    kind_of,
)
from headrace.features.packing_parts import Values, more_of, spelled
from headrace.features.windows import Layout, microseconds, present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from headrace.features.aggregates import Aggregate
    from headrace.features.join import ViewRows
    from headrace.ports.online import Entry

    Positions = npt.NDArray[np.int64]

GRACE = 3_600_000_000
"""Microseconds by which the horizon is earlier than it would have to be: clocks differ, and requests take time."""

_SUMMED = (Mean, Total)
_LAST = (Latest, Newest)
_READ = (*_LAST, Smallest)
"""What is read off the values. The largest one is the smallest one, the other way round."""


def pack(view: ViewRows, made: int | None = None) -> tuple[Header, Iterator[Entry]]:
    """The header and all entries of a generation, sorted by key, the header among them.

    The horizon is an hour before the newest row became visible, or before `made`, the moment at which the view was
    made, where that is earlier: rows may become visible later than they are known. Whoever asks about now asks about a
    moment after both.

    Raises:
        HeadraceError: HR474 for a type that cannot be packed, HR455 for a visible time that is none.
    """
    rows = in_order(view)
    names = {each.column for each in view.features.values() if each.column}
    kinds = {name: kind_of(rows.schema[name], f"{name!r} of {view.name}") for name in sorted(names)}
    entity = tuple((name, entity_kind_of(rows.schema[name], f"{name!r} of {view.name}")) for name in view.entity)
    layout = _layout(rows, entity)
    newest = int(rows.get_column(VISIBLE_AT).to_physical()[-1]) if rows.height else None
    horizon = None if newest is None else min(newest, newest if made is None else made) - GRACE
    columns = [_column(name, mode, kinds[name], view, layout) for name, mode in _wanted(view)]
    header = Header(view.name, entity, _features(view), tuple(columns), horizon, newest)
    return header, _entries(header, layout, view)


def _layout(rows: pl.DataFrame, entity: Sequence[tuple[str, str]]) -> Layout:
    """The rows entity by entity."""
    import polars as pl

    texts = [pl.col(name).cast(pl.String) for name, kind in entity if kind == "text"]
    return Layout(rows, Prints.of(rows.select(name for name, _ in entity).with_columns(texts)))


def _wanted(view: ViewRows) -> list[tuple[str, bool]]:
    """The columns to pack: by name, and whether for `Newest`, which does not skip what is missing."""
    pairs = [(str(each.column), isinstance(each, Newest)) for each in view.features.values() if each.column]
    return list(dict.fromkeys(pairs))


def _features(view: ViewRows) -> tuple[PackedFeature, ...]:
    places = {pair: place for place, pair in enumerate(_wanted(view))}
    return tuple(
        PackedFeature(
            name,
            each.word,
            None if isinstance(each, Count) else places[str(each.column), isinstance(each, Newest)],
            None if each.over is None else microseconds(each.over),
        )
        for name, each in view.features.items()
    )


def _of(view: ViewRows, name: str, newest: bool) -> list[Aggregate]:  # noqa: FBT001 - which of two packings it is
    """The features that a packed column serves."""
    return [each for each in view.features.values() if each.column == name and isinstance(each, Newest) == newest]


def _column(name: str, newest: bool, kind: tuple[str, str | None], view: ViewRows, layout: Layout) -> Packed:  # noqa: FBT001
    features = _of(view, name, newest)
    found = Packed(name, newest, *kind, any(isinstance(each, _READ) for each in features))
    if any(isinstance(each, _SUMMED) for each in features):
        sums = layout.sums(name)
        found = replace(found, sums=_width(sums.prefix), unit=sums.unit)
    if any(isinstance(each, Std) for each in features):
        spread = layout.spread(name)
        found = replace(found, spread=_width(spread.squares), spread_unit=spread.unit)
    extremes = any(isinstance(each, Smallest) and each.over is None for each in features)
    return replace(found, extremes=extremes, codes=any(isinstance(each, Distinct) for each in features))


def _width(prefix: pl.Series) -> int:
    import polars as pl

    return 16 if prefix.dtype == pl.Int128 else 8


def _entries(header: Header, layout: Layout, view: ViewRows) -> Iterator[Entry]:
    """The header, then one entry for each entity that has no null in it, by key."""
    import numpy as np

    yield HEADER_KEY, header.encoded()
    if not layout.rows.height:
        return
    bounds = _bounds(layout, header)
    columns = [_Column(each, layout, view, bounds) for each in header.columns]
    times = layout.times[:-1].astype("<i8")
    newest = times[np.maximum(bounds.kept - 1, 0)].data
    raw = times.tobytes()
    head = head_of(header.columns)
    starts, kept, ends = bounds.starts.data, bounds.kept.data, bounds.ends.data
    for key, group in _keys(header, layout):
        start, first, end = starts[group], kept[group], ends[group]
        summary = [number for column in columns for number in column.summary(group)]
        values = [part for column in columns for part in column.parts(group, start, first, end)]
        folded = first - start
        packed = head.pack(end - first, folded, newest[group] if folded else 0, *summary)
        yield key, b"".join((packed, raw[8 * first : 8 * end], *values))


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Where the rows of each entity begin, where those begin that are kept, and where they end."""

    starts: Positions
    kept: Positions
    ends: Positions


def _bounds(layout: Layout, header: Header) -> _Bounds:
    """The bounds of each entity; kept are the rows from the floor on."""
    import numpy as np

    floor = (header.horizon or 0) - max((each.over or 0 for each in header.features), default=0)
    starts = layout.starts[:-1]
    groups = np.arange(len(starts), dtype=np.int64)
    kept = layout.until(groups, np.full(len(starts), floor, dtype=np.int64))
    return _Bounds(starts, kept, np.append(starts[1:], len(layout.order)))


def _keys(header: Header, layout: Layout) -> list[tuple[bytes, int]]:
    """The key and the number of each entity, sorted by key."""
    first = layout.rows[layout.order[layout.starts[:-1]]].select(name for name, _ in header.entity)
    spellings = [SPELLINGS[kind] for _, kind in header.entity]
    found = []
    for group, values in enumerate(first.iter_rows()):
        if None not in values:
            found.append((key_of([spell(value) for spell, value in zip(spellings, values, strict=True)]), group))
    return sorted(found)


class _Column:
    """One column of the layout, from which the part of each entity is cut."""

    def __init__(self, packed: Packed, layout: Layout, view: ViewRows, bounds: _Bounds) -> None:
        import numpy as np

        values = layout.rows.get_column(packed.name).gather(layout.order)
        values = values if packed.newest else present(values)
        held: Positions = np.concatenate([[0], np.cumsum(values.is_not_null().to_numpy(), dtype=np.int64)])
        features = _of(view, packed.name, packed.newest)
        keeps = any(isinstance(each, _LAST) and each.over is None for each in features)
        folds = _folds(held, bounds, newest=packed.newest) if keeps else np.zeros(len(bounds.starts), dtype=np.bool_)
        kept, last = held[bounds.kept], held[bounds.ends]
        gaps = last - kept < bounds.ends - bounds.kept
        # Views, since lists of Python's numbers would take several times the memory.
        self._flags = (FOLDED * folds + PLACES * gaps).data
        self._first = (kept - folds).data
        self._last = last.data
        self._folded = (kept - held[bounds.starts]).data
        self._held = held
        self._values = _VALUES[packed.kind](values.drop_nulls()) if packed.values else None
        self._sums = spelled(layout.sums(packed.name).prefix) if packed.sums else b""
        self._width = packed.sums
        self._more = list(more_of(packed, layout, (bounds.starts, bounds.kept), self._values))

    def summary(self, group: int) -> tuple[int, int, int]:
        """What of an entity stands in the head of its entry."""
        return self._flags[group], self._last[group] - self._first[group], self._folded[group]

    def parts(self, group: int, start: int, kept: int, end: int) -> Iterator[bytes]:
        """What of an entity stands behind the head of its entry: places, values and sums."""
        if self._flags[group] & PLACES:
            yield bytes(4)
            yield (self._held[kept : end + 1] - self._first[group]).astype("<u4").tobytes()
        if self._values is not None:
            yield self._values.between(self._first[group], self._last[group])
        if self._width:
            sums, width = self._sums, self._width
            yield sums[width * start : width * (start + 1)]
            yield sums[width * kept : width * (end + 1)]
        for more in self._more:
            yield from more.of(group, (start, kept, end), (self._first[group], self._last[group]))


def _folds(held: Positions, bounds: _Bounds, *, newest: bool) -> npt.NDArray[np.bool_]:
    """For which entities a value of the folded rows is kept: of the newest one, or the newest that is not missing."""
    import numpy as np

    since = np.maximum(bounds.kept - 1, 0) if newest else bounds.starts
    return (bounds.kept > bounds.starts) & (held[bounds.kept] > held[since])


def _texts(values: pl.Series) -> Values:
    import numpy as np
    import polars as pl

    text = values.cast(pl.String)
    ends = np.concatenate([[0], np.cumsum(text.str.len_bytes().to_numpy(), dtype=np.int64)])
    return Values("".join(text.to_list()).encode(), 0, ends)


def _wholes(values: pl.Series) -> Values:
    import polars as pl

    return Values(values.cast(pl.Int64).to_numpy().astype("<i8").tobytes(), 8)


def _floats(values: pl.Series) -> Values:
    import polars as pl

    return Values(values.cast(pl.Float64).to_numpy().astype("<f8").tobytes(), 8)


def _booleans(values: pl.Series) -> Values:
    return Values(values.to_numpy().astype("u1").tobytes(), 1)


def _dates(values: pl.Series) -> Values:
    return _wholes(values.to_physical())


def _datetimes(values: pl.Series) -> Values:
    return _wholes(values.dt.cast_time_unit("us").to_physical())


_VALUES: dict[str, Callable[[Any], Values]] = {
    "text": _texts,
    "whole": _wholes,
    "float": _floats,
    "boolean": _booleans,
    "date": _dates,
    "datetime": _datetimes,
}

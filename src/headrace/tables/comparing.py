"""How the rows of two tables differ: by key, or as whole rows where there is no key.

Null equals null, NaN equals NaN and 0 equals -0. Large tables are split by a hash of their key (or of the whole row)
into parts on disk, read once each; then one part after the other is compared. So memory is bounded by the size of a
part, however many rows there are.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from headrace.ports.records import Json

CELLS: Final = 10_000_000
"""How many cells of one side are compared at a time, about."""
PARTS: Final = 512
"""Into how many parts a table is split at most: so many files are written at once."""
_SEED: Final = 2026
_PART: Final = "part"
_OLD, _NEW = "old", "new"


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """Columns that only one side has, and those whose type differs, each with its type."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    def to_json(self) -> Json:
        """Plain data."""
        retyped = {name: {"before": old, "after": new} for name, (old, new) in self.retyped.items()}
        return {"added": dict(self.added), "removed": dict(self.removed), "retyped": retyped}


@dataclass(frozen=True, slots=True)
class Changed:
    """A row that both sides have: its key, and the columns that differ, each with its value before and after."""

    key: Mapping[str, object]
    values: Mapping[str, tuple[object, object]]

    def to_json(self) -> Json:
        """Plain data."""
        values = {name: {"before": old, "after": new} for name, (old, new) in self.values.items()}
        return {"key": dict(self.key), "values": values}


@dataclass(frozen=True, slots=True)
class RowsDifference:
    """How two tables differ.

    `before` and `after` are their numbers of rows. `compared` are the columns that both have with the same type: only
    these are compared. `key` are those that tell which row is which; without any, whole rows are compared, as many
    times as each occurs, and none is changed. So are the `repeated` rows, those whose key is not theirs alone.
    `by_column` says in how many rows a column changed. The examples are the first ones in the order of the key.
    """

    before: int
    after: int
    added: int
    removed: int
    changed: int
    repeated: int
    key: tuple[str, ...]
    compared: tuple[str, ...]
    by_column: Mapping[str, int]
    schema: SchemaDifference
    examples_added: tuple[Mapping[str, object], ...]
    examples_removed: tuple[Mapping[str, object], ...]
    examples_changed: tuple[Changed, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.schema)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "before": self.before,
            "after": self.after,
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "repeated": self.repeated,
            "key": list(self.key),
            "compared": list(self.compared),
            "by_column": dict(self.by_column),
            "schema": self.schema.to_json(),
            "examples": {
                "added": [dict(each) for each in self.examples_added],
                "removed": [dict(each) for each in self.examples_removed],
                "changed": [each.to_json() for each in self.examples_changed],
            },
        }


def compare_rows(
    old: pl.LazyFrame, new: pl.LazyFrame, key: Sequence[str] = (), *, limit: int = 3, cells: int = CELLS
) -> RowsDifference:
    """How the rows of `new` differ from those of `old`.

    Args:
        old: The rows before.
        new: The rows after.
        key: The columns that tell which row is which. Where one of them is not in both with the same type, whole rows
            are compared.
        limit: How many examples are kept of rows added, removed and changed.
        cells: How many cells of one side are compared at a time, about.
    """
    before, after = old.collect_schema(), new.collect_schema()
    schema = _schema(before, after)
    compared = [name for name, dtype in before.items() if after.get(name) == dtype]
    known = tuple(key) if key and set(key) <= set(compared) else ()
    names = [*known, *(name for name in compared if name not in known)]
    rows = _height(old), _height(new)
    tally = _Tally(names, len(known), limit, before)
    if names:
        for one, two in _parts((old, new), tally, rows, cells):
            tally.add(one, two)
    else:  # nothing in common: all that was there is gone
        tally.removed, tally.added = rows
    return tally.told(rows, schema)


def _schema(before: pl.Schema, after: pl.Schema) -> SchemaDifference:
    return SchemaDifference(
        {name: str(dtype) for name, dtype in after.items() if name not in before},
        {name: str(dtype) for name, dtype in before.items() if name not in after},
        {n: (str(t), str(after[n])) for n, t in before.items() if n in after and after[n] != t},
    )


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def _parts(
    sides: tuple[pl.LazyFrame, pl.LazyFrame], tally: _Tally, rows: tuple[int, int], cells: int
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Both sides, part by part, with their columns called by number: rows that are the same are in the same part."""
    columns = [_canonical(pl.col(name), tally.schema[name]).alias(str(at)) for at, name in enumerate(tally.names)]
    renamed = [side.select(columns) for side in sides]
    parts = min(PARTS, -(-max(rows) * len(tally.names) // cells))
    hashed = tally.key or tally.flat
    if parts <= 1 or not hashed:
        old, new = (side.collect(engine="streaming") for side in renamed)
        yield old, new
        return
    part = (pl.struct(hashed).hash(seed=_SEED) % parts).alias(_PART)
    with tempfile.TemporaryDirectory(prefix="headrace-diff-") as scratch:
        folders = [Path(scratch) / _OLD, Path(scratch) / _NEW]
        for side, folder in zip(renamed, folders, strict=True):
            target = pl.PartitionBy(folder, key=_PART, include_key=False)
            side.with_columns(part).sink_parquet(target, mkdir=True, compression="lz4", engine="streaming")
        empty = renamed[0].collect_schema().to_frame()
        for number in range(parts):
            old, new = (_read(folder / f"{_PART}={number}", empty) for folder in folders)
            yield old, new


def _canonical(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A column with one NaN and one zero, in lists and structs too: joins on several columns compare their bits."""
    if dtype.is_float():
        return (column + 0.0).fill_nan(pl.lit(float("nan"), dtype))
    if isinstance(dtype, pl.List):
        return column.list.eval(_canonical(pl.element(), cast("pl.DataType", dtype.inner)))
    if isinstance(dtype, pl.Struct):
        fields = [
            _canonical(column.struct.field(each.name), cast("pl.DataType", each.dtype)).alias(each.name)
            for each in dtype.fields
        ]
        return pl.when(column.is_not_null()).then(pl.struct(fields))
    return column


def _read(folder: Path, empty: pl.DataFrame) -> pl.DataFrame:
    files = sorted(folder.glob("*.parquet"))
    return pl.read_parquet(files, hive_partitioning=False) if files else empty


@dataclass
class _Tally:
    """What was found so far. Columns are called by number, those of the key first: names can be anything."""

    names: Sequence[str]
    keys: int
    limit: int
    schema: pl.Schema
    added: int = 0
    removed: int = 0
    changed: int = 0
    repeated: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    examples: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def key(self) -> list[str]:
        return [str(at) for at in range(self.keys)]

    @property
    def columns(self) -> list[str]:
        return [str(at) for at in range(len(self.names))]

    @property
    def values(self) -> list[str]:
        return self.columns[self.keys :]

    @property
    def flat(self) -> list[str]:
        """The columns without lists and structs: those that rows are put in order by."""
        return [str(at) for at, name in enumerate(self.names) if not self.schema[name].is_nested()]

    def add(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        """Compare the rows of one part."""
        if not self.keys:
            self._add_whole(old, new)
            return
        again = pl.concat([_repeated(side, self.key) for side in (old, new)]).unique()
        if again.height:
            (old, old_again), (new, new_again) = (_without(side, again, self.key) for side in (old, new))
            self.repeated += old_again.height + new_again.height
            self._add_whole(old_again, new_again)
        self._add_keyed(old, new)

    def _add_whole(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        """Rows that one side has more often than the other are added or removed, so many times."""
        counts = [side.group_by(self.columns).agg(pl.len().cast(pl.Int64).alias(as_)) for side, as_ in _named(old, new)]
        both = counts[0].join(counts[1], on=self.columns, how="full", coalesce=True, nulls_equal=True)
        more = pl.col(_NEW).fill_null(0) - pl.col(_OLD).fill_null(0)
        both = both.with_columns(more.alias("more")).filter(pl.col("more") != 0)
        gone, come = both.filter(pl.col("more") < 0), both.filter(pl.col("more") > 0)
        self.removed -= int(gone["more"].sum())
        self.added += int(come["more"].sum())
        self._keep("removed", gone.select(self.columns))
        self._keep("added", come.select(self.columns))

    def _add_keyed(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        then, now = [f"{name}<" for name in self.values], [f"{name}>" for name in self.values]
        sides = [
            side.select(*self.key, *(pl.col(n).alias(to) for n, to in zip(self.values, names, strict=True)), mark)
            for side, names, mark in (
                (old, then, pl.lit(value=True).alias(_OLD)),
                (new, now, pl.lit(value=True).alias(_NEW)),
            )
        ]
        both = sides[0].join(sides[1], on=self.key, how="full", coalesce=True, nulls_equal=True)
        gone, come = both.filter(pl.col(_NEW).is_null()), both.filter(pl.col(_OLD).is_null())
        self.removed += gone.height
        self.added += come.height
        for kind, rows, names in (("removed", gone, then), ("added", come, now)):
            aliased = (pl.col(each).alias(to) for each, to in zip(names, self.values, strict=True))
            self._keep(kind, rows.select(*self.key, *aliased))
        if self.values:
            self._add_changed(both.filter(pl.col(_OLD) & pl.col(_NEW)))

    def _add_changed(self, both: pl.DataFrame) -> None:
        differ = {name: pl.col(f"{name}<").ne_missing(pl.col(f"{name}>")) for name in self.values}
        counts = both.select(each.sum().alias(name) for name, each in differ.items()).row(0, named=True)
        for name, count in counts.items():
            self.by_column[name] = self.by_column.get(name, 0) + int(count)
        if any(counts.values()):
            rows = both.filter(pl.any_horizontal(list(differ.values())))
            self.changed += rows.height
            marks = (each.alias(f"{name}!") for name, each in differ.items())
            self._keep("changed", rows.drop(_OLD, _NEW).with_columns(marks))

    def _keep(self, kind: str, rows: pl.DataFrame) -> None:
        """Keep the first examples, in the order of the key or of the whole rows."""
        kept = self.examples.get(kind)
        rows = rows if kept is None else pl.concat([kept, rows.select(kept.columns)])
        order = self.key if kind == "changed" else self.flat
        self.examples[kind] = (rows.sort(order) if order else rows).head(self.limit)

    def told(self, rows: tuple[int, int], schema: SchemaDifference) -> RowsDifference:
        """All that was found, under the names of the columns."""
        named = {name: self.by_column.get(str(at), 0) for at, name in enumerate(self.names)}
        often = sorted(((name, count) for name, count in named.items() if count), key=lambda each: -each[1])
        return RowsDifference(
            before=rows[0],
            after=rows[1],
            added=self.added,
            removed=self.removed,
            changed=self.changed,
            repeated=self.repeated,
            key=tuple(self.names[: self.keys]),
            compared=tuple(self.names),
            by_column=dict(often),
            schema=schema,
            examples_added=tuple(self._rows("added")),
            examples_removed=tuple(self._rows("removed")),
            examples_changed=tuple(map(self._changed, self._told("changed"))),
        )

    def _told(self, kind: str) -> Iterable[Mapping[str, object]]:
        found = self.examples.get(kind)
        return () if found is None else found.iter_rows(named=True)

    def _rows(self, kind: str) -> Iterator[Mapping[str, object]]:
        for row in self._told(kind):
            yield {name: row[str(at)] for at, name in enumerate(self.names)}

    def _changed(self, row: Mapping[str, object]) -> Changed:
        key = {self.names[at]: row[str(at)] for at in range(self.keys)}
        values = {self.names[int(at)]: (row[f"{at}<"], row[f"{at}>"]) for at in self.values if row[f"{at}!"]}
        return Changed(key, values)


def _named(old: pl.DataFrame, new: pl.DataFrame) -> list[tuple[pl.DataFrame, str]]:
    return [(old, _OLD), (new, _NEW)]


def _repeated(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The keys that several rows share."""
    return rows.group_by(key).agg(pl.len().alias("rows")).filter(pl.col("rows") > 1).select(key)


def _without(rows: pl.DataFrame, again: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows whose key is theirs alone, and the others."""
    alone = rows.join(again, on=key, how="anti", nulls_equal=True)
    return alone, rows.join(again, on=key, how="semi", nulls_equal=True)

"""A table or a query of a database as the origin of a source: a snapshot of all rows, or the new ones by a cursor."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, did_you_mean
from headrace.ports.durations import duration
from headrace.ports.reading import Selection
from headrace.ports.records import Batch
from headrace.sources.origin import Origin
from headrace.sources.staged import Staging, glimpsed, known, landed, next_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from headrace.ports.outside import Outlook, Outside
    from headrace.ports.reading import Mark, Reader, Reading
    from headrace.ports.work import Context
    from headrace.sources.files import ColumnType
    from headrace.sources.origin import Landing
    from headrace.sources.peeking import Peek

UNTIL: Final = "until"
"""The fact of a batch that holds the highest value of the cursor in it."""
_TRIES = 3
_WHOLE = frozenset({"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"})
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Database(Origin):
    """What to read of a database. See `database`."""

    name: str
    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    overlap: timedelta | int | None = None
    key: tuple[str, ...] = ()
    schema: Mapping[str, pl.DataType] = field(default_factory=dict)

    def settings(self) -> dict[str, object]:
        """What of this decides the rows. Where the database lies does not, nor does the overlap: it finds rows."""
        found: dict[str, object] = {"database": self.name}
        for name in ("table", "query", "cursor"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        if self.key:
            found["key"] = list(self.key)
        if self.schema:
            found["schema"] = {name: str(kind) for name, kind in self.schema.items()}
        return found

    @property
    def grows(self) -> bool:
        """Whether each batch adds rows to the others: with a cursor and a key, a row may take another one's place."""
        return not (self.cursor and self.key)

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """What the environment has, and what the database holds beyond it, which is put into the store.

        Raises:
            HeadraceError: HR311, HR330, HR340 to HR348 where the database or its rows are not as declared.
        """
        reader = outlook.outside.database(self.name)
        for tried in range(_TRIES):
            try:
                return self._growth(reader, outlook) if self.cursor else self._snapshot(reader, outlook)
            except HeadraceError as error:
                if error.code != "HR342" or tried == _TRIES - 1:
                    raise
        message = "the last try answers or raises"
        raise AssertionError(message)

    def land(self, batch: Batch, context: Context) -> Landing:
        """Its rows lie in the store already. Raises HR350 where they do not any more."""
        return landed(batch, context)

    def peek(self, batch: Batch, outside: Outside) -> Peek | None:
        """Its columns, for those who read a plan."""
        return glimpsed(batch, outside)

    def whole(self, frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        """All rows; with a cursor and a key the newest row of each key, by the cursor and then by the batch."""
        import polars as pl

        if self.grows:
            return pl.concat(frames)
        order = [self.cursor or "", "_batch"]
        numbered = [frame.with_columns(pl.lit(number).alias("_batch")) for number, frame in enumerate(frames)]
        newest = pl.concat(numbered).sort(order, maintain_order=True).unique(self.key, keep="last", maintain_order=True)
        return newest.drop("_batch")

    @property
    def _label(self) -> str:
        return f"{self.name}.{self.table or 'query'}"

    def _snapshot(self, reader: Reader, outlook: Outlook) -> tuple[Batch, ...]:
        """All rows, as one batch, known by their content. One that is left out leaves the one before in place."""
        with self._reading(reader, None) as reading, Staging(outlook.outside.stores.artefacts) as staging:
            for frame in reading.frames():
                staging.add(self._typed(reading, reader.where, frame))
            staging.begin(self._typed(reading, reader.where, _without_rows(reading)))
            batch = self._batch(f"{self._label}/{staging.digest.hexdigest()[:12]}", reader, staging, {})
        there = known(outlook)
        if batch.id in outlook.excluded and outlook.before is not None:
            return tuple(there[each] for each in sorted(there) if each not in outlook.excluded)
        return (there.get(batch.id, batch),)

    def _growth(self, reader: Reader, outlook: Outlook) -> tuple[Batch, ...]:
        """The batches that there are, and the rows from the watermark less the overlap on that are in none of them.

        Where there is no row at all, a batch without any tells the columns; it goes when rows come.
        """
        from headrace.sources.seen import Seen

        there = known(outlook)
        batches = {name: batch for name, batch in there.items() if UNTIL in batch.facts}
        marks = [_mark(batch.facts[UNTIL]) for batch in batches.values()]
        watermark = max(marks) if marks else None
        since = None if watermark is None else self._since(watermark)
        with self._reading(reader, since) as reading, Staging(outlook.outside.stores.artefacts) as staging:
            lacking = reading.without_cursor()
            if lacking:
                raise HeadraceError("HR345", f"{reader.where}: {lacking} rows without {self.cursor!r} in {self._label}")
            seen = Seen.of(batches.values(), self.cursor or "", since, outlook.outside.stores)
            highest = watermark
            for frame in reading.frames():
                new = seen.without(_from(since, self.cursor or "", self._typed(reading, reader.where, frame)))
                staging.add(new)
                highest = _higher(highest, new[self.cursor or ""].max())
            if batches and not staging.rows:
                return tuple(batches[each] for each in sorted(batches))
            staging.begin(self._typed(reading, reader.where, _without_rows(reading)))
            number = next_number(outlook, batches) if staging.rows else 0
            label = f"{self._label}/{number:06d}-{staging.digest.hexdigest()[:8]}"
            until = {} if highest is None else {UNTIL: _written(highest)}
            batch = self._batch(label, reader, staging, until)
        found = [*batches.values(), there.get(batch.id, batch)]
        return tuple(sorted(found, key=lambda each: each.id))

    def _batch(self, label: str, reader: Reader, staging: Staging, facts: Mapping[str, object]) -> Batch:
        """What was staged as a batch. Raises HR348 where the key does not tell rows apart."""
        if self.key:
            _refuse_alike(f"{reader.where}: {self._label}", staging.scan(), self.key)
        ref, size = staging.kept()
        return Batch(label, staging.digest.hexdigest(), size, ref.path, facts)

    @contextmanager
    def _reading(self, reader: Reader, since: Mark | None) -> Iterator[Reading]:
        declared = {name: str(kind) for name, kind in self.schema.items()}
        with reader.open(Selection(self.table, self.query, self.cursor, since, declared)) as reading:
            names = [column.name for column in reading.columns]
            wanted = [*self.key, *self.schema, *([self.cursor] if self.cursor else [])]
            for name in wanted:
                if name not in names:
                    what = f"{reader.where}: {self._label} has no column {name!r}"
                    raise HeadraceError("HR346", what, fix=f"Correct its name: {did_you_mean(name, names)}")
            self._refuse_cursor(reader, reading)
            yield reading

    def _refuse_cursor(self, reader: Reader, reading: Reading) -> None:
        """Raises HR346 where the cursor is of a type that has no order to rely on, or that the overlap does not fit."""
        for column in reading.columns:
            if column.name != self.cursor:
                continue
            kind = str(self.schema.get(column.name, column.kind))
            whole, time = kind in _WHOLE, kind == "Date" or kind.startswith("Datetime")
            fits = self.overlap is None or isinstance(self.overlap, int) == whole or kind == "Null"
            if not fits or not (whole or time or kind == "Null"):
                what = f"{reader.where}: the cursor {self.cursor!r} is of type {kind}"
                raise HeadraceError("HR346", what + ("" if fits else f", and the overlap is {self.overlap}"))

    def _since(self, watermark: Mark) -> Mark:
        if self.overlap is None:
            return watermark
        if isinstance(watermark, int):
            return watermark - self.overlap if isinstance(self.overlap, int) else watermark
        back = self.overlap if isinstance(self.overlap, timedelta) else timedelta()
        if isinstance(watermark, datetime):
            return watermark - back
        return watermark - timedelta(days=-(-back // _DAY))

    def _typed(self, reading: Reading, where: str, frame: pl.DataFrame) -> pl.DataFrame:
        """A piece in the types that it lands in."""
        from headrace.sources.cast import landed_column

        columns = []
        for column in reading.columns:
            kind = str(self.schema.get(column.name, column.kind))
            columns.append(landed_column(f"{where}, {self._label}", frame[column.name], kind, cursor=self.cursor))
        return frame.select(columns)


def database(  # noqa: PLR0913 - the keywords of a declaration are its vocabulary
    name: str,
    *,
    table: str | None = None,
    query: str | None = None,
    cursor: str | None = None,
    overlap: str | timedelta | int | None = None,
    key: str | Sequence[str] = (),
    schema: Mapping[str, ColumnType] | None = None,
) -> Database:
    """A table or a query of a database, such as ``database("crm", table="orders", cursor="updated_at")``.

    PostgreSQL, MariaDB and SQLite. Without a cursor, each observation reads all rows, and their content says whether
    anything is new. With one, the rows beyond the highest value that was landed are a further batch.

    Args:
        name: The database; its address stands in `headrace.toml`: ``[databases]``, ``crm = "postgresql://..."``.
        table: The table, ``"orders"`` or ``"shop.orders"``.
        query: A query instead of a table.
        cursor: A column that grows with every insert and update: a whole number, a date or a time.
        overlap: How far behind the highest value rows may still appear ("10m", or a number for a cursor of numbers).
            What was landed of that stretch is recognised, row by row.
        key: The columns that tell rows apart. With a cursor, the newest row of a key is the one that counts.
        schema: Types of columns that are not to be those of the database, such as ``{"amount": pl.Decimal(12, 2)}``.

    Raises:
        HeadraceError: HR347 for options that do not go together, HR318 for a type that cannot be landed.
    """
    from headrace.sources.files import declared_type

    keys = (key,) if isinstance(key, str) else tuple(key)
    if (table is None) == (query is None):
        raise HeadraceError("HR347", f"database({name!r}) names {'both' if table else 'neither'} a table and a query")
    if overlap is not None and cursor is None:
        raise HeadraceError("HR347", f"database({name!r}) has an overlap and no cursor")
    window = overlap if isinstance(overlap, int | None) else duration(overlap)
    if isinstance(window, bool) or (isinstance(window, int) and window < 0):
        raise HeadraceError("HR347", f"database({name!r}): overlap is {overlap!r}")
    types = {each: declared_type(each, kind, "database") for each, kind in (schema or {}).items()}
    return Database(name, table, query, cursor, window, keys, types)


def _without_rows(reading: Reading) -> pl.DataFrame:
    """The columns of a reading, as texts."""
    import polars as pl

    return pl.DataFrame(schema={column.name: pl.String for column in reading.columns})


def _refuse_alike(what: str, rows: pl.LazyFrame, key: Sequence[str]) -> None:
    import polars as pl

    keys = rows.select(key)
    wrong = keys.filter(pl.any_horizontal(pl.all().is_null()) | pl.struct(pl.all()).is_duplicated()).head(1).collect()
    if wrong.height:
        shown = ", ".join(f"{name} {value!r}" for name, value in wrong.row(0, named=True).items())
        raise HeadraceError("HR348", f"{what}: {shown} does not tell one row from all others")


def _from(since: Mark | None, cursor: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows from a value of the cursor on. A database may answer a little more than it was asked for."""
    import polars as pl

    return frame if since is None else frame.filter(pl.col(cursor) >= pl.lit(since))


def _higher(one: Mark | None, other: object) -> Mark | None:
    if not isinstance(other, int | date | datetime):
        return one
    return other if one is None else max(one, other)


def _written(mark: Mark) -> str | int:
    return mark if isinstance(mark, int) else mark.isoformat()


def _mark(written: str | int) -> Mark:
    if isinstance(written, int):
        return written
    return datetime.fromisoformat(written) if "T" in written else date.fromisoformat(written)

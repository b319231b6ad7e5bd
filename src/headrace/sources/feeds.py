"""A function as the origin of a source: given the last cursor, it yields pages of rows, each with the next cursor.

A page is kept under the cursor that it was asked for with, as a manifest of its own, before the next one is asked for.
So a kill between two pages loses none, no page is asked for twice, and two environments that stand at the same cursor
get the same page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.ports.records import Batch, Manifest
from headrace.sources.origin import Origin
from headrace.sources.staged import Staging, glimpsed, known, landed, next_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl

    from headrace.ports.outside import Outlook, Outside
    from headrace.ports.records import Json
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context
    from headrace.sources.origin import Landing
    from headrace.sources.peeking import Peek

    Rows: TypeAlias = pl.DataFrame | Sequence[Mapping[str, object]]
    Page: TypeAlias = tuple[Rows, Json]

CURSOR: Final = "cursor"
"""The fact of a batch that holds the cursor which the page came with."""
_PAGE: Final = "page"


@dataclass(frozen=True)
class Feed(Origin):
    """What is declared of a function that yields pages. See `Pipeline.feed`."""

    name: str
    function: Callable[[Any], Iterable[Page]]
    cursor: Json = None
    schema: Mapping[str, pl.DataType] = field(default_factory=dict)

    def settings(self) -> dict[str, object]:
        """Where the function begins, and the declared types."""
        schema = {name: str(kind) for name, kind in self.schema.items()}
        return {"cursor": _written(self.name, self.cursor), **({"schema": schema} if schema else {})}

    def functions(self) -> Sequence[Callable[..., object]]:
        """The function itself: other code fetches all pages again."""
        return (self.function,)

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """The pages that the environment has, and those after them, which are put into the store one by one.

        Raises:
            HeadraceError: HR351 where the function fails, HR352 for something else than pages, HR353 for a cursor that
                cannot be kept or that stands still while rows come in; HR311, HR316 and HR330 for rows.
        """
        pages = known(outlook)
        last = pages[max(pages, key=lambda each: each.rpartition("/")[2])] if pages else None
        cursor = self.cursor if last is None else last.facts[CURSOR]
        number = next_number(outlook, pages)
        met = {_written(self.name, cursor)}
        while (found := self._kept(cursor, outlook)) is not None:
            last, cursor = self._numbered(found, number), found.facts[CURSOR]
            pages[last.id] = last
            number += 1
            self._go_on(cursor, met)
        for rows, after in self._fetched(cursor):
            page = self._page(rows, cursor, after, outlook)
            if page is not None and after == cursor:
                if last is None or page.digest != last.digest:
                    what = f"{self.name} yields new rows, and the cursor stays at {_written(self.name, cursor)}"
                    raise HeadraceError("HR353", what)
            elif page is not None:
                last = self._numbered(page, number)
                pages[last.id] = last
                number += 1
                cursor = after
                self._go_on(cursor, met)
        return tuple(sorted(pages.values(), key=lambda each: each.id))

    def land(self, batch: Batch, context: Context) -> Landing:
        """Its rows lie in the store already. Raises HR350 where they do not any more."""
        return landed(batch, context)

    def peek(self, batch: Batch, outside: Outside) -> Peek | None:
        """Its columns, for those who read a plan."""
        return glimpsed(batch, outside)

    def _go_on(self, cursor: Json, met: set[str]) -> None:
        """Raises HR353 for a cursor that was met before: the pages would never end."""
        written = _written(self.name, cursor)
        if written in met:
            raise HeadraceError("HR353", f"{self.name}: the cursor goes back to {written}")
        met.add(written)

    def _key(self, cursor: Json, outlook: Outlook) -> str:
        return digest_of(["page of a feed", self.name, outlook.fingerprint, _written(self.name, cursor)])

    def _kept(self, cursor: Json, outlook: Outlook) -> Batch | None:
        """The page that was fetched with this cursor, if it was, and is still there."""
        stores: Stores = outlook.outside.stores
        manifest = stores.manifests.get(self._key(cursor, outlook))
        if manifest is None:
            return None
        ref, facts = manifest.outputs[_PAGE], manifest.facts
        if not stores.artefacts.size(ref.path):
            return None
        return Batch("", facts["digest"], facts["bytes"], ref.path, {CURSOR: facts[CURSOR]})

    def _fetched(self, cursor: Json) -> Iterator[Page]:
        """What the function yields; its own errors get a code."""
        try:
            pages = iter(self.function(cursor))
        except HeadraceError:
            raise
        except Exception as error:
            raise self._failed(cursor, error) from error
        while True:
            try:
                page = next(pages)
            except StopIteration:
                return
            except HeadraceError:
                raise
            except Exception as error:
                raise self._failed(cursor, error) from error
            if not isinstance(page, tuple) or len(page) != 2:  # noqa: PLR2004 - rows and a cursor
                raise HeadraceError("HR352", f"{self.name} yields {page!r:.60}")
            rows, cursor = page
            _written(self.name, cursor)
            yield rows, cursor

    def _failed(self, cursor: Json, error: Exception) -> HeadraceError:
        what = f"{self.name}, after the cursor {_written(self.name, cursor)}: {type(error).__name__}: {error}"
        return HeadraceError("HR351", what)

    def _page(self, rows: Rows, asked: Json, cursor: Json, outlook: Outlook) -> Batch | None:
        """A page, put into the store under the cursor that it was asked for with; None for one without rows."""
        frame = self._frame(rows)
        if frame.is_empty():
            return None
        stores: Stores = outlook.outside.stores
        with Staging(stores.artefacts) as staging:
            staging.add(frame)
            ref, size = staging.kept()
            digest = staging.digest.hexdigest()
        if cursor != asked:
            facts = {CURSOR: cursor, "digest": digest, "bytes": size}
            stores.manifests.put(Manifest(self._key(asked, outlook), {_PAGE: ref}, facts))
        return Batch("", digest, size, ref.path, {CURSOR: cursor})

    def _numbered(self, page: Batch, number: int) -> Batch:
        return Batch(f"{self.name}/{number:06d}-{page.digest[:8]}", page.digest, page.size, page.location, page.facts)

    def _frame(self, rows: Rows) -> pl.DataFrame:
        import polars as pl

        from headrace.sources.cast import landed_column
        from headrace.sources.types import landable

        if isinstance(rows, pl.DataFrame):
            declared = [name for name in self.schema if name in rows.columns]
            typed = [landed_column(self.name, rows[name], str(self.schema[name])) for name in declared]
            return landable(self.name, rows.with_columns(typed), declared)
        if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
            raise HeadraceError("HR352", f"{self.name} yields {rows!r:.60} for rows")
        return self._of_records(list(rows))

    def _of_records(self, records: Sequence[Mapping[str, object]]) -> pl.DataFrame:
        from headrace.sources.cells import frame_of
        from headrace.sources.types import landable

        columns: dict[str, list[object]] = {}
        for row, record in enumerate(records):
            if not isinstance(record, Mapping):
                raise HeadraceError("HR352", f"{self.name} yields {record!r:.60} for a row")
            for name, value in record.items():
                columns.setdefault(name, [None] * row).append(_cell(value))
            for cells in columns.values():
                cells.extend([None] * (row + 1 - len(cells)))
        frame = frame_of(self.name, columns, self.schema, lambda row: f"row {row + 1} of a page")
        return landable(self.name, frame, self.schema)


def _cell(value: object) -> object:
    """A value of Python as the cells of other formats are: numbers as they are written."""
    from headrace.sources.cells import Fraction, Whole

    if isinstance(value, bool) or value is None or isinstance(value, str | datetime):
        return value
    if isinstance(value, int):
        return Whole(value)
    return Fraction(repr(value)) if isinstance(value, float) else value


def _written(name: str, cursor: Json) -> str:
    """A cursor as text. Raises HR353 for one that is more than JSON."""
    try:
        written = json.dumps(cursor, sort_keys=True, allow_nan=False)
        same = json.loads(written) == cursor
    except (TypeError, ValueError) as error:
        raise HeadraceError("HR353", f"{name}: the cursor {cursor!r:.60} cannot be kept") from error
    if not same:
        raise HeadraceError("HR353", f"{name}: the cursor {cursor!r:.60} does not come back the same")
    return written

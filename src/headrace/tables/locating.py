"""Where many rows of a table came from at once: the places in its first input of the rows that it made them of.

Most functions make one row of each row that they are given, in order: then three runs tell of all rows. Otherwise the
input is halved as often as is needed to tell rows apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.errors import HeadraceError
from headrace.tables.conform import conformed
from headrace.tables.making import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.tables.table import Table

SEARCHED: Final = 1_000
"""How many rows are searched for by halving; of more than these nothing is told."""
_AT, _GROUP, _ORDER = "_headrace_at", "_headrace_group", "_headrace_order"


def located(table: Table, rows: pl.DataFrame, inputs: Sequence[pl.DataFrame]) -> list[int | None]:
    """For each row, the number of the row of the first input that it was made of.

    None where it was made of several of them, or where that is not found. Of rows that are alike the later ones count,
    since the first of those that share a key is not set aside.
    """
    if rows.is_empty() or inputs[0].is_empty():
        return [None] * rows.height
    search = _Search(table, rows, inputs)
    found = search.in_step()
    if found is None:
        found = search.halved(inputs[0].with_row_index(_AT), search.wanted)
    return [_place(found, group) for group in search.group_of]


def _place(found: dict[int, list[int]], group: int) -> int | None:
    places = found.get(group)
    return places.pop(0) if places else None


@dataclass(slots=True)
class _Search:
    """A search for rows; alike ones are a group, by its number."""

    table: Table
    rows: pl.DataFrame
    inputs: Sequence[pl.DataFrame]

    @property
    def _groups(self) -> pl.DataFrame:
        """The different rows, each with the number of its group."""
        return _plain(self.rows).unique(maintain_order=True).with_row_index(_GROUP)

    @property
    def group_of(self) -> list[int]:
        """The group of each row."""
        names = self.rows.columns
        of = _plain(self.rows).join(self._groups, on=names, how="left", nulls_equal=True, maintain_order="left")
        return of[_GROUP].to_list()

    @property
    def wanted(self) -> dict[int, int]:
        """How many rows of each group are looked for."""
        return _counts(self.group_of[:SEARCHED])

    def in_step(self) -> dict[int, list[int]] | None:
        """The places by group where the function makes one row of each row; None where it does not."""
        made = self._made(self.inputs[0])
        if made is None or made.height != self.inputs[0].height:
            return None
        found: dict[int, list[int]] = {}
        for group, place in self._met(made.with_row_index(_ORDER)).select(_GROUP, _ORDER).iter_rows():
            found.setdefault(group, []).append(place)
        wanted = _counts(self.group_of)
        if any(len(found.get(group, ())) < count for group, count in wanted.items()):
            return None
        found = {group: sorted(found[group])[-count:] for group, count in wanted.items()}
        pairs = sorted((place, group) for group, places in found.items() for place in places)
        return found if self._holds(pairs) and self._holds(pairs[::-1]) else None

    def _holds(self, pairs: Sequence[tuple[int, int]]) -> bool:
        """Whether the function makes just these groups of just these places, in this order: asked both ways round."""
        made = self._made(self.inputs[0][[place for place, _ in pairs]])
        groups = self._groups.drop(_GROUP)[[group for _, group in pairs]]
        return made is not None and self._alike(made).equals(groups)

    def halved(self, part: pl.DataFrame, wanted: dict[int, int]) -> dict[int, list[int]]:
        """The places in a part of the input, by group; `wanted` says how many are to be in it."""
        if not wanted:
            return {}
        if part.height == 1:
            there = self._count(part)
            return {group: [part[_AT].item()] * min(count, there.get(group, 0)) for group, count in wanted.items()}
        half = part.height // 2
        there = self._count(part[half:])
        later = {group: min(count, there[group]) for group, count in wanted.items() if group in there}
        before = {group: count - later.get(group, 0) for group, count in wanted.items() if count > later.get(group, 0)}
        found = self.halved(part[:half], before)
        for group, places in self.halved(part[half:], later).items():
            found.setdefault(group, []).extend(places)
        return found

    def _count(self, part: pl.DataFrame) -> dict[int, int]:
        """How many rows of each group the function makes of a part."""
        made = self._made(part.drop(_AT))
        return {} if made is None else _counts(self._met(made)[_GROUP].to_list())

    def _met(self, made: pl.DataFrame) -> pl.DataFrame:
        """The made rows that are looked for, with their groups."""
        names = self.rows.columns
        more = [name for name in made.columns if name == _ORDER]
        return self._alike(made, more).join(self._groups, on=names, how="inner", nulls_equal=True)

    def _alike(self, made: pl.DataFrame, more: Sequence[str] = ()) -> pl.DataFrame:
        """Made rows as those that are looked for: the same columns, the same types."""
        schema = self.rows.schema
        return _plain(made.select(pl.col(name).cast(schema[name], strict=False) for name in schema)).with_columns(
            made.get_column(name) for name in more
        )

    def _made(self, part: pl.DataFrame) -> pl.DataFrame | None:
        """What the function makes of a part of the first input; None where it fails, or makes other columns."""
        table = self.table
        recipe = Recipe(table.name, table.function, table._frames, None)  # noqa: SLF001 - of this stage
        try:
            made = recipe.rows([part.lazy(), *(each.lazy() for each in self.inputs[1:])]).clean
            if table.contract is not None:
                made = conformed(made, table.contract, table.name)
        except HeadraceError:
            return None
        return made if set(self.rows.columns) <= set(made.columns) else None


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that can be compared by their values: no number is no value."""
    return rows.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def _counts(groups: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for group in groups:
        found[group] = found.get(group, 0) + 1
    return found

"""Checks of rows before they are scored: names, types, what is missing. A row that passes fails in no model."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.endpoints.tables import Table
from headrace.errors import HeadraceError, did_you_mean, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headrace.endpoints.service import Field

    Row = Mapping[str, object]

_MANY = 16
"""Rows from which on they are checked column by column."""
_FLOAT = {float}
_FORMS = 1_000
"""Forms of rows that are remembered."""
_FIX = "Send the entity; it may be null in a row that holds every feature that would be looked up."
_WORDS = {"number": "a finite number", "boolean": "true or false", "text": "text"}


class Checker:
    """Checks rows against the fields of one version."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fits: dict[str, Callable[[object], bool]] = {each.name: _FITS[each.kind] for each in fields}
        self._kinds = {each.name: each.kind for each in fields}
        self._required = [(each.name, each.entity) for each in fields if each.required]
        self._entities = {each.name for each in fields if each.entity}
        self._known = [(each.name, frozenset(each.categories)) for each in fields if each.categories is not None]
        closed = {each.name for each in fields if each.closed}
        self._closed = [(name, known) for name, known in self._known if name in closed]
        self._forms: dict[tuple[object, ...], tuple[list[str], list[str]]] = {}
        self._floats: tuple[str, ...] = ()
        self._looked_up = frozenset(each.name for each in fields if each.view is not None)

    def unknown(self, rows: Sequence[Row]) -> Sequence[tuple[int, str, str]]:
        """The texts that the model has not seen in training, which count as missing: row, field, text."""
        return () if type(rows) is Table else _outside(self._known, rows)

    def check(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Raise for the first row that does not fit; answers the rows, many of floats alone as a `Table`.

        Raises:
            HeadraceError: HR908 for an unknown field, HR909 for a missing one, HR918 for an entity that is missing, or
                null where features are to be looked up, HR910 for a value of another type, NaN and infinity among them,
                HR932 for a text that the model has not seen, where the endpoint refuses those.
        """
        if type(rows) is Table:
            self._check_row(0, rows[0])  # what fits one of them fits all
            return rows
        if len(rows) >= _MANY:
            table = self._table(rows)
            if table is not None:
                return table
        if len(rows) < _MANY or not self._fit(rows):
            self._check_each(rows)
        self._refuse_outside(rows)
        return rows

    def check_one(self, n: int, row: Row) -> None:
        """Raise as `check` does for one row, which is row `n` of its request."""
        self._check_row(n, row)
        self._refuse_outside([row], n)

    def _refuse_outside(self, rows: Sequence[Row], first: int = 0) -> None:
        """Refuse texts that the model has not seen, where the endpoint does. `first`: the number of the first row."""
        for n, name, value in _outside(self._closed, rows) if self._closed else ():
            known = sorted(dict(self._closed)[name])
            what = f"row {first + n}: {name!r} is {value!r:.60}; {did_you_mean(value[:60], known)}"
            raise HeadraceError("HR932", what)

    def _check_each(self, rows: Sequence[Row]) -> None:
        """Check names and types row by row."""
        for n, row in enumerate(rows):
            if tuple(row) == self._floats and _are_floats(row.values()):  # nearly every request
                continue
            form = (*row, *map(type, row.values()))
            known = self._forms.get(form)
            if known is None:
                self._check_row(n, row)
                self._remember(form, row)
            elif not _are_finite(row, *known):
                self._check_row(n, row)

    def _table(self, rows: Sequence[Row]) -> Table | None:
        """Rows of one form that hold floats alone, if they fit."""
        names, cells = _cells(rows)
        if not cells or set(map(type, chain.from_iterable(cells))) != {float}:
            return None
        matrix = np.fromiter(chain.from_iterable(cells), np.float64, len(rows) * len(names))
        if not np.isfinite(matrix).all():
            return None
        self._check_row(0, rows[0])  # what fits one of them fits all
        return Table(names, matrix.reshape(len(rows), -1), rows)

    def _fit(self, rows: Sequence[Row]) -> bool:
        """Whether rows of one form fit, told column by column: three times as fast. False may only mean a doubt."""
        _, cells = _cells(rows)
        if not cells or not all(map(_is_column, zip(*cells, strict=True))):
            return False
        self._check_row(0, rows[0])  # what fits one of them fits all
        return True

    def _remember(self, form: tuple[object, ...], row: Row) -> None:
        """Note a form of rows (names and types) that fits: of the next one, only floats and integers are looked at."""
        if len(self._forms) >= _FORMS:
            self._forms.clear()
        floats = [name for name, value in row.items() if type(value) is float]
        if len(floats) == len(row):
            self._floats = tuple(row)
        self._forms[form] = floats, [name for name, value in row.items() if type(value) is int]

    def _check_row(self, n: int, row: Row) -> None:
        for name, value in row.items():
            fits = self._fits.get(name)
            if fits is None:
                raise HeadraceError("HR908", f"row {n}: {name!r:.100}", fix=suggestion(name, self._fits))
            if value is None:
                if name in self._entities and not row.keys() >= self._looked_up:
                    raise HeadraceError("HR918", f"row {n}: {name!r} is null", fix=_FIX)
            elif not fits(value):
                what = f"row {n}: {name!r} is {value!r:.60}, not {_WORDS[self._kinds[name]]}"
                raise HeadraceError("HR910", what)
        for name, entity in self._required:
            if name not in row:
                if entity:
                    raise HeadraceError("HR918", f"row {n} lacks {name!r}", fix=_FIX)
                raise HeadraceError("HR909", f"row {n} lacks {name!r}")


def _cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[Any]]:
    """The names of rows that have the same ones in the same order, and the values of each; no values for others."""
    names = tuple(rows[0])
    same = all(map(names.__eq__, map(tuple, rows)))
    return names, [row.values() for row in rows] if same else []


def _outside(known: Sequence[tuple[str, frozenset[str]]], rows: Sequence[Row]) -> list[tuple[int, str, str]]:
    """The texts that are none of the known ones: row, field, text."""
    return [
        (n, name, str(value))
        for name, categories in known
        for n, row in enumerate(rows)
        if (value := row.get(name)) is not None and value not in categories
    ]


def _is_column(values: Sequence[Any]) -> bool:
    """Whether values are of one type, and numbers such as a record may hold. Very large floats may look as if not."""
    types = set(map(type, values))
    if types == {float}:
        return math.isfinite(sum(values))
    return len(types) == 1 and (types != {int} or (_is_number(min(values)) and _is_number(max(values))))


def _are_floats(values: Collection[Any]) -> bool:
    """Whether all are finite floats, by their sum. Very large ones may look as if not."""
    return set(map(type, values)) == _FLOAT and math.isfinite(sum(values))


def _are_finite(row: Row, floats: Sequence[str], integers: Sequence[str]) -> bool:
    """Whether floats, by their sum, and integers are what a record may hold. Very large floats may look as if not."""
    total = sum([row[name] for name in floats])  # type: ignore[misc]  # they are floats
    return math.isfinite(total) and (not integers or all(_is_number(row[name]) for name in integers))


def _is_number(value: object) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and -(2**63) <= value < 2**64


def _is_boolean(value: object) -> bool:
    return value is True or value is False


def _is_text(value: object) -> bool:
    return type(value) is str


_FITS: dict[str, Callable[[object], bool]] = {"number": _is_number, "boolean": _is_boolean, "text": _is_text}

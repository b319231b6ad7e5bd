"""Checks of rows before they are scored: names, types, what is missing. A row that passes fails in no model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.service import Field

    Row = Mapping[str, object]

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
        self._looked_up = frozenset(each.name for each in fields if each.view is not None)

    def unknown(self, rows: Sequence[Row]) -> Sequence[tuple[int, str, str]]:
        """The texts that the model has not seen in training, which count as missing: row, field, text."""
        return [
            (n, name, str(value))
            for name, known in self._known
            for n, row in enumerate(rows)
            if (value := row.get(name)) is not None and value not in known
        ]

    def check(self, rows: Sequence[Row]) -> None:
        """Raise for the first row that does not fit.

        Raises:
            HeadraceError: HR908 for an unknown field, HR909 for a missing one, HR918 for an entity that is missing, or
                null where features are to be looked up, HR910 for a value of another type, NaN and infinity among them.
        """
        for n, row in enumerate(rows):
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


def _is_number(value: object) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and -(2**63) <= value < 2**64


def _is_boolean(value: object) -> bool:
    return value is True or value is False


def _is_text(value: object) -> bool:
    return type(value) is str


_FITS: dict[str, Callable[[object], bool]] = {"number": _is_number, "boolean": _is_boolean, "text": _is_text}

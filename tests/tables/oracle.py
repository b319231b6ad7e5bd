"""What a contract means, said row by row in plain Python: slow, and easy to believe."""

from __future__ import annotations

import math
import operator
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.tables.contract import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.tables.contract import Column, Contract

Row = dict[str, Any]
_COMPARE = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}


def expected(rows: Sequence[Row], contract: type[Contract]) -> tuple[list[Row], list[tuple[Row, list[str]]]]:
    """The clean rows, and the others, each with the columns of the rules that it breaks, in order."""
    broken = [(row, [name for column in contract.__columns__ for name in _broken(column, row)]) for row in rows]
    aside = [(row, names) for row, names in broken if names]
    left = [_without_nan(row, contract) for row, names in broken if not names]
    single = [(each.name,) for each in contract.__columns__ if each.rules.unique]
    for names in [keys(contract), *single]:
        left, doubles = _first(left, names)
        aside += [(row, [", ".join(names)]) for row in doubles]
    return left, aside


def _broken(column: Column, row: Row) -> list[str]:
    value, rules = row[column.name], column.rules
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return [] if column.nullable else [column.name]
    failed = [
        getattr(rules, word) is not None and not compare(value, getattr(rules, word))
        for word, compare in _COMPARE.items()
    ]
    failed.append(rules.isin is not None and value not in rules.isin)
    failed.append(rules.matches is not None and re.fullmatch(rules.matches, value) is None)
    failed.append(rules.min_length is not None and len(value) < rules.min_length)
    failed.append(rules.max_length is not None and len(value) > rules.max_length)
    return [column.name] * sum(failed)


def _without_nan(row: Row, contract: type[Contract]) -> Row:
    return {each.name: None if row[each.name] != row[each.name] else row[each.name] for each in contract.__columns__}


def _first(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """The rows that are first of their values, and the later ones. Nulls are never the same."""
    seen: set[tuple[object, ...]] = set()
    first: list[Row] = []
    later: list[Row] = []
    for row in rows:
        values = tuple(row[name] for name in names)
        (later if values in seen else first).append(row)
        if names and None not in values:
            seen.add(values)
    return first, later


def comparable(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Rows without their order, NaN equal to NaN."""
    return sorted(tuple(f"{name}={_spelled(value)}" for name, value in sorted(row.items())) for row in rows)


def _spelled(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)

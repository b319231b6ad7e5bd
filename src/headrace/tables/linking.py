"""Landed rows that a table has as they are: the files that hold them become files of the table, nothing is written.

That is so where the function returns what it was given, and no row of a file breaks the contract. Both are found out
before a file is taken: the first by the plan of the query, the second by what the file says of its columns, and by
looking at those columns of which it does not say enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.tables.frames import is_failure
from headrace.tables.proofs import proven, spans
from headrace.tables.quarantine import checks
from headrace.tables.rules import WARN
from headrace.tables.statements import statements

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.tables.making import Recipe


def is_given(result: pl.LazyFrame, given: pl.LazyFrame) -> bool:
    """Whether a query comes to the rows and columns of another one, which is a scan of files and nothing else.

    Polars prints what a scan leaves out, and every step that it does not take away as one that changes nothing.
    """
    if result is given:
        return True
    try:
        same = list(result.collect_schema().items()) == list(given.collect_schema().items())
        return same and result.explain() == given.explain()
    except BaseException as error:
        if not is_failure(error):
            raise
        return False  # it is asked for its rows then, and what it raises is told


def scan(path: Path) -> pl.LazyFrame:
    """The rows of a landed file."""
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def warned(path: Path, recipe: Recipe) -> dict[str, int] | None:
    """How many rows of a file break a rule that only warns; None where a row would not stay as it is."""
    contract = recipe.contract
    rows = scan(path)
    empty = rows.head(0).collect()
    if contract is None:
        return {}
    if list(recipe.checked(empty).clean.schema.items()) != list(empty.schema.items()):
        return None
    known = spans(path)
    asked = [
        check
        for said, check in zip(statements(contract), checks(contract, recipe.known), strict=True)
        if said.references is not None or not proven(said.says, known)
    ]
    floats = [name for name, kind in empty.schema.items() if kind.is_float()]
    sums = [
        *(check.breach.sum().alias(str(number)) for number, check in enumerate(asked)),
        *(pl.col(name).is_nan().sum().alias(f"nan {name}") for name in floats),
    ]
    if not sums:
        return {}
    found = rows.select(sums).collect(engine="streaming").row(0)
    broken = [(check, count) for check, count in zip(asked, found, strict=False) if count]
    if any(found[len(asked) :]) or any(check.answer(recipe.answer) != WARN for check, _ in broken):
        return None
    return {check.text: int(count) for check, count in broken}

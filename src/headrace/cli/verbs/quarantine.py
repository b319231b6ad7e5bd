"""`quarantine`: the rows that broke a contract, and those that were mended."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, counted
from headrace.cli.session import Session
from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from headrace.project.mending import Mended
    from headrace.project.opened import Environment

_RULE, _BATCH = "_rule", "_batch"


class Export(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Which:
    """Which of the rows: those that break a rule, those of a batch."""

    rule: Annotated[
        str | None, typer.Option("--rule", metavar="RULE", help='Only rows that break this rule, such as "amount > 0".')
    ] = None
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="BATCH", help="Only rows of this batch, such as a file.")
    ] = None


def quarantine(  # noqa: PLR0913, PLR0917 - one parameter for each option
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A table with a contract.")],
    environment: Annotated[
        str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many rows, at most.")] = 10,
    form: Annotated[Export, typer.Option("--format", help="How to print the rows.")] = Export.TABLE,
    which: Which = Which(),
    mend: Annotated[
        Path | None, typer.Option("--mend", metavar="FILE", help="Put the corrected rows of this file in their place.")
    ] = None,
) -> None:
    """The rows that broke a contract: how many by rule, then the first.

    With --format csv, json or parquet, all of them, without the counts. Correct the values in such a file, leave the
    column `_id` as it is, and give the file back with --mend: the next apply checks the corrected rows and puts each in
    the place of the one that it mends, once. They stand in the folder `mended` of the project from then on.

    Example: headrace quarantine departures --format csv > broken.csv
    """
    from headrace.project.opened import Environment

    opened = Environment(cli.workspace, cli.environment(environment))
    if mend is not None:
        from headrace.project.mending import mend as land

        _tell_mended(cli, node, land(cli.workspace, opened, node, mend), opened.name)
    else:
        _list(cli, opened, node, limit, form, which)


def _tell_mended(cli: Session, node: str, mended: Mended, environment: str) -> None:
    if cli.out.as_json:
        cli.out.json({"node": node, **mended.to_json()})
        return
    if not mended.new:
        cli.out.data(f"The same rows were mended before: {mended.batch}")
        return
    told = [f"{counted(mended.rows, 'row')} mended: {mended.batch}"]
    if mended.broken:
        told.append(f"  {counted(mended.broken, 'row')} of them with a rule that is broken still")
    if mended.unchanged:
        told.append(f"  {counted(mended.unchanged, 'row')} of the file as before, left out")
    cli.out.data(*told)
    cli.out.say(f"They take their places with the next: headrace apply {environment}")


def _list(cli: Session, opened: Environment, node: str, limit: int, form: Export, which: Which) -> None:
    from headrace.cli.frames import csv, frame_json
    from headrace.project.mending import set_aside

    every = set_aside(opened, node)
    rules = [each["rule"] for each in opened.version(node).manifest.facts.get("results", ()) if "broken" in each]
    rows = _reasons_first(_chosen(every, which, rules))

    def placed(some: pl.DataFrame) -> pl.DataFrame:
        return _placed(cli, opened, node, some)

    if form is not Export.TABLE:
        rows = placed(rows)
    if form is Export.CSV:
        cli.out.text(csv(rows))
    elif form is Export.PARQUET:
        content = io.BytesIO()
        rows.write_parquet(content)
        sys.stdout.buffer.write(content.getvalue())
    elif form is Export.JSON:
        cli.out.json(frame_json(rows))
    elif cli.out.as_json:
        counts = [{"rule": rule, "rows": count} for rule, count in _by_rule(rows, rules)]
        cli.out.json(
            {"node": node, "rows": rows.height, "rules": counts, "first": frame_json(placed(rows.head(limit)))}
        )
    else:
        _tell(cli, node, rows, rules, placed(rows.head(limit)))


def _placed(cli: Session, opened: Environment, node: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with file and line, where these can be found."""
    import polars as pl

    from headrace.project.row_places import PLACE, Places
    from headrace.tables.table import Table

    table = cli.workspace.graph[node]
    assert isinstance(table, Table)  # noqa: S101 - it has rows that were set aside
    values = rows.select(name for name in rows.columns if not name.startswith("_"))
    found = Places(cli.workspace).of(table, opened.version(node), values, rows.get_column(_BATCH).to_list())
    return rows.insert_column(rows.get_column_index(_BATCH) + 1, pl.Series(PLACE, found, dtype=pl.String))


def _chosen(rows: pl.DataFrame, which: Which, rules: list[str]) -> pl.DataFrame:
    """The rows that are asked for. Raises HR437 for a rule or a batch that no row has."""
    import polars as pl

    from headrace.tables.breaches import told

    if which.rule is not None:
        rows = rows.filter(told(which.rule))
        if rows.is_empty() and which.rule not in rules:
            raise HeadraceError("HR437", f"the contract has no rule {which.rule!r}", fix=suggestion(which.rule, rules))
    if which.batch is not None:
        known = rows.get_column(_BATCH).drop_nulls().unique().to_list()
        rows = rows.filter(pl.col(_BATCH) == which.batch)
        if rows.is_empty():
            fix = suggestion(which.batch, known)
            raise HeadraceError("HR437", f"no row of the batch {which.batch!r} is set aside", fix=fix)
    return rows


def _tell(cli: Session, node: str, rows: pl.DataFrame, rules: list[str], first: pl.DataFrame) -> None:
    from headrace.cli.frames import frame_lines

    if rows.is_empty():
        cli.out.data(f"No row of {node} broke its contract.")
        return
    counts = columns([(f"{count:,}", rule) for rule, count in _by_rule(rows, rules)], right=[0])
    cli.out.data(f"{counted(rows.height, 'row')} of {node} set aside", *(f"  {line}" for line in counts))
    if first.height:
        cli.out.data("", *frame_lines(first.drop("_id", _BATCH), terminal=cli.out.wide()))
    if rows.height > first.height:
        cli.out.say(
            f"The first {first.height} of {rows.height:,}. All of them: headrace quarantine {node} --format csv"
        )


def _reasons_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Why a row was set aside (the columns that begin with an underscore), then the row."""
    reasons = [name for name in rows.columns if name.startswith("_")]
    return rows.select(*reasons, *(name for name in rows.columns if name not in reasons))


def _by_rule(rows: pl.DataFrame, rules: Iterable[str]) -> list[tuple[str, int]]:
    """How many rows broke which rule, the most frequent first; a row that breaks several counts for each."""
    from headrace.tables.breaches import counted as by_rule

    found = by_rule(rows, rules)
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))

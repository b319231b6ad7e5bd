"""`show`, `query`: rows of an environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, counted, moment, number, short
from headrace.cli.pages import write_page
from headrace.cli.session import Session
from headrace.errors import HeadraceError, article

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from headrace.ports.records import Facts, Json, Version
    from headrace.project.opened import Environment

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]

_MONITOR = "monitor"
_VERSIONS = 4
"""Of how many versions the rules are shown."""
_PARTITIONS = 24
"""Partitions that `show` names."""


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the rows.")]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the report of a monitor as an HTML file.")
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="How many rows, at most.")]


def query(
    cli: Session,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A query in DuckDB's SQL.")],
    environment: Annotated[str | None, typer.Option("--env", metavar="ENV", help="The environment to ask.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask the tables of an environment in SQL.

    Each source, table and feature view is a view of its name, at the version that the environment points to. In
    quotation marks, "departures@dev" is the version of another environment, and "departures@57ac80da" the one of this
    key, or of this beginning of it. A query reads nothing else and changes nothing.

    Example: headrace query "select carrier, count(*) from departures group by carrier"
    """
    with _opened(cli, environment) as opened:
        _print_rows(cli, opened.query(sql), form)


def show(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node to show.")],
    environment: Env = None,
    limit: Limit = 5,
    html: Html = None,
) -> None:
    """The columns and first rows of a node, the metrics of a model, or the last windows of a monitor.

    Of a table with a contract also what became of each rule in its last versions: how many rows broke it, or what was
    seen of the whole table. Of features that are published online also how long their rows took to get there, against
    the declared delay. A monitor shows its last 24 hours, or 14 days, with --html as a page with plots.

    Example: headrace show departures
    """
    with _opened(cli, environment) as opened:
        version = opened.version(node)
        if version.kind == _MONITOR and version.manifest.outputs:  # what it compares answers with
            _show_monitor(cli, opened.name, version, html)
        elif html is not None:
            raise HeadraceError("HR928", f"{node} is {article(version.kind)}")
        elif hasattr(cli.workspace.graph[node], "read"):
            _show_rows(cli, opened, version, limit)
        else:
            _show_facts(cli, version)


def _show_monitor(cli: Session, environment: str, version: Version, html: Path | None) -> None:
    from headrace.cli.monitor_lines import report_lines
    from headrace.monitors.report_html import page
    from headrace.project.monitor_report import monitor_report

    report = monitor_report(cli.workspace, environment, version)
    if html is not None:
        write_page(cli.out, html, page(report))
    if cli.out.as_json:
        cli.out.json(report.to_json())
    elif html is None:
        cli.out.data(*report_lines(report))


def _show_rows(cli: Session, opened: Environment, version: Version, limit: int) -> None:
    from headrace.cli.frames import frame_json, frame_lines, schema_lines
    from headrace.cli.lags import lag_lines
    from headrace.cli.rule_lines import rule_lines
    from headrace.project.publish_lag import publish_lag
    from headrace.project.rule_history import rule_history
    from headrace.tables.layout import Layout

    lag = publish_lag(cli.workspace, opened.name, version.node)
    history = rule_history(cli.workspace.ledger, version.node, _VERSIONS)
    frame = opened.table(version.node)
    first = frame.head(limit).collect()
    parted = Layout.from_json(version.manifest.facts.get("layout", ())).partitions()
    if cli.out.as_json:
        schema = {name: str(dtype) for name, dtype in first.schema.items()}
        told = {} if lag is None else {"publish_lag": lag.to_json()}
        told.update({"rules": history.to_json()} if history.rules else {})
        if parted:
            told["partitions"] = parted
        cli.out.json({**_identity(version), "schema": schema, "first": frame_json(first), **told})
        return
    cli.out.data(_headline(version), *schema_lines(first.schema))
    if limit:
        cli.out.data("", *frame_lines(first, terminal=cli.out.wide()))
    if history.rules:
        cli.out.data("", *rule_lines(history))
    if parted:
        cli.out.data("", *_partition_lines(parted))
    if lag is not None:
        cli.out.data("", "publish lag", *(f"  {line}" for line in lag_lines(lag)))


def _partition_lines(parted: Mapping[str, int]) -> list[str]:
    """The partitions of a table with their rows: all of them, or the last ones."""
    shown = [(name, counted(rows, "row")) for name, rows in parted.items()]
    more = [f"  and {counted(len(shown) - _PARTITIONS, 'partition')} before them"] if len(shown) > _PARTITIONS else []
    return [
        counted(len(shown), "partition"),
        *(f"  {line}" for line in columns(shown[-_PARTITIONS:], right=[1])),
        *more,
    ]


def _show_facts(cli: Session, version: Version) -> None:
    facts = version.manifest.facts
    if cli.out.as_json:
        cli.out.json({**_identity(version), "facts": dict(facts)})
        return
    cli.out.data(_headline(version), *_model_lines(facts))


def _model_lines(facts: Facts) -> list[str]:
    """What is known of a model version: how it was made, what was measured, overall and by slice."""
    rows = [(name, str(facts[name])) for name in ("estimator", "task", "label", "lead") if facts.get(name)]
    if "counts" in facts:
        told = ", ".join(f"{count:,} {what}" for what, count in facts["counts"].items())
        rows.append(("rows", told))
    if "boundary" in facts:
        rows.append(("trained on", f"what was known at {moment(facts['boundary'])}"))
    inputs = [each["name"] for each in facts.get("inputs", ())]
    lines = columns([*rows, *([("inputs", ", ".join(inputs))] if inputs else [])])
    metrics: Mapping[str, float | None] = facts.get("metrics", {})
    measured = columns([(name, number(value)) for name, value in metrics.items()], right=[1])
    sliced = [line for column, values in facts.get("slices", {}).items() for line in _slice_lines(column, values)]
    return [
        *(f"  {line}" for line in lines),
        *(["", "measured on the held-out rows", *(f"  {line}" for line in measured)] if measured else []),
        *sliced,
    ]


def _slice_lines(column: str, values: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    names = list(next(iter(values.values()), {}))
    rows = [(value, *(number(metrics.get(name)) for name in names)) for value, metrics in values.items()]
    return ["", f"by {column}", *(f"  {line}" for line in columns(rows, ("", *names), right=range(1, len(names) + 1)))]


def _opened(cli: Session, environment: str | None) -> Environment:
    from headrace.project.opened import Environment

    return Environment(cli.workspace, cli.environment(environment))


def _print_rows(cli: Session, rows: pl.DataFrame, form: Format) -> None:
    from headrace.cli.frames import csv, frame_json, frame_lines

    if cli.out.as_json or form is Format.JSON:
        cli.out.json(frame_json(rows))
    elif form is Format.CSV:
        cli.out.text(csv(rows))
    else:
        cli.out.data(*frame_lines(rows, terminal=cli.out.wide()))


def _headline(version: Version) -> str:
    rows = "" if version.rows is None else f", {counted(version.rows, 'row')}"
    return f"{version.node} {short(version.key)}, {version.kind}{rows}, made {moment(version.made_at)} UTC"


def _identity(version: Version) -> dict[str, Json]:
    return {
        "node": version.node,
        "kind": version.kind,
        "key": version.key,
        "made_at": version.made_at,
        "rows": version.rows,
    }

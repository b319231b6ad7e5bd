"""`status` and `why`: out of the ledger alone, without importing the user's code."""

from __future__ import annotations

from itertools import filterfalse
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import columns, counted, moment, number, short, size
from headrace.cli.progress import conditions
from headrace.cli.session import Session
from headrace.endpoints.rollout import is_step
from headrace.errors import article
from headrace.plan.reasons import spelled
from headrace.plan.render import spelled_seconds
from headrace.project import explain
from headrace.project.explain_prediction import is_prediction_id, moment_of, why_prediction
from headrace.sources.hashing import BLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.records import Json
    from headrace.project.explain import EnvironmentStatus, Explanation, Lineage
    from headrace.project.explain_prediction import PredictionExplained

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]

_HEADS = ("node", "kind", "version", "made (UTC)", "rows", "")
_BATCHES_SHOWN = 5
_CODE_SHOWN = 12


def status(
    cli: Session,
    environment: Annotated[str | None, typer.Argument(metavar="ENV", help="One environment; all if left out.")] = None,
) -> None:
    """What each environment has, and which runs are in flight.

    Example: headrace status
    """
    from headrace.project.monitoring import alerts

    found = explain.status(cli.workspace.ledger, cli.workspace.owners, environment)
    up = {each.environment: alerts(cli.workspace, each.environment) for each in found}
    if cli.out.as_json:
        cli.out.json([{**each.to_json(), "alerts": up[each.environment]} for each in found])
        return
    if not found:
        cli.out.data("No environment yet. Begin with: headrace apply")
    for at, each in enumerate(found):
        cli.out.data(*([""] if at else []), *_environment(each, up[each.environment]))


def _environment(found: EnvironmentStatus, up: Mapping[str, str]) -> list[str]:
    base = "" if found.base is None else f", branched from {found.base}"
    lines = [f"{found.environment}: {counted(len(found.nodes), 'node')}{base}"]
    rows = [
        (
            node.node,
            node.version.kind,
            short(node.version.key),
            moment(node.version.made_at),
            "" if node.version.rows is None else f"{node.version.rows:,}",
            _remark(node.held, None if node.refused is None else short(node.refused.candidate)),
        )
        for node in found.nodes
    ]
    lines += [f"  {line}" for line in columns(rows, _HEADS, right=[4])] if rows else []
    lines += [f"  ! {monitor} alerts: {seen}" for monitor, seen in sorted(up.items())]
    for node, batches in sorted(found.excluded.items()):
        lines.append(f"  ! {node} leaves out {', '.join(sorted(batches))}")
    if found.ended is not None:
        by = f"could not be observed by run {found.ended.id}"
        lines += [f"  ! {name} {by}: {each['code']} {each['what']}" for name, each in found.unobserved.items()]
    lines += [f"  run {run.id} is at work since {moment(run.started_at)}" for run in found.runs]
    lines += [f"  ! run {run.id} crashed; the next apply goes on where it was" for run in found.crashed]
    return lines


def _remark(held: str | None, refused: str | None) -> str:
    told = [] if held is None else [f"held: {held}"]
    return "; ".join(told if refused is None else [*told, f"its gate refused {refused}"])


def why(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node to explain, or the id of a prediction.")],
    environment: Env = None,
    full: Annotated[bool, typer.Option("--full", help="Whole keys and digests, every file, every part.")] = False,  # noqa: FBT002
    row: Annotated[
        str | None,
        typer.Option("--row", metavar="KEY", help="Explain this row: its key, or columns such as shop=a,order_id=17."),
    ] = None,
) -> None:
    """Where a version comes from, down to files and rows.

    Who made it and when, from which code and libraries, what its gate saw, and what it was made from. For a prediction
    that an endpoint gave: its values, the version that gave it, and the feature rows that it saw. For a row of a table:
    the rows that it was made of, with file and line; functions are run again on parts of their inputs to find them.

    Example: headrace why lateness prod
    """
    if row is not None:
        _why_row(cli, node, cli.environment(environment), row)
        return
    if is_prediction_id(node):
        _why_prediction(cli, node, environment, full=full)
        return
    found = explain.why(cli.workspace.ledger, cli.environment(environment), node)
    if cli.out.as_json:
        cli.out.json(found.to_json())
        return
    cli.out.data(*_origin(found, full=full), *_code(found, full=full), *_judgement(found))
    cli.out.data("", "made from", *_tree(found.lineage, full=full))


def _why_row(cli: Session, node: str, environment: str, row: str) -> None:
    from headrace.cli.row_lines import row_lines
    from headrace.project.row_origin import why_row

    found = why_row(cli.workspace, environment, node, row)
    if cli.out.as_json:
        cli.out.json({"environment": environment, **found.to_json()})
        return
    cli.out.data(*row_lines(found, environment))


def _why_prediction(cli: Session, prediction: str, environment: str | None, *, full: bool) -> None:
    found = why_prediction(cli.workspace, prediction, environment)
    if cli.out.as_json:
        cli.out.json(found.to_json())
        return
    cli.out.data(*_answer(found, full=full), *_looked_up(found, full=full))
    if found.lineage is None:
        cli.out.data("", "The ledger does not know the version that gave it.")
        return
    cli.out.data("", "made from", *_tree(found.lineage, full=full))


def _answer(found: PredictionExplained, *, full: bool) -> list[str]:
    """What was answered, and what the model saw."""
    given = found.prediction
    rows = [
        ("prediction", number(given.prediction)),
        ("answered", f"{moment(moment_of(given.at))} UTC, {given.micros / 1000:.3g} ms after it was asked"),
        ("as of", f"{moment(moment_of(given.cutoff))} UTC"),
        ("version", given.version if full else short(given.version)),
        ("model", given.model if full else short(given.model)),
    ]
    if given.stage is not None:
        rows.append(("stage", given.stage))
    values = {**given.inputs, **given.features}
    return [
        f"{given.id}, an answer of {given.endpoint}, in {found.environment}",
        *_indented(columns(rows)),
        "",
        "values",
        *_indented(columns([(name, _value(value)) for name, value in values.items()])),
    ]


def _looked_up(found: PredictionExplained, *, full: bool) -> list[str]:
    """Which rows of which feature views were used."""
    lines = []
    for view in found.views:
        generation = view.generation if full else short(view.generation)
        made_from = "" if view.made_from is None else f" of version {view.made_from if full else short(view.made_from)}"
        seen = "no row" if view.newest is None else f"newest row of {moment(view.newest)} UTC"
        lines.append(f"{view.view}, generation {generation or 'none'}{made_from}: {seen}")
        lines += _indented(columns([(name, _value(value)) for name, value in view.values.items()]))
    return ["", "feature rows", *_indented(lines)] if lines else []


def _value(value: Json) -> str:
    return number(value) if isinstance(value, float) else "missing" if value is None else str(value)


def _origin(found: Explanation, *, full: bool) -> list[str]:
    version, pointed = found.version, found.pointed
    rows = [("key", version.key if full else short(version.key))]
    by = f" by run {version.run}, in {spelled_seconds(version.seconds)}" if version.run else ""
    rows.append(("made", f"{moment(version.made_at)} UTC{by}"))
    if pointed is not None:
        by = f", run {pointed.run}" if pointed.run else ""
        rows.append(("published", f"{moment(pointed.at)} UTC ({pointed.reason}{by})"))
    if version.rows is not None:
        rows.append(("rows", f"{version.rows:,}"))
    if version.generation:
        rows.append(("refreshed", counted(version.generation, "time")))
    if full:
        rows += [(f"output {name}", f"{ref.path} {ref.digest}") for name, ref in version.manifest.outputs.items()]
    return [f"{version.node}, {article(version.kind)}, in {found.environment}", *_indented(columns(rows))]


def _code(found: Explanation, *, full: bool) -> list[str]:
    """The parts of the fingerprint, and the libraries that were installed."""
    parts = sorted(found.version.parts.items())
    shown = parts if full else parts[:_CODE_SHOWN]
    lines = columns([(spelled(name), digest if full else short(digest)) for name, digest in shown])
    if len(shown) < len(parts):
        lines.append(f"and {len(parts) - len(shown)} more (--full)")
    libraries: Mapping[str, str] = found.version.manifest.facts.get("libraries", {})
    told = ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()))
    return [
        *(["", "code", *_indented(lines)] if lines else []),
        *(["", "libraries", f"  {told}"] if told else []),
    ]


def _judgement(found: Explanation) -> list[str]:
    """Metrics and decisions of a model, and the steps of an endpoint's roll-out."""
    metrics: Mapping[str, float | None] = found.version.manifest.facts.get("metrics", {})
    lines = []
    if metrics:
        measured = columns([(name, number(value)) for name, value in metrics.items()], right=[1])
        lines += ["", "measured on the held-out rows", *_indented(measured)]
    for decision in filter(is_step, found.decisions):
        facts = decision.facts
        lines += ["", f"roll-out, {facts['stage']}: {facts['action']}, {facts['reason']}"]
    for decision in filterfalse(is_step, found.decisions):
        verdict = "passed" if decision.passed else "was refused"
        against = f"against {short(decision.champion)}" if decision.champion else "with no version before it"
        lines += ["", f"gate: {verdict}, {against}", *(line[4:] for line in conditions(decision))]
    return lines


def _tree(found: Lineage, *, full: bool, depth: int = 1) -> list[str]:
    """What a version was made from, each input below what is made from it, sources with their files."""
    lines = []
    for each in found.inputs:
        version = each.version
        rows = "" if version.rows is None else f", {counted(version.rows, 'row')}"
        again = ", see above" if each.seen_before else ""
        key = version.key if full else short(version.key)
        lines.append(f"{'  ' * depth}{version.node} {key}, {version.kind}{rows}{again}")
        lines += _tree(each, full=full, depth=depth + 1)
    if not found.seen_before:
        lines += [f"{'  ' * depth}{line}" for line in _batches(explain.batches(found.version), full=full)]
    return lines


def _digest(batch: Json) -> str:
    """What the digest of a batch is."""
    return "sha256" if batch.get("bytes", 0) <= BLOCK else "sha256 of blocks"


def _batches(batches: list[Json], *, full: bool) -> list[str]:
    shown = batches if full else batches[-_BATCHES_SHOWN:]
    rows = [
        (
            batch["id"],
            counted(batch["rows"], "row") if "rows" in batch else "",
            size(batch["bytes"]) if "bytes" in batch else "",
            f"{_digest(batch)} {batch['digest'] if full else short(batch['digest'])}",
        )
        for batch in shown
    ]
    left = len(batches) - len(shown)
    return [*([f"{left} earlier files (--full)"] if left else []), *columns(rows, right=[1, 2])]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]

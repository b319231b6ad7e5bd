"""`parity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.exits import Exit
from headrace.cli.lags import lag_lines
from headrace.cli.output import columns, counted, moment, number
from headrace.cli.session import Session
from headrace.ports.durations import duration

if TYPE_CHECKING:
    from headrace.endpoints.parity_report import FeatureParity, ParityReport
    from headrace.endpoints.replay import Difference

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]

_HEADS = ("view", "feature", "compared", "differ", "share", "most likely")


def parity(
    cli: Session,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint whose answers are replayed.")],
    environment: Env = None,
    last: Annotated[int | None, typer.Option("--last", min=1, help="Only so many answers, the latest ones.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only answers that are no older than this.")
    ] = None,
) -> int:
    """Compare the features that an endpoint answered with and those that training would see.

    Replays the logged answers through the point-in-time join. What differs is told by view and feature, with the
    likely reason. Then how long rows took to become visible online, against the delay that their view declares.

    Example: headrace parity scores prod --since 7d
    """
    from headrace.project.parity import check_parity

    age = None if since is None else duration(since)
    report = check_parity(cli.workspace, endpoint, cli.environment(environment), last=last, since=age)
    if cli.out.as_json:
        cli.out.json(report.to_json())
    else:
        cli.out.data(*_lines(report))
    return Exit.FOUND if report.differing else Exit.DONE


def _lines(report: ParityReport) -> list[str]:
    from headrace.endpoints.replay import MEANINGS

    lines = [_headline(report)]
    if report.features:
        rows = [_row(each) for each in report.features.values()]
        lines += ["", *_indented(columns(rows, _HEADS, right=[2, 3, 4]))]
    examples = [each for feature in report.features.values() for each in feature.examples]
    if examples:
        reasons = {each for feature in report.features.values() for each in feature.reasons}
        lines += ["", "for example", *_indented([line for each in examples for line in _example(each)])]
        told = [(str(reason), meaning) for reason, meaning in MEANINGS.items() if reason in reasons]
        lines += ["", *_indented(columns(told))]
    left = _left_out(report)
    if left:
        lines += ["", "not compared", *_indented(left)]
    if report.lags:
        lines += ["", "publish lag", *_indented([line for each in report.lags for line in lag_lines(each)])]
    return lines


def _headline(report: ParityReport) -> str:
    from headrace.project.explain_prediction import moment_of

    if report.first is None or report.last is None:
        return f"{report.endpoint} in {report.environment}: no answer to replay."
    first, last = (moment(moment_of(each)) for each in (report.first, report.last))
    verdict = "all agree" if not report.differing else f"{report.differing:,} differ ({_share(report)})"
    return (
        f"{report.endpoint} in {report.environment}: {counted(report.answers, 'answer')} from {first} to {last} UTC, "
        f"{counted(report.compared, 'value')} compared, {verdict}"
    )


def _row(each: FeatureParity) -> tuple[str, ...]:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in each.reasons.most_common())
    share = _share(each) if each.differing else ""
    return each.view, each.feature, f"{each.compared:,}", f"{each.differing:,}", share, reasons


def _share(each: FeatureParity | ParityReport) -> str:
    return f"{each.differing / each.compared:.2%}"


def _example(each: Difference) -> list[str]:
    from headrace.project.explain_prediction import moment_of

    entity = ", ".join(f"{name} {value!r}" for name, value in each.entity.items())
    return [
        f"{each.answer.id}, {entity}, as of {moment(moment_of(each.answer.cutoff))} UTC",
        f"  {each.feature}: online {_value(each.online)}, offline {_value(each.offline)} ({each.reason})",
    ]


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else "missing" if value is None else str(value)


def _left_out(report: ParityReport) -> list[str]:
    counts = (
        (report.sent, "value", "sent by the callers"),
        (report.skipped, "look-up", "of a definition or an entity that cannot be replayed any more"),
        (report.unknown, "answer", "of a model that the ledger does not know"),
    )
    return [f"{counted(count, what)} {why}" for count, what, why in counts if count]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]

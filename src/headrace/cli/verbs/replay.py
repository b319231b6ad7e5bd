"""`replay`."""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer

from headrace.cli.output import columns, counted
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headrace.monitors.intervals import Estimate
    from headrace.monitors.policies import Policy
    from headrace.project.replay import Progress
    from headrace.project.replay_report import PolicyReport, Report
    from headrace.project.replay_world import Wish


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    environment: Annotated[
        str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")
    ] = None
    start: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day; that of the first row if left out.")
    ] = None
    end: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The last day; that of the last row if left out.")
    ] = None
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="NAME", help="none, daily, weekly, monthly, drift or quality; repeatable."),
    ] = None
    every: Annotated[
        str, typer.Option("--every", metavar="TIME", help="How often monitors and schedules are looked at.")
    ] = "1d"
    warm_up: Annotated[
        str, typer.Option("--warm-up", metavar="TIME", help="How long after --from the first model is made.")
    ] = "4w"
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="NAME", help="Which one, if there are several.")
    ] = None
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write an HTML page as well.")] = None
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of everything random.")] = 0
    forget: Annotated[bool, typer.Option("--forget", help="Remove what replays keep, and replay nothing.")] = False


_HEADS = ("policy", "{}", "95 % interval", "worst week", "labelled", "made", "refused", "alerts", "training")
_BLOCKS = "▁▂▃▄▅▆▇█"
_THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
"""For libraries that are loaded only when a model is trained: see `headrace.project.replay_scratch.one_thread`."""


def _replay(cli: Session, asked: Asked) -> None:
    """Run the pipeline over its own history, and compare retraining policies.

    On a simulated clock, each row arrives when it became known, labels come late, monitors fire, models are made again,
    pass their gates and roll out. Nothing of the project changes; what is made stays in .headrace/replay, so that a
    second time is quick.

    Example: headrace replay --from 2013-01-01 --to 2013-12-31 --policy none --policy weekly --report replay.html
    """
    os.environ.update({**_THREADS, **os.environ})
    from headrace.project.replay import replay as run

    if asked.forget:
        _forget(cli)
        return
    if asked.report is not None:
        _refuse_unwritable(asked.report)
    wish = _wish(asked)
    with progress_of(cli) as progress:
        found = run(cli.workspace, cli.environment(asked.environment), wish, progress)
    if asked.report is not None:
        _write(found, asked.report)
    if cli.out.as_json:
        cli.out.json(found.to_json())
        return
    cli.out.data(*_lines(found))
    if asked.report is not None:
        cli.out.say(f"The page is {asked.report}.")


def _forget(cli: Session) -> None:
    from headrace.project.replay_scratch import forget

    found = forget(cli.workspace)
    if cli.out.as_json:
        cli.out.json({"removed": found})
    else:
        cli.out.data("What replays kept is removed." if found else "Replays keep nothing here.")


def _wish(asked: Asked) -> Wish:
    from headrace.monitors.policies import policies_of
    from headrace.project.replay_world import Wish

    end = None if asked.end is None else _moment(asked.end, "--to")
    if end is not None and _is_day(asked.end or ""):
        end += timedelta(days=1)
    return Wish(
        policies=policies_of(name.strip() for each in asked.policy or () for name in each.split(",")),
        start=None if asked.start is None else _moment(asked.start, "--from"),
        end=end,
        every=duration(asked.every),
        warm_up=duration(asked.warm_up),
        endpoint=asked.endpoint,
        seed=asked.seed,
    )


def _spread(function: Callable[[Session, Asked], None]) -> Callable[..., None]:
    """The verb as the command line reads it: each field of `Asked` is a parameter of its own."""

    def verb(cli: Session, **given: object) -> None:
        function(cli, Asked(**given))  # type: ignore[arg-type]  # typer has made each of its declared type

    hints = get_type_hints(Asked, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(each.name, kind, default=each.default) for each in fields(Asked)]
    first = inspect.Parameter("cli", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    verb.__signature__ = inspect.Signature([first, *own])  # type: ignore[attr-defined]  # read by `command_of`
    verb.__annotations__ = {"cli": Session, **hints}
    verb.__doc__ = function.__doc__
    return verb


replay = _spread(_replay)


def _moment(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise HeadraceError("HR993", f"{option} is {text!r}", fix="Spell a day like 2013-01-31.") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _is_day(text: str) -> bool:
    """Whether a time is a whole day, which belongs to the period as such."""
    with suppress(ValueError):
        date.fromisoformat(text)
        return True
    return False


def _refuse_unwritable(file: Path) -> None:
    """Before the work, not after it."""
    if file.is_dir() or not file.resolve().parent.is_dir():
        raise HeadraceError("HR999", f"{file} cannot be created")


def _write(found: Report, file: Path) -> None:
    from headrace.project.replay_page import page

    try:
        file.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise HeadraceError("HR999", f"{file}: {error.strerror}") from error


@contextmanager
def progress_of(cli: Session) -> Iterator[Progress]:
    """Bars on a terminal, a line for each policy elsewhere."""
    from headrace.project.replay import Progress

    class Lines(Progress):
        """One line when a policy begins."""

        def loaded(self, questions: int, policies: int) -> None:
            cli.out.say(f"Replaying {counted(questions, 'question')} under {_counted_policies(policies)}.")

        def began(self, policy: Policy) -> None:
            cli.out.say(f"  > {policy.name}: retrains {policy}")

    if cli.out.style.quiet or not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(file=sys.stderr, no_color=not cli.out.colored(sys.stderr), highlight=False)
    layout = (TextColumn("{task.description}"), BarColumn(bar_width=32), TextColumn("{task.fields[at]}"))
    with Bars(*layout, TimeElapsedColumn(), console=console, transient=True) as bars:

        class Drawn(Lines):
            """A bar for each policy."""

            def began(self, policy: Policy) -> None:
                self._task = bars.add_task(policy.name, total=1.0, at="")

            def reached(self, policy: Policy, at: datetime, share: float) -> None:  # noqa: ARG002 - the bar knows it
                bars.update(self._task, completed=share, at=f"{at:%Y-%m-%d}")

        yield Drawn()


def _counted_policies(count: int) -> str:
    return "1 policy" if count == 1 else f"{count} policies"


def _lines(report: Report) -> list[str]:
    start, first, end = report.span
    headline = (
        f"{report.endpoint} of {report.environment}, {_day(start)} to {_last(end)}: the first model of {_day(first)}, "
        f"then {counted(report.questions, 'question')}, looked at every {spell(report.every)}"
    )
    heads = [each.format(report.metric) for each in _HEADS]
    rows = [_row(report, each) for each in report.policies]
    lines = [headline, "", *_indented(columns(rows, heads, right=range(3, 9)))]
    if against := [_against(report, each) for each in report.policies if each.compared is not None]:
        lines += ["", f"week by week against {report.policies[0].policy.name}", *_indented(columns(against))]
    lines += ["", *_plot(report), "", "what is watched", *_indented(columns(sorted(report.monitors.items())))]
    if report.notes:
        lines += ["", "note", *_indented(report.notes)]
    shared = f"{counted(report.models, 'different model')} made in {report.spent:.0f} s"
    return [*lines, "", f"{shared}; what several policies ask for is made once."]


def _row(report: Report, each: PolicyReport) -> tuple[str, ...]:
    from headrace.project.replay_report import value_of, worst

    whole = value_of(each.whole, report.metric)
    return (
        each.policy.name,
        _number(whole.value),
        _interval(whole),
        _number(worst(each, report.metric)),
        "" if each.whole.share.value is None else f"{each.whole.share.value:.1%}",
        str(each.count("made")),
        str(each.count("refused") + each.count("failed")),
        str(each.happened("raised")),
        f"{each.seconds:.1f} s",
    )


def _against(report: Report, each: PolicyReport) -> tuple[str, ...]:
    compared = each.compared
    if compared is None or compared.difference.value is None:
        return each.policy.name, "cannot be compared", ""
    difference = compared.difference
    told = f"{report.metric} {difference.value:+.3f}"
    if difference.low is not None and difference.high is not None:
        told += f" ({difference.low:+.3f} to {difference.high:+.3f})"
    return each.policy.name, told, f"better in {compared.better} of {counted(compared.weeks, 'week')}"


def _plot(report: Report) -> list[str]:
    """The metric by week as bars, and below them the weeks in which a new model went live."""
    from headrace.project.replay_report import value_of

    values = {
        each.policy.name: [value_of(week.part, report.metric).value for week in each.weeks] for each in report.policies
    }
    known = [value for each in values.values() for value in each if value is not None]
    if not known:
        return [f"{report.metric} by week: no week has labels enough"]
    low, high = min(known), max(known)
    wide = max(map(len, values))
    lines = [f"{report.metric} by week from {_day(report.span[1])}, ▁ is {_number(low)}, █ is {_number(high)}"]
    for each in report.policies:
        name = each.policy.name
        lines.append(f"  {name.ljust(wide)}  {sparkline(values[name], low, high)}")
        if marks := _marks(each):
            lines.append(f"  {' ' * wide}  {marks}")
    return lines


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """One block for each value; a space where there is none."""
    steps = len(_BLOCKS) - 1
    scale = steps / (high - low) if high > low else 0.0
    return "".join(" " if each is None else _BLOCKS[round((each - low) * scale)] for each in values)


def _marks(each: PolicyReport) -> str:
    """A mark below each week in which a model was made again: ^ went live, x was refused or failed."""
    marks = ""
    for week in each.weeks:
        found = {one.outcome for one in each.retrainings[1:] if week.start <= one.at < week.end}
        marks += "^" if "made" in found else "x" if found & {"refused", "failed"} else " "
    return marks.rstrip()


def _interval(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f"{_number(found.low)} to {_number(found.high)}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _last(end: datetime) -> str:
    """The last day of a period that ends before `end`."""
    return _day(end - timedelta(microseconds=1))


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]

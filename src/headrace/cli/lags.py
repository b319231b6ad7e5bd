"""How long rows take to become visible online, as `parity` and `show` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.output import counted
from headrace.plan.render import spelled_seconds
from headrace.ports.durations import spell

if TYPE_CHECKING:
    from datetime import timedelta

    from headrace.features.lag import Lag


def lag_lines(lag: Lag) -> list[str]:
    """What was measured, and a warning where the declared delay does not cover it."""
    if lag.usual is None or lag.most is None or lag.longest is None:
        return [f"{lag.view}: nothing was measured yet; its declared delay is {spell(lag.delay)}"]
    half, most, longest = map(_spelled, (lag.usual, lag.most, lag.longest))
    basis = f"{counted(lag.rows, 'row')}, {_publishes(lag.publishes)}; declared delay {spell(lag.delay)}"
    lines = [f"{lag.view}: half of the rows within {half}, 95 % within {most}, all within {longest} ({basis})"]
    problem = lag.problem()
    if problem is not None:
        lines += [f"! {problem.code}: {problem.what}", f"  why: {problem.why}", f"  fix: {problem.fix}"]
    return lines


def _publishes(count: int) -> str:
    return f"{count} {'publish' if count == 1 else 'publishes'}"


def _spelled(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"-{spelled_seconds(-seconds)}" if seconds < 0 else spelled_seconds(seconds)

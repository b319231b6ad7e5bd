# mypy: disable-error-code="import-not-found, untyped-decorator"
"""The work in Prefect. Runs in Prefect's environment: `flow.py CHAIN FAN FILE`, with PREFECT_API_URL set."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable

_WORKERS = 4
_RECORDED_WITHIN = 300.0
"""Seconds that the server gets to record what the flow has already told it."""


@task
def step(number: int) -> int:
    """Do nothing."""
    return number


@task
def join(numbers: list[int]) -> int:
    """Wait for all."""
    return len(numbers)


@flow
def chain(length: int) -> str:
    """`length` steps, each with the output of the one before it. Returns the id of the run."""
    number = 0
    for _ in range(length):
        number = step(number)
    return str(flow_run.id)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=_WORKERS))
def fan_out(width: int) -> str:
    """`width` steps side by side and one that joins them. Returns the id of the run."""
    join.submit(step.map(range(width))).result()
    return str(flow_run.id)


def _seconds(work: Callable[[int], str], size: int, steps: int) -> float:
    """From the call of the flow until the server has recorded `steps` task runs of it as completed."""
    begin = time.perf_counter()
    run = work(size)
    returned = time.perf_counter()
    while _recorded(run) < steps:
        if time.perf_counter() > returned + _RECORDED_WITHIN:
            sys.exit(f"the server has recorded {_recorded(run)} of {steps} steps after {_RECORDED_WITHIN:.0f} s")
        time.sleep(0.05)
    return time.perf_counter() - begin


def _recorded(run: str) -> int:
    """How many task runs of a flow run the server has in a completed state."""
    with get_client(sync_client=True) as client:
        answer = client.request(
            "POST",
            "/task_runs/count",
            json={"flow_runs": {"id": {"any_": [run]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}},
        )
        answer.raise_for_status()
        return int(answer.json())


def main() -> None:
    """Warm up by a chain of two, then measure."""
    length, width, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    _seconds(chain, 2, 2)
    seconds = {"chain": _seconds(chain, length, length), "fan-out": _seconds(fan_out, width, width + 1)}
    file.write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()

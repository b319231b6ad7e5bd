# mypy: disable-error-code="import-not-found, untyped-decorator"
"""The work in Dagster. Runs in Dagster's environment: `flow.py CHAIN FAN FILE`, with DAGSTER_HOME set."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import dagster

_QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


@dagster.op
def first() -> int:
    """Start a chain."""
    return 0


@dagster.op
def step(number: int) -> int:
    """Do nothing."""
    return number


@dagster.op
def join(numbers: list[int]) -> int:
    """Wait for all."""
    return len(numbers)


def chain(length: int) -> dagster.JobDefinition:
    """`length` steps, each with the output of the one before it."""

    @dagster.job(resource_defs={"io_manager": dagster.FilesystemIOManager()})
    def chain_of_steps() -> None:
        number = first()
        for place in range(1, length):
            number = step.alias(f"step_{place}")(number)

    return chain_of_steps


def fan_out(width: int) -> dagster.JobDefinition:
    """`width` steps side by side and one that joins them."""

    @dagster.job(resource_defs={"io_manager": dagster.FilesystemIOManager()})
    def steps_side_by_side() -> None:
        join([first.alias(f"step_{place}")() for place in range(width)])

    return steps_side_by_side


def _seconds(job: dagster.JobDefinition, instance: dagster.DagsterInstance, steps: int) -> float:
    """From the call until it returns, by which time the instance has stored every event of the run."""
    begin = time.perf_counter()
    result = job.execute_in_process(_QUIET, instance=instance)
    seconds = time.perf_counter() - begin
    done = len(instance.all_logs(result.run_id, of_type=dagster.DagsterEventType.STEP_SUCCESS))
    if done != steps:
        sys.exit(f"the instance has recorded {done} of {steps} steps")
    return seconds


def main() -> None:
    """Warm up by a chain of two, then measure. Building the job is not counted."""
    length, width, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with dagster.DagsterInstance.get() as instance:
        _seconds(chain(2), instance, 2)
        seconds = {
            "chain": _seconds(chain(length), instance, length),
            "fan-out": _seconds(fan_out(width), instance, width + 1),
        }
    file.write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()

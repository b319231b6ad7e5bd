"""Work that is measured in a process of its own: what it took in seconds, and the largest resident set it ever had."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.children import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def measured(argv: Sequence[str], env: Mapping[str, str], answer: Path, timeout: float) -> dict[str, float]:
    """What a command writes into the file `answer`, which is handed to it last. Raises BenchError."""
    run([*argv, str(answer)], env, answer.with_suffix(".log"), timeout)
    found: dict[str, float] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def tell(work: Callable[[], Mapping[str, float]], answer: Path) -> None:
    """Do the work, and write down what it answers, and what it took.

    That is its seconds, those of all cores together, and the largest resident set of this process, in MiB.
    """
    begin, begun = time.perf_counter(), time.process_time()
    found = work()
    took = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begun, "peak": peak()}
    answer.write_text(json.dumps({**found, **took}), encoding="utf-8")


def peak() -> float:
    """The largest resident set that this program ever had, in MiB. That of `getrusage` counts its parent's as well."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

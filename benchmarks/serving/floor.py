"""The floor, in a process of its own: `python -m benchmarks.serving.floor GRAPH ROWS SECONDS FILE`.

It answers as many requests as fit into SECONDS, one after the other on one thread and without HTTP, in two forms: the
model alone, from a matrix that is there, and from the bytes of a request to the bytes of its answer.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from benchmarks.serving.graph import opened
from benchmarks.serving.records import answer, matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (1, 64, 1_000)
_CHUNK = 50
"""Calls between two looks at the clock."""


def main() -> None:
    """Measure both forms with each number of rows; write rows a second, and milliseconds of the processor a call."""
    graph, file, seconds, target = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    rows, _ = json.loads(file.read_text(encoding="utf-8"))
    predict = opened(graph)
    found: dict[str, dict[int, float]] = {"model": {}, "bytes": {}, "model_cpu": {}, "bytes_cpu": {}}
    for size in SIZES:
        parts = [rows[start : start + size] for start in range(0, len(rows), size) if start + size <= len(rows)]
        matrices = [np.array(matrix(part), dtype=np.float32) for part in parts]
        bodies = [orjson.dumps(part) for part in parts]
        for form, call, given in (
            ("model", predict, matrices),
            ("bytes", lambda body: answer(predict(matrix(orjson.loads(body)))), bodies),
        ):
            rate, found[f"{form}_cpu"][size] = _rate(call, given, seconds)
            found[form][size] = size * rate
    target.write_text(json.dumps(found), encoding="utf-8")


def _rate(call: Callable[[Any], object], given: Iterable[Any], seconds: float) -> tuple[float, float]:
    """Calls a second, and milliseconds of the processor for one, after a short warm-up."""
    turns = cycle(given)
    for _ in range(_CHUNK):
        call(next(turns))
    begin, spent = time.perf_counter(), time.process_time()
    calls = 0
    while (passed := time.perf_counter() - begin) < seconds:
        for _ in range(_CHUNK):
            call(next(turns))
        calls += _CHUNK
    return calls / passed, 1000 * (time.process_time() - spent) / calls


if __name__ == "__main__":
    main()

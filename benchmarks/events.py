"""Headrace: from an event, sent over HTTP, to the first line of the task that it triggers.

A real `headrace up`, and CloudEvents to its address. Before each event there is new data, so that the task has
something new to be made from, and the supervisor is at rest. The event is durable before it is answered for, and so is
the fire; the plan and the start of the run are part of what is measured.
"""

from __future__ import annotations

import json
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.support.bells import began
from benchmarks.support.children import child, free_port, wait_for
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import COMMAND, environment

if TYPE_CHECKING:
    from benchmarks.support.bells import Began
    from benchmarks.support.children import Child
    from benchmarks.support.figures import Options

WORK = "event to start"
EVENTS = 20

_TIMEOUT = 60.0
_REST = 0.5
"""Seconds after an apply."""
_PIPELINE = """
from pathlib import Path

import polars as pl

from headrace import Pipeline, event, files

bench = Pipeline("bench")
raw = bench.source("raw", files("data/*.csv"))


@bench.task(raw)
def tell(rows: pl.LazyFrame) -> None:
    with Path({pipe!r}).open("w") as pipe:
        pipe.write("begun\\n")


bench.trigger(tell, on=event("bench.tell"))
"""


def run(options: Options) -> list[Result]:
    """So many events, one after the other; the first one, which warms up, is not counted."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        project, pipe = Path(folder) / "project", Path(folder) / "pipe"
        (project / "data").mkdir(parents=True)
        (project / "headrace.toml").write_text('pipeline = "pipeline:bench"\n', encoding="utf-8")
        (project / "pipeline.py").write_text(_PIPELINE.format(pipe=str(pipe)), encoding="utf-8")
        _new_data(project, 0)
        port = free_port()
        argv = [COMMAND, "--project", str(project), "up", "--port", str(free_port()), "--watch", "500ms"]
        with (
            began(pipe) as bell,
            child([*argv, "--control", f"127.0.0.1:{port}"], environment(), Path(folder) / "up.log") as up,
        ):
            bell.when(_TIMEOUT)  # everything is made at the beginning
            found = [_event(project, port, number, bell, up) for number in range(1, EVENTS + 2)][1:]
    starts, answers = [start for start, _ in found], [answer for _, answer in found]
    note = f"{1000 * min(starts):.0f} to {1000 * max(starts):.0f} ms"
    return [
        Result(WORK, "headrace", 1000 * median(starts), "ms", EVENTS, target="< 50 ms", note=note),
        Result(WORK, "headrace, to its answer", 1000 * median(answers), "ms", EVENTS, note="the event is durable"),
    ]


def _event(project: Path, port: int, number: int, bell: Began, up: Child) -> tuple[float, float]:
    """Seconds from sending an event to the start of its task, and to the answer."""
    published = _published(up)
    _new_data(project, number)
    wait_for("the apply of new data", lambda: _published(up) > published, up, _TIMEOUT)
    time.sleep(_REST)
    content = {"specversion": "1.0", "id": str(number), "source": "/benchmarks", "type": "bench.tell"}
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    begin = time.perf_counter()
    connection.request("POST", "/events", json.dumps(content), {"content-type": "application/cloudevents+json"})
    status = connection.getresponse().status
    answered = time.perf_counter()
    connection.close()
    if status != 202:
        raise BenchError(f"the event was answered with {status}")
    return bell.when(_TIMEOUT) - begin, answered - begin


def _new_data(project: Path, number: int) -> None:
    (project / "data" / f"{number:04}.csv").write_text(f"number\n{number}\n", encoding="utf-8")


def _published(up: Child) -> int:
    return up.log.read_text(encoding="utf-8").count("published to prod")

"""Serving: the floor, the bare server, Headrace and the rivals, one round of each. See the README of the benchmarks."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks.serving import own
from benchmarks.serving.project import LARGE, Model, make
from benchmarks.serving.servers import check, load, running
from benchmarks.support.children import free_port
from benchmarks.support.children import run as run_command
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import environment
from benchmarks.support.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serving.project import Made
    from benchmarks.serving.servers import Loaded, Server
    from benchmarks.support.children import Child
    from benchmarks.support.figures import Options

RIVALS = ("mlserver", "litserve", "bentoml", "mlflow")
"""Folders in `benchmarks.rivals` whose module `serving` has a function `server(made, folder, port)`."""
CONNECTIONS = (1, 16, 64)
CHOSEN = "BENCH_RIVALS"
RAW = ROOT / "benchmarks" / "results" / "raw"

_SECONDS = 4.0
_FLOOR_SECONDS = 2.0
_BATCH_CONNECTIONS = 4
_OPEN_SHARE = 0.5
"""Of what Headrace can answer in this round: the rate of the open load."""
_ALTERNATIONS = 3
"""How often the bare server and Headrace take turns under the open load."""


@dataclass(slots=True)
class _Measured:
    """What one round has found of one server. `batches` is by the form of the request."""

    note: str
    cold: float
    single: dict[int, Loaded] = field(default_factory=dict)
    batches: dict[str, Loaded] = field(default_factory=dict)
    opened: list[Loaded] = field(default_factory=list)


def run(options: Options) -> list[Result]:
    """One round of all, with boosted trees."""
    return measure(options, "serving", Model.BOOSTED)


def measure(options: Options, name: str, model: Model) -> list[Result]:
    """One round of all with a model. The project is made in the first one; what is measured goes to `RAW` as well."""
    folder = options.scratch / name
    folder.mkdir(exist_ok=True)
    made = make(folder, model)
    floor = _floor(made, folder)
    found, missing = _ours(made, folder), {}
    for rival in _rivals():
        try:
            server = import_module(f"benchmarks.rivals.{rival}.serving").server(made, folder, free_port())
            with running(server, folder) as (started, cold):
                found[server.name] = _closed(server, started, made, cold)
        except BenchError as error:
            missing[rival] = str(error)
            print(f"{rival}: {error}", file=sys.stderr)
    _keep(name, floor, found, missing)
    results = [*_throughput(floor, found), *_costs(floor, found), *_tail(found)]
    return [replace(each, work=f"{name}: {each.work}") for each in results]


def _rivals() -> Sequence[str]:
    """Whom to compare with; the variable names others, or nobody: rivals need not be measured again at each change."""
    chosen = os.environ.get(CHOSEN)
    return RIVALS if chosen is None else [each for each in chosen.split(",") if each]


def _floor(made: Made, folder: Path) -> dict[str, dict[str, float]]:
    """Rows a second without HTTP, by form and by the number of rows in a call."""
    answer = folder / "floor.json"
    argv = [sys.executable, "-m", "benchmarks.serving.floor", str(made.graph), str(folder / "rows.json")]
    run_command([*argv, str(_FLOOR_SECONDS), str(answer)], environment(**own.ONE_THREAD), folder / "floor.log", 60)
    found: dict[str, dict[str, float]] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _ours(made: Made, folder: Path) -> dict[str, _Measured]:
    """The bare server and Headrace: each by itself, then both in turns at half of what Headrace can answer."""
    found: dict[str, _Measured] = {}
    running_now: list[tuple[Server, Child]] = []
    with ExitStack() as stack:
        for server in (own.raw(made, free_port()), own.headrace(made, free_port())):
            started, cold = stack.enter_context(running(server, folder))
            found[server.name] = _closed(server, started, made, cold)
            running_now.append((server, started))
        rate = _OPEN_SHARE * found[own.HEADRACE].single[CONNECTIONS[-1]].rate
        singles = [[row] for row in made.rows]
        for server, started in _ALTERNATIONS * running_now:
            under = load(server, started, singles, connections=CONNECTIONS[-1], seconds=_SECONDS, rate=rate)
            found[server.name].opened.append(under)
    return found


def _closed(server: Server, started: Child, made: Made, cold: float) -> _Measured:
    """A server that answers as fast as it can: single rows over few and many connections, and large requests."""
    check(server, made.rows, made.expected)
    found = _Measured(server.note, cold)
    singles = [[row] for row in made.rows]
    for connections in CONNECTIONS:
        found.single[connections] = load(server, started, singles, connections=connections, seconds=_SECONDS)
    for form, asked in {"": server, **server.forms}.items():
        if form:
            check(asked, made.rows, made.expected)
        found.batches[form] = load(asked, started, [made.rows], connections=_BATCH_CONNECTIONS, seconds=_SECONDS)
    return found


def _throughput(floor: dict[str, dict[str, float]], found: dict[str, _Measured]) -> list[Result]:
    """Requests a second, the more the better: the floor's are calls without HTTP."""
    alone, through = floor["model"], floor["bytes"]
    results = []
    for connections in CONNECTIONS:
        work = f"1 row, {connections} conn."
        results.append(Result(work, "onnxruntime", alone["1"], "calls/s", floor=True))
        if connections == CONNECTIONS[-1]:
            results += [
                Result(work, "onnxruntime, 64 rows a call", alone["64"], "rows/s"),
                Result(work, "bytes to bytes, no HTTP", through["1"], "calls/s"),
            ]
        for name, each in found.items():
            target = "0.4 x floor" if name == own.HEADRACE and connections == CONNECTIONS[-1] else ""
            rate = each.single[connections].rate
            results.append(Result(work, name, rate, "req/s", target=target, note=each.note))
    work, size = f"{LARGE} rows, {_BATCH_CONNECTIONS} conn.", str(LARGE)
    results += [
        Result(work, "onnxruntime", alone[size] / LARGE, "calls/s", floor=True),
        Result(work, "bytes to bytes, no HTTP", through[size] / LARGE, "calls/s"),
    ]
    for name, each in found.items():
        target = "0.8 x floor" if name == own.HEADRACE else ""
        for form, batch in each.batches.items():
            results.append(Result(work, f"{name}{form}", batch.rate, "req/s", target=target))
    return results


def _costs(floor: dict[str, dict[str, float]], found: dict[str, _Measured]) -> list[Result]:
    """Latencies, processor time, memory, and how long a start takes.

    Processor time depends less on what else a machine does than rates do.
    """
    most = CONNECTIONS[-1]
    single, large = f"CPU a request, {most} conn.", f"CPU a request, {LARGE} rows"
    results = [
        Result(work, name, floor[form][size], "ms", floor=form == "bytes_cpu")
        for work, size in ((single, "1"), (large, str(LARGE)))
        for name, form in (("onnxruntime", "model_cpu"), ("bytes to bytes, no HTTP", "bytes_cpu"))
    ]
    for name, each in found.items():
        target = "< 2 s" if name == own.HEADRACE else ""
        for connections, under in each.single.items():
            results += [
                Result(f"p50, {connections} conn.", name, under.p50, "ms"),
                Result(f"p99, {connections} conn.", name, under.p99, "ms"),
            ]
        results += [
            Result(single, name, each.single[most].cpu, "ms"),
            *(Result(large, f"{name}{form}", batch.cpu, "ms") for form, batch in each.batches.items()),
            Result(f"memory, {most} conn.", name, each.single[most].memory, "MiB"),
            Result("cold start", name, each.cold, "s", target=target),
        ]
    return sorted(results, key=lambda result: result.work.partition(",")[0])


def _tail(found: dict[str, _Measured]) -> list[Result]:
    """The slowest answers where no queue should be: an open load of half of what Headrace can answer."""
    results = []
    for name, each in found.items():
        for under in each.opened:
            bare = name == own.RAW
            target = "" if bare else "1.5 x floor"
            results += [
                Result("open load, p50", name, under.p50, "ms", floor=bare),
                Result("open load, p99", name, under.p99, "ms", floor=bare, target=target),
            ]
    return sorted(results, key=lambda result: result.work)


def _keep(name: str, floor: dict[str, dict[str, float]], found: dict[str, _Measured], missing: dict[str, str]) -> None:
    """Write all that this round has found into a file of its own."""
    RAW.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    servers = {name: asdict(each) for name, each in found.items()}
    report = {"at": now.isoformat(timespec="seconds"), "floor": floor, "servers": servers, "not_run": missing}
    (RAW / f"{name}-{now:%Y%m%dT%H%M%S}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

"""Run the benchmarks: `python -m benchmarks [NAME ...]`. See README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from benchmarks.support import slow_disk, venvs
from benchmarks.support.figures import BenchError, Options, summarise, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from benchmarks.support.figures import Result, Summary


class Module(Protocol):
    """What a benchmark's module has to offer."""

    def run(self, options: Options) -> list[Result]:
        """Measure everything once. Repeating is the runner's: it takes turns between the benchmarks."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: its module, what it measures, and how many rounds it is worth at most.

    One that is not `alone` is compared with the floor, which then runs beside it.
    """

    module: str
    about: str
    rounds: int
    alone: bool = False


FLOOR = "floor"
BENCHES = {
    FLOOR: Bench("benchmarks.floor", "one SQLite transaction with fsync a step: chain, fan-out", 99),
    "steps": Bench("benchmarks.headrace_steps", "Headrace: chain, fan-out", 99),
    "crash": Bench("benchmarks.headrace_crash", "Headrace: kill -9 in a chain, to the first new step", 99, alone=True),
    "plan": Bench("benchmarks.headrace_plan", "Headrace: a plan of 1,000 unchanged nodes", 99, alone=True),
    "startup": Bench("benchmarks.startup", "Headrace: --help and plan, from start to end", 99, alone=True),
    "honest": Bench("benchmarks.honest", "The flights' AUC: leaking join, as declared, published daily", 1, alone=True),
    "serving": Bench("benchmarks.serving.bench", "one model behind Headrace and other servers", 3, alone=True),
    "forest": Bench("benchmarks.serving.forest", "the same with trees that are fully grown", 3, alone=True),
    "lookup": Bench("benchmarks.serving.lookup", "100 entities from the online store, and from Feast's", 3, alone=True),
    "drift": Bench("benchmarks.drift", "50 columns x 1M rows against their reference", 5, alone=True),
    "ingest": Bench("benchmarks.ingest", "a CSV of 10M flights to a committed table; memory", 3, alone=True),
    "append": Bench("benchmarks.append", "a 1,000-row append at commit 10, 1,000 and 10,000", 1, alone=True),
    "wide": Bench("benchmarks.drift_wide", "1,000 columns x 10M rows against their reference", 1, alone=True),
    "join": Bench("benchmarks.join", "1M labels on 10M rows, as of their times; Polars alone, Feast", 3, alone=True),
    "rolling": Bench("benchmarks.rolling", "7-day features of 30M rows; DuckDB, PySpark; a new day", 1, alone=True),
    "evidently": Bench("benchmarks.rivals.evidently.bench", "Evidently: 50 columns x 1M rows, PSI", 1, alone=True),
    "incremental": Bench("benchmarks.incremental", "one new day of 1M rows against a rebuild", 5, alone=True),
    "events": Bench(
        "benchmarks.events", "Headrace: from an event over HTTP to the first line of its task", 2, alone=True
    ),
    "replay": Bench("benchmarks.replay", "a year of flights under four policies, on two cores", 2, alone=True),
    "rules": Bench("benchmarks.rules", "12 rules on 10M rows: a contract, and one pass by hand", 3, alone=True),
    "rules-rivals": Bench("benchmarks.rivals.rules", "the same by pandera and three others", 1, alone=True),
    "prefect-events": Bench(
        "benchmarks.rivals.prefect.events", "Prefect: the same, by a run of a deployment", 1, alone=True
    ),
    "airflow-events": Bench("benchmarks.rivals.airflow.events", "Airflow: the same, by a run of a DAG", 1, alone=True),
    "prefect": Bench("benchmarks.rivals.prefect.bench", "Prefect with a local server: chain, fan-out", 3),
    "dagster": Bench("benchmarks.rivals.dagster.bench", "Dagster in process: chain, fan-out", 3),
    "airflow": Bench("benchmarks.rivals.airflow.bench", "Airflow's scheduler on PostgreSQL: chain, fan-out", 2),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for. Returns the exit status: 1 when a benchmark could not be carried out."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    rivals = sorted(path.parent.name for path in venvs.RIVALS.glob("*/requirements.in"))
    known = rivals if arguments.lock else list(BENCHES)
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"nothing is called {', '.join(unknown)}; there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, _leave)
    if arguments.list:
        print("\n".join(f"{name:10} {bench.about}" for name, bench in BENCHES.items()))
        return 0
    if arguments.lock:
        for rival in arguments.names or rivals:
            venvs.lock(rival)
        return 0
    if arguments.fsync and slow_disk.EXTRA not in os.environ:
        return slow_disk.again(sys.argv[1:] if argv is None else argv, arguments.fsync)
    return _measure(arguments)


def _measure(arguments: argparse.Namespace) -> int:
    names = arguments.names or list(BENCHES)
    if FLOOR not in names and any(not BENCHES[name].alone for name in names):
        names = [FLOOR, *names]
    machine = _machine(arguments.scratch)
    print("  ".join(f"{name}: {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="headrace-bench-") as scratch:
        Path(scratch).chmod(0o711)  # a server that refuses to run as root has to pass through as another user
        options = Options(arguments.chain, arguments.fan, Path(scratch), arguments.share)
        results, broken = _rounds(names, arguments.rounds, options)
    summaries = summarise(results)
    print(table(summaries))
    if arguments.json:
        _write_json(arguments.json, machine, summaries, broken)
    return 1 if broken else 0


def _rounds(names: Sequence[str], rounds: int, options: Options) -> tuple[list[Result], dict[str, str]]:
    """Take turns: A B C, A B C, ... so that a slow minute of the machine falls on all of them.

    Returns the measurements, and what went wrong by benchmark. One that cannot be carried out is left out from then on.
    """
    results: list[Result] = []
    broken: dict[str, str] = {}
    for number in range(rounds):
        for name in names:
            if name in broken or number >= BENCHES[name].rounds:
                continue
            begin = time.perf_counter()
            try:
                results += cast("Module", import_module(BENCHES[name].module)).run(options)
            except BenchError as error:
                broken[name] = str(error)
                print(f"{name}: {error}", file=sys.stderr)
            else:
                print(f"round {number + 1}: {name} in {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    return results, broken


def _machine(scratch: Path) -> dict[str, str]:
    """What the figures depend on. A load far above zero before the first round says that they are noisy."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": load,
        "scratch": f"{scratch} ({_file_system(scratch)})",
        **({"fsync": f"{int(more) / 1000:g} ms longer"} if (more := os.environ.get(slow_disk.EXTRA)) else {}),
    }


def _file_system(path: Path) -> str:
    """The kind of file system that a path lies on: the mount with the longest matching prefix; the last one wins."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return max(((mount, kind) for mount, kind in mounts if path.resolve().is_relative_to(mount)), key=_length)[1]


def _length(mount: tuple[str, str]) -> int:
    return len(mount[0])


def _write_json(path: Path, machine: dict[str, str], summaries: Sequence[Summary], broken: dict[str, str]) -> None:
    report = {"machine": machine, "results": [summary.to_json() for summary in summaries], "not_run": broken}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _leave(number: int, _frame: FrameType | None) -> None:
    """A request to end unwinds the stack, so that no child is left behind."""
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against a floor and rivals.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all without any")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--lock", action="store_true", help="write the rivals' requirements.txt again, and run nothing")
    parser.add_argument("--rounds", type=int, default=5, help="turns; the slow ones take fewer (default 5)")
    parser.add_argument("--chain", type=int, default=200, help="steps of the chain (default 200)")
    parser.add_argument("--fan", type=int, default=500, help="steps side by side, before the join (default 500)")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of join and rolling (default 1)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a folder on a real disk")
    parser.add_argument("--fsync", type=float, default=0.0, metavar="MS", help="as on a disk whose fsync takes MS more")
    parser.add_argument("--json", type=Path, help="write everything measured to this file as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())

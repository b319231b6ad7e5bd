"""Some months of a life that looks after itself, for `scenes/year.sh`: undisturbed, or while processes are killed.

`python -m tests.support.year FOLDER [SEED]` plays it in a new folder. With a seed, supervisors, applies, workers and
servers are killed at random moments of each act, and started again. `FOLDER/end.json` then says where the environment
ended, in terms that do not depend on how often it was disturbed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from headrace.cli.demo.data import Year
from headrace.errors import HeadraceError
from headrace.ports.predictions import is_predictions
from headrace.project.fired import latest
from headrace.project.monitoring import monitors_of, notes_of
from headrace.project.pacing import Pacing
from headrace.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.ports.records import Snapshot

PROJECT: Final = Path(__file__).parents[2] / "src" / "headrace" / "cli" / "demo" / "project"
MARK: Final = "HEADRACE_YEAR_LIFE"
"""The variable that tells the processes of a life from all others."""
SHARE: Final = 4
"""One flight in so many takes part."""
ASKED: Final = 1_200
"""Flights that the endpoint is asked about in an act."""
FEW: Final = 100
KM_FROM: Final = 11
"""The day of April from which on distances are kilometres."""
KILLS: Final = 4
"""How many processes are killed in an act."""
PATIENCE: Final = 420.0
TRIGGER: Final = "lateness-on-month.closed"
LOOP: Final = """

from headrace import drift, event, pause, rollback

# The model is made again when a month is closed, stays where it is while distances look odd, and goes back when labels
# say that it is no good.
flights.trigger(lateness, on=event("month.closed"))
flights.monitor(
    "odd", scores, when=drift("distance") > 0.25, then=pause(lateness), over=600, cooldown="5s", budget=None
)
flights.monitor(
    "worse", scores, when=metric("roc_auc") < 0.58, then=rollback(scores), over=1000, rows=500, settle="0s",
    cooldown="5s", budget=None,
)
"""
TOLD: Final = """
quarantine_share = 0.0005

[notify.book]
to = "log:notices.jsonl"
"""


def say(text: str) -> None:
    """Tell what happens in the world outside."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Disturber:
    """Kills any process of a life now and then: a few in each act, none without a seed."""

    def __init__(self, mark: str, seed: int | None) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._chance = None if seed is None else random.Random(seed)  # noqa: S311 - whom to kill is no secret
        self._left = 0
        self._due = 0.0
        self.killed = 0

    def begin_act(self) -> None:
        """From now on, a few more."""
        self._left = KILLS

    def look(self) -> None:
        """Kill one, if its time has come."""
        if self._chance is None or not self._left or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._chance.uniform(0.1, 2.5)
        found = sorted(self.processes())
        if found:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(found), signal.SIGKILL)
                self._left -= 1
                self.killed += 1

    def processes(self) -> Iterator[int]:
        """All processes of the life."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if self._mark in (entry / "environ").read_bytes():
                        yield int(entry.name)


class Life:
    """A project that two supervisors look after, one of them standing by; either is started again when it is gone."""

    def __init__(self, folder: Path, seed: int | None) -> None:
        self.folder = folder
        self.year = Year()
        mark = uuid.uuid4().hex
        self.disturber = Disturber(mark, seed)
        self._environment = {**os.environ, MARK: mark}
        self._ports = free_ports()
        self._supervisors: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True)
        code = (PROJECT / "pipeline.py").read_text().partition("# 6.")[0]
        limit = "distance: int = column(gt=0, le=4983)  # miles, as far as Honolulu"
        (folder / "pipeline.py").write_text(code.replace("distance: int = column(gt=0)  # miles", limit) + LOOP)
        (folder / "headrace.toml").write_text((PROJECT / "headrace.toml").read_text() + TOLD)

    def attend(self) -> None:
        """Start the supervisors that are missing, after somebody may have been killed."""
        self.disturber.look()
        self._supervisors = [each for each in self._supervisors if each.poll() is None]
        while len(self._supervisors) < 2:
            address = ["--port", str(self._ports[0]), "--control", f"127.0.0.1:{self._ports[1]}"]
            self._supervisors.append(self._started("up", "--watch", "250ms", *address))

    def until(self, what: str, holds: Callable[[Workspace], bool]) -> None:
        """Wait until something holds of the project; what is just being written or killed does not yet."""
        limit = time.monotonic() + PATIENCE
        while True:
            self.attend()
            with suppress(HeadraceError), Workspace.open(self.folder) as workspace:
                workspace.reload()  # its code may have been changed
                if holds(workspace):
                    break
            if time.monotonic() > limit:
                said = (self.folder / "said.log").read_text()[-3_000:]
                sys.exit(f"FAILED: it never came to this: {what}\n{said}")
            time.sleep(0.2)
        say(f"  {what}")

    def run(self, *arguments: str) -> None:
        """Run the command line by hand, again if it was killed."""
        say(f"  $ headrace {' '.join(arguments)}")
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            process = self._started(*arguments)
            while process.poll() is None:
                self.attend()
                time.sleep(0.1)
            code = process.returncode
        if code:
            sys.exit(f"FAILED: headrace {' '.join(arguments)} ended with {code}")

    def post(self, path: str, body: object, kind: str = "application/json", *, control: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Ask one of the servers, again until there is one that answers."""
        address = f"http://127.0.0.1:{self._ports[control]}{path}"
        limit = time.monotonic() + PATIENCE
        while True:
            self.attend()
            request = urllib.request.Request(address, json.dumps(body).encode(), {"content-type": kind})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own
                    return json.load(answer)
            except (OSError, ValueError) as error:  # nobody is there, or was killed while it answered
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if refused or time.monotonic() > limit:
                    raise
                time.sleep(0.2)

    def end(self) -> None:
        """Have the supervisors end in good order."""
        for each in self._supervisors:
            each.terminate()
        for each in self._supervisors:
            each.wait(120)
        limit = time.monotonic() + PATIENCE
        while left := list(self.disturber.processes()):
            if time.monotonic() > limit:
                sys.exit(f"FAILED: {left} outlived their supervisors")
            time.sleep(0.1)

    def remove(self) -> None:
        """Leave no process behind, however it ended."""
        for each in self.disturber.processes():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def _started(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("headrace")), *arguments]
        with (self.folder / "said.log").open("ab") as said:
            return subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=said, stderr=said)


class World:
    """What happens outside: months of flights come in, somebody asks about flights, a month is closed."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._arrived: set[int] = set()
        self._closed = 0

    def flights(self, month: int, *, km: bool = False) -> pl.DataFrame:
        """A part of the flights of a month; from a day on, distances in kilometres if there are to be `km`."""
        with_month = self._life.folder / "outside"
        target = with_month / "data" / "flights" / f"2013-{month:02d}.csv.gz"
        if not target.exists():
            self._life.year.arrive(month, with_month)
        rows = pl.read_csv(target, null_values=["NA", ""], infer_schema_length=None)
        rows = rows.gather_every(SHARE)
        if not km:
            return rows
        in_km = (pl.col("distance") * 1.609344).round().cast(pl.Int64)
        return rows.with_columns(pl.when(pl.col("day") >= KM_FROM).then(in_km).otherwise("distance").alias("distance"))

    def arrive(self, month: int, *, km: bool = False) -> None:
        """The files of a month appear, or appear again; wait until tables and features are made of them."""
        rows = self.flights(month, km=km)
        data = self._life.folder / "data"
        name = f"2013-{month:02d}.csv.gz"
        for folder in ("weather", "flights"):
            (data / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(self._life.folder / "outside" / "data" / "weather" / name, data / "weather" / name)
        draft = self._life.folder / f"{name}.draft"
        draft.write_bytes(gzip.compress(rows.write_csv().encode(), mtime=0))
        draft.rename(data / "flights" / name)
        self._arrived.add(month)

    def wait_for_data(self) -> None:
        """Wait until tables and features are made of all that has arrived."""
        self._life.until("tables and features are made of it", self._is_made)

    def close_month(self) -> None:
        """Tell that a month is complete, and wait for what comes of it."""
        self._closed += 1
        event = {"specversion": "1.0", "id": str(self._closed), "source": "/airports", "type": "month.closed"}
        say(f"  POST /events {json.dumps(event)}")
        self._life.post("/events", event, "application/cloudevents+json", control=True)
        self._life.until("its trigger has fired, and is done", self._is_closed)

    def ask(self, month: int, days: range, *, km: bool = False, unknown: tuple[str, ...] = ()) -> str:
        """Ask about flights of these days; answers which model said so last.

        It is asked an hour ahead of each, unless the month has come in: then what was known is known no more, and it is
        asked about a few of them as of now.
        """
        ahead = month not in self._arrived
        rows = self.flights(month, km=km).filter(pl.col("day").is_in(list(days))).sort("time_hour")
        rows = rows.head(ASKED if ahead else FEW)
        rows = rows.with_columns(
            pl.format("{}{}-{}-{}", "carrier", "flight", "origin", pl.date("year", "month", "day")).alias("flight_id"),
            pl.col("time_hour").str.to_datetime(time_zone="UTC"),
        )
        model = ""
        for hour, part in groupby(rows.iter_rows(named=True), key=lambda row: row["time_hour"]):
            inputs = ("flight_id", "carrier", "origin", "distance", "hour")
            records = [{name: row[name] for name in inputs} | dict.fromkeys(unknown) for row in part]
            body = {"records": records, "at": (hour - timedelta(hours=1)).isoformat() if ahead else None}
            model = str(self._life.post("/predict/scores", body)["model"])
        when = "an hour ahead" if ahead else "as of now"
        say(f"  {rows.height} flights of {days[0]} to {days[-1]} {MONTHS[month]}, {when}: answered by {model[:12]}")
        return model

    def _is_made(self, workspace: Workspace) -> bool:
        snapshot = workspace.ledger.snapshot("prod")
        version = workspace.ledger.version(snapshot.pointers["raw_flights"])
        unpaced = Pacing.of(workspace.pipeline, workspace.graph).unpaced
        to_do = {each.node for each in workspace.plan(workspace.question()).to_do} & unpaced
        complete = version is not None and len(version.batches) == len(self._arrived)
        return complete and not to_do and not workspace.ledger.leases() and is_loaded(snapshot)

    def _is_closed(self, workspace: Workspace) -> bool:
        fired = [each for each in latest(workspace.ledger, "prod", TRIGGER, 2 * self._closed + 2) if each.fired]
        done = len(fired) == self._closed and fired[0].outcome is not None
        return done and not workspace.ledger.leases() and is_loaded(workspace.ledger.snapshot("prod"))


MONTHS: Final = {1: "January", 2: "February", 3: "March", 4: "April", 5: "May"}


def is_loaded(snapshot: Snapshot) -> bool:
    """Whether a server has loaded what the environment points to."""
    return "scores" in snapshot.pointers and snapshot.pointers["scores"] == snapshot.pointers.get("scores.settled")


def noted(name: str, kind: str) -> Callable[[Workspace], bool]:
    """Whether the last note of a monitor is of this kind."""
    return lambda workspace: [each.kind.value for each in notes_of(workspace, "prod", name)][-1:] == [kind]


def live(workspace: Workspace) -> str:
    """The model whose answers are given."""
    endpoint = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["scores"])
    return "" if endpoint is None else next(key for node, key in endpoint.inputs if node == "lateness")


def free_ports() -> tuple[int, int]:
    """Two ports that nobody uses."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def play(life: Life) -> None:
    """The story."""
    world = World(life)

    def act(text: str) -> None:
        say(f"\n{text}")
        life.disturber.begin_act()

    act("January and February are there: the first model goes live.")
    world.arrive(1)
    world.arrive(2)
    life.until("the first model answers", _settled)
    world.wait_for_data()
    with Workspace.open(life.folder) as workspace:
        first = live(workspace)

    act("March: flights are asked about, then the month comes in with their labels, and is closed.")
    expect(world.ask(3, range(1, 8)) == first, "the first model answers")
    world.arrive(3)
    world.wait_for_data()
    world.close_month()
    life.until("a second model answers", lambda workspace: live(workspace) != first and _settled(workspace))
    with Workspace.open(life.folder) as workspace:
        second = live(workspace)

    act(f"April: from {KM_FROM} April on, distances are kilometres, in the requests and in the file.")
    world.ask(4, range(8, 16), km=True)
    life.until("the monitor has noticed, and holds the model where it is", noted("odd", "acted"))
    life.until("the model is held", lambda workspace: "lateness" in workspace.ledger.snapshot("prod").holds)
    world.arrive(4, km=True)
    world.wait_for_data()
    life.until("flights to Honolulu are set aside: they are too far", _has_quarantine)
    world.close_month()
    with Workspace.open(life.folder) as workspace:
        expect(live(workspace) == second, "no model has learnt from kilometres")

    act("The file of April is repaired, miles come in again, and the model is released.")
    world.arrive(4)
    world.wait_for_data()
    world.ask(5, range(1, 8))
    life.until("the alert is cleared", noted("odd", "cleared"))
    life.run("release", "lateness")
    world.close_month()
    life.until("a third model answers", lambda workspace: live(workspace) != second and _settled(workspace))
    with Workspace.open(life.folder) as workspace:
        third = live(workspace)

    act("Somebody gives the model the delay itself, which nobody knows when it is asked. It passes its gate with ease.")
    leak(life.folder / "pipeline.py")
    life.run("apply", "--quiet")
    life.until("a fourth model answers", lambda workspace: live(workspace) != third and _settled(workspace))

    act("May: flights are asked about; then the month comes in, and with it the labels.")
    expect(world.ask(5, range(8, 16), unknown=("dep_delay",)) not in (first, second, third), "the fourth model answers")
    world.arrive(5)
    life.until("the labels tell; the third is back", lambda workspace: live(workspace) == third and _held(workspace))
    world.wait_for_data()
    expect(world.ask(5, range(16, 20)) == third, "the third model answers")


def _settled(workspace: Workspace) -> bool:
    return is_loaded(workspace.ledger.snapshot("prod"))


def _held(workspace: Workspace) -> bool:
    return "scores" in workspace.ledger.snapshot("prod").holds


def _has_quarantine(workspace: Workspace) -> bool:
    version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["departures"])
    return version is not None and int(version.manifest.facts.get("quarantined", 0)) > 0


def leak(module: Path) -> None:
    """Let the table keep the delay, and the model have it."""
    code = module.read_text()
    for before, after in (
        ("    late: bool | None", "    dep_delay: float | None\n    late: bool | None"),
        (
            '        (pl.col("dep_delay") >',
            '        pl.col("dep_delay").cast(pl.Float64),\n        (pl.col("dep_delay") >',
        ),
        ('inputs=["carrier",', 'inputs=["dep_delay", "carrier",'),
    ):
        expect(before in code, before)
        code = code.replace(before, after, 1)
    module.write_text(code)


def expect(holds: bool, what: str) -> None:
    """What must be so."""
    if not holds:
        sys.exit(f"FAILED: it is not so that {what}")


def ended(folder: Path) -> dict[str, Any]:
    """Where the environment ended: pointers and holds, decisions of gates, and what monitors noted, each once."""
    with Workspace.open(folder) as workspace:
        ledger = workspace.ledger
        ledger.verify()
        snapshot = ledger.snapshot("prod")
        keys = [each.key for each in ledger.versions("lateness")]
        gates = {each.key: each for each in ledger.decisions(keys) if each.node == "lateness"}
        return {
            "pointers": {name: key for name, key in snapshot.pointers.items() if not is_predictions(name)},
            "held": sorted(snapshot.holds),
            "models": sorted(keys),
            "gates": sorted([each.candidate, each.passed] for each in gates.values()),
            "monitors": {each.node: _kinds(workspace, each.node) for each in monitors_of(workspace, "prod")},
            "leases": [each.node for each in ledger.leases()],
        }


def _kinds(workspace: Workspace, name: str) -> list[str]:
    """One who is killed between a note and its action acts again when the cooldown is over: that counts once."""
    kinds = [note.kind.value for note in notes_of(workspace, "prod", name) if note.kind.value != "withheld"]
    return [kind for kind, _ in groupby(kinds)]


def main() -> None:
    """Play it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no process behind
    folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    life = Life(folder, seed)
    try:
        play(life)
        life.end()
    finally:
        life.remove()
    (folder / "end.json").write_text(json.dumps(ended(folder), indent=1, sort_keys=True))
    say(f"\nThe end, after {life.disturber.killed} kills.")


if __name__ == "__main__":
    main()

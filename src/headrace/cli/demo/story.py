"""What the demo shows, step by step. Every line that begins with `$` is a command that runs as you would run it."""

from __future__ import annotations

import shutil
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from headrace.cli.demo.data import BROKEN_DISTANCES, BROKEN_MONTH, BROKEN_ORIGINS, MONTHS, Year
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[[Path, list[str]], int]
    Say = Callable[[str], None]

_WORSE = (
    "features=[CarrierHistory, AirportHistory, origin_weather],",
    "features=[],",
)
_BETTER = (
    'inputs=["carrier", "origin", "distance", "hour"],',
    'inputs=["carrier", "origin", "dest", "distance", "hour"],',
)

_ARRIVALS = ((1,), (2,), (3,), (4, 5, 6), (7, 8, 9), (10, 11, 12))
_IMPORTS = (
    ("    count,\n    files,", "    count,\n    drift,\n    files,"),
    ("    time_split,", "    retrain,\n    time_split,"),
)
_MONITORS = """
# 6. Monitors close the loop: `headrace up` has the model made again when the truth turns out worse than this, or when
# its answers are no longer spread as they were. Its gate decides as ever.
flights.monitor(
    "late_quality", scores, when=metric("roc_auc") < 0.74, then=retrain(lateness), over="14d", cooldown="8w"
)
flights.monitor(
    "answers_drift", scores, when=drift("prediction") > 0.25, then=retrain(lateness), over="7d", cooldown="8w"
)
"""

NEXT = """
What to do next, in {folder}
  pipeline.py                       the whole pipeline, on one page: change a line, then
  headrace plan try                 see exactly what that would change, and why
  headrace why lateness             from the model down to the files and their rows
  headrace query "select carrier, avg(late::int) as late from departures group by 1 order by 2 desc"
  headrace replay --report replay.html
  python -c 'import headrace; print(headrace.open("prod").table("departures").collect())'
"""


class Demo:
    """The story. `command` runs a verb of the command line in the project's folder and answers its exit code."""

    def __init__(self, folder: Path, command: Command, say: Say) -> None:
        self._folder = folder
        self._command = command
        self._say = say

    def tell(self) -> None:
        """All of it, in order."""
        self._lay_out()
        self._months()
        self._quarantine()
        self._refusal()
        self._promotion()
        self._rollback()
        self._loop()
        self._say(NEXT.format(folder=self._folder))

    def _lay_out(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in ("pipeline.py", "headrace.toml"):
            with (resources("headrace.cli.demo") / "project" / file).open("rb") as source:
                (self._folder / file).write_bytes(source.read())
        self._say(f"A project in {self._folder}: pipeline.py declares sources, a table, features and a gated model.\n")
        self._run("check")

    def _months(self) -> None:
        """A month at a time, then three at once: what has been landed is never read again, however it came."""
        year = Year()
        for months in _ARRIVALS:
            for month in months:
                year.arrive(month, self._folder)
            rows = sum(year.rows(month) for month in months)
            span = " to ".join(f"2013-{month:02d}" for month in dict.fromkeys((months[0], months[-1])))
            self._say(f"\n{rows:,} flights of {span} arrive.")
            if months[0] == MONTHS[0]:
                self._run("plan")
            self._run("apply")

    def _quarantine(self) -> None:
        self._say(
            f"\nThe file of 2013-{BROKEN_MONTH:02d} was broken on purpose: {BROKEN_ORIGINS} flights from an airport "
            f"that does not exist, {BROKEN_DISTANCES} with a negative distance. They were set aside, the rest went on."
        )
        self._run("quarantine", "departures", "--limit", "3")

    def _refusal(self) -> None:
        self._say("\nA change, in an environment of its own that copies nothing: the model without any history.")
        self._edit(_WORSE)
        self._run("plan", "try")
        self._run("apply", "try", expected=4)
        self._say("The gate refused it: it is worse than what is live. Nothing went live, in either environment.")

    def _promotion(self) -> None:
        self._say("\nAnother change instead: the destination as one more input.")
        self._edit((_WORSE[1], _WORSE[0]))
        self._edit(_BETTER)
        self._run("plan", "try")
        self._run("apply", "try")
        self._say("\nIt passed. Promotion moves pointers in one transaction, and computes nothing.")
        self._run("promote", "try", "prod")

    def _rollback(self) -> None:
        self._say("\nAnd back: the model returns to its last version, and stays there until it is released.")
        self._run("rollback", "lateness")
        self._run("plan")
        self._run("release", "lateness")
        self._run("apply")
        self._run("status")

    def _loop(self) -> None:
        self._say("\nTwo monitors close the loop. They are declared like everything else, at the end of pipeline.py:")
        module = self._folder / "pipeline.py"
        text = module.read_text(encoding="utf-8")
        for before, after in _IMPORTS:
            text = text.replace(before, after, 1)
        module.write_text(text + _MONITORS, encoding="utf-8")
        self._say("".join(f"  + {line}\n" for line in _MONITORS.splitlines() if line and not line.startswith("#")))
        self._run("apply")
        self._say(
            "\nDoes the loop pay? The year once more, on a simulated clock, each flight known when it was: with the"
            " model of January to the end, and with one that is made again when its quality falls."
        )
        period = ("--from", "2013-01-01", "--to", "2013-12-31", "--every", "7d")
        self._run("replay", *period, "--policy", "none,quality", "--report", str(self._folder / "year.html"))

    def _edit(self, change: tuple[str, str]) -> None:
        module = self._folder / "pipeline.py"
        text = module.read_text(encoding="utf-8")
        before, after = change
        if before not in text:
            raise HeadraceError("HR862", f"{module} has no line {before!r}")
        module.write_text(text.replace(before, after), encoding="utf-8")
        self._say(f"  - {before}\n  + {after}")

    def _run(self, *words: str, expected: int = 0) -> None:
        self._say(f"\n$ headrace {' '.join(words)}")
        code = self._command(self._folder, list(words))
        if code != expected:
            raise HeadraceError("HR863", f"`headrace {' '.join(words)}` ended with {code} instead of {expected}")


def clear(folder: Path) -> None:
    """Remove what an earlier demo left; refuses anything that is not a demo."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "pipeline.py").is_file() or "Will this flight leave late?" not in (
        folder / "pipeline.py"
    ).read_text(encoding="utf-8"):
        raise HeadraceError("HR861", f"{folder} exists and is no demo of headrace")
    shutil.rmtree(folder)

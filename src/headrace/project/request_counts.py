"""How many requests a server has answered with which status, kept beside the prediction log.

The server's processes count in memory (see `endpoints.figures`); whoever looks after them writes the differences down
every few seconds, one line for each time, in a file for each day. A power cut, or a kill of the server's parent, loses
the counts of the last seconds. Files are kept for 35 days.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.adapters.places import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Totals = Mapping[tuple[str, int], int]

KEPT: Final = timedelta(days=35)
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_REFUSED: Final = frozenset({400, 413, 415, 422})
"""What does not fit. A caller without a token (401, 403) or with a wrong address (404, 405) is nobody's failure."""
_GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a window.

    `failures` are those that the server did not answer, or turned away under load; `refused` did not fit.
    """

    answered: int = 0
    failures: int = 0
    refused: int = 0

    @property
    def all(self) -> int:
        """How many there were."""
        return self.answered + self.failures + self.refused


def folder_of_counts(state: Path, environment: str) -> Path:
    """Where the counts of an environment lie; `state` is the project's own folder."""
    return state / "requests" / safe_name(environment)


@dataclass(slots=True)
class RequestCounts:
    """Writes down what one server has counted. `totals` tells the counts since the server began."""

    folder: Path
    totals: Callable[[], Totals]
    _written: dict[tuple[str, int], int] = field(default_factory=dict)
    _day: str = ""

    def write(self, now: datetime) -> None:
        """Append what has come in since the last time. Raises OSError where the disk takes nothing; it is kept then."""
        totals = self.totals()
        more = [[*each, count - before] for each, count in totals.items() if count > (before := self._before(each))]
        if not more:
            return
        day = f"{now.astimezone(UTC):%Y-%m-%d}"
        if day != self._day:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._forget(now)
            self._day = day
        line = json.dumps([round(now.timestamp() * 1e6), more], separators=(",", ":"))
        with (self.folder / f"{day}.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._written = dict(totals)

    def _before(self, each: tuple[str, int]) -> int:
        return self._written.get(each, 0)

    def _forget(self, now: datetime) -> None:
        """Remove the files of days that nobody asks for any more."""
        first = f"{(now - KEPT).astimezone(UTC):%Y-%m-%d}"
        for path in self.folder.glob("*.jsonl"):
            if path.stem < first:
                path.unlink(missing_ok=True)


def requests_of(folder: Path, endpoint: str, since: datetime, now: datetime) -> Requests:
    """The requests of an endpoint that were counted from `since` to `now`, by all servers of the environment."""
    answered = failures = refused = 0
    first, last = (round(each.timestamp() * 1e6) for each in (since, now))
    for at, counts in _lines(folder, since, now):
        for name, status, count in counts if first <= at <= last else ():
            if name == endpoint:
                answered += count if status in _GOOD else 0
                failures += count if status >= _SERVER_ERROR or status == _TOO_MANY else 0
                refused += count if status in _REFUSED else 0
    return Requests(answered, failures, refused)


def _lines(folder: Path, since: datetime, now: datetime) -> Iterator[tuple[int, list[tuple[str, int, int]]]]:
    """What was written down on the days of a window. The torn line of a writer that was killed is left out."""
    day = since.astimezone(UTC).date()
    while day <= now.astimezone(UTC).date():
        path = folder / f"{day:%Y-%m-%d}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                at, counts = json.loads(line)
                found = [(str(name), int(status), int(count)) for name, status, count in counts]
            except (ValueError, TypeError):
                continue
            yield int(at), found
        day += timedelta(days=1)

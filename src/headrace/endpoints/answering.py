"""The service: it checks a call, has its rows scored, and says what came of it."""

from __future__ import annotations

import asyncio
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from headrace.endpoints.batching import Batches, Waiting
from headrace.endpoints.checking import Checker
from headrace.endpoints.service import Answered, Lane, Scored, together
from headrace.endpoints.statuses import status_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.figures import Figures
    from headrace.endpoints.service import Call, Lanes, PredictionLog, Served
    from headrace.endpoints.tracing import Tracing

_SERVER_ERROR = 500
_WARNINGS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What protects a server from its callers: bytes of a body, rows of a request, rows that wait, seconds."""

    body: int = 16 << 20
    rows: int = 10_000
    waiting: int = 50_000
    seconds: float = 30.0


class AnsweringService:
    """Implements `headrace.endpoints.service.Service`. Belongs to one event loop. `now`: microseconds since 1970."""

    def __init__(
        self, traffic: Lanes, log: PredictionLog, now: Callable[[], int], limits: Limits, figures: Figures
    ) -> None:
        self._traffic = traffic
        self.figures = figures
        self._now = now
        self.limits = limits
        self.batches = Batches(log, now, limits.seconds, limits.waiting)
        self.batches.sizes, self.batches.told = figures.batch, figures.predicted
        self.seconds = self.batches.seconds
        self._checkers: WeakKeyDictionary[Served, Checker] = WeakKeyDictionary()
        self._last: tuple[Served | None, Checker] = None, Checker(())
        self._explaining = ThreadPoolExecutor(max_workers=2, thread_name_prefix="explaining")
        self.tracing: Tracing | None = None
        self._besides: set[asyncio.Task[None]] = set()
        self._draining = False

    def measure_by(self, seconds: Callable[[], float]) -> None:
        """Tell time by a clock that is finer than the loop's, which may stand still for a millisecond."""
        self.seconds = self.batches.seconds = self.batches.stopwatch = seconds

    @property
    def traffic(self) -> Lanes:
        """See `Service`."""
        return self._traffic

    def ready(self) -> bool:
        """See `Service`."""
        return not self._draining and bool(self._traffic.endpoints())

    def drain(self) -> None:
        """Be no longer ready, so that no new caller comes; whoever is here gets an answer."""
        self._draining = True

    async def close(self) -> None:
        """Wait for what is asked besides, then end the threads. Nothing may be asked any more."""
        if self._besides:
            await asyncio.wait(self._besides)
        self.batches.close()
        self._explaining.shutdown(wait=False, cancel_futures=True)

    async def predict(self, call: Call) -> Answered:
        """See `Service`."""
        if len(call.rows) > self.limits.rows:
            raise HeadraceError("HR907", f"{len(call.rows)} rows, and {self.limits.rows} are allowed")
        cutoff = self._now() if call.at is None else call.at
        if call.version is None and len(call.rows) > 1 and self._traffic.divided(call.endpoint):
            return await self._divided(call, cutoff)
        lane = self._lane(call)
        served = lane.served
        checker = self._checker(served)
        rows = checker.check(call.rows)
        if rows is not call.rows:
            call = call._replace(rows=rows)
        if not rows:
            return Answered((), Scored(np.empty(0), (), ()), served.key, served.model)
        shadow = self._traffic.shadow(call.endpoint)
        if shadow is not None and call.version is None:
            self._ask_besides(shadow, call, cutoff)
        answered = await self._answered(lane, call, cutoff)
        warnings = self._warnings(call.endpoint, unknown) if (unknown := checker.unknown(rows)) else ()
        return answered._replace(warnings=warnings) if warnings else answered

    async def _answered(self, lane: Lane, call: Call, cutoff: int) -> Answered:
        """The answer of one version."""
        served, came = lane.served, self.seconds()
        ids, scored = await self._scored(lane, call, cutoff)
        if not call.top:
            return Answered(ids, scored, served.key, served.model)
        told = await self._explained(served, scored, call.top, came + self.limits.seconds)
        return Answered(ids, scored, served.key, served.model, told)

    async def _divided(self, call: Call, cutoff: int) -> Answered:
        """The answer to rows that go to one version or another, each by its entity."""
        places: dict[Lane, list[int]] = {}
        unknown: list[tuple[int, str, str]] = []
        for n, row in enumerate(call.rows):
            lane = self._traffic.lane(call.endpoint, row)
            checker = self._checker(lane.served)
            checker.check_one(n, row)
            unknown += [(n, name, value) for _, name, value in checker.unknown([row])]
            places.setdefault(lane, []).append(n)
        rows = call.rows
        calls = [call._replace(rows=[rows[n] for n in own], text=None) for own in places.values()]
        parts = await asyncio.gather(*map(self._answered, places, calls, repeat(cutoff)))
        answered = parts[0] if len(parts) == 1 else together(parts, list(places.values()))
        return answered._replace(warnings=self._warnings(call.endpoint, unknown))

    def _warnings(self, endpoint: str, unknown: Sequence[tuple[int, str, str]]) -> Sequence[str]:
        """What the caller should know although there is an answer."""
        for _, name, _ in unknown:
            self.figures.unknown(endpoint, name)
        told = [
            f"row {n}: {name!r} is {value!r:.60}, unknown to the model: it counts as missing"
            for n, name, value in unknown
        ]
        return [*told[:_WARNINGS], f"and {len(told) - _WARNINGS} more"] if len(told) > _WARNINGS else told

    async def _scored(self, lane: Lane, call: Call, cutoff: int) -> tuple[Sequence[str], Scored]:
        """Have the rows of a call scored in one lane, and count what fails."""
        loop = asyncio.get_running_loop()
        cutoffs = [cutoff] * len(call.rows)
        answer = loop.create_future()
        waiting = Waiting(call.endpoint, call.rows, cutoffs, self.seconds(), answer, lane.stage, call.text)
        self.batches.add(lane.served, waiting)
        try:
            return await (answer if self.tracing is None else self.tracing.scored(answer, call, lane))
        except HeadraceError as error:
            if status_of(error) >= _SERVER_ERROR:
                self.figures.failed(call.endpoint, lane.served.key)
            raise

    def _ask_besides(self, shadow: Lane, call: Call, cutoff: int) -> None:
        """Ask a version that nobody hears, once the request itself waits for its answer."""
        task = asyncio.get_running_loop().create_task(self._heard_by_nobody(shadow, call, cutoff))
        self._besides.add(task)
        task.add_done_callback(self._besides.discard)

    async def _heard_by_nobody(self, shadow: Lane, call: Call, cutoff: int) -> None:
        if self.batches.crowded:
            return
        try:
            self._checker(shadow.served).check(call.rows)
        except HeadraceError as error:  # a row that the present version takes must be taken by the next one
            self.figures.failed(call.endpoint, shadow.served.key)
            _log.debug("shadow %s: %s %s", shadow.served.key[:12], error.code, error.what)
            return
        with suppress(HeadraceError):  # it is counted
            await self._scored(shadow, call, cutoff)

    async def _explained(self, served: Served, scored: Scored, top: int, until: float) -> Sequence[Mapping[str, float]]:
        """What moved the predictions. `until`: when the request's time is over, in seconds of the loop.

        It has threads of its own: explanations that take long keep nobody else waiting.

        Raises:
            HeadraceError: HR914 when the time is over, HR919 when the model fails.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(until):
                told = await loop.run_in_executor(self._explaining, served.contributions, scored.features, top)
        except TimeoutError as error:
            raise HeadraceError("HR914", f"no explanation after {self.limits.seconds:g} seconds") from error
        except HeadraceError:
            raise
        except Exception as error:
            _log.exception("version %s explained nothing", served.key[:12])
            raise HeadraceError("HR919", f"version {served.key[:12]} raised {type(error).__name__}") from error
        if not all(math.isfinite(each) for row in told for each in row.values()):
            raise HeadraceError("HR919", f"version {served.key[:12]} explained by a number that is not finite")
        return told

    def _lane(self, call: Call) -> Lane:
        if call.version is not None:
            return Lane(self._traffic.version(call.endpoint, call.version))
        if not call.rows:
            return Lane(self._traffic.route(call.endpoint))
        return self._traffic.lane(call.endpoint, call.rows[0])

    def _checker(self, served: Served) -> Checker:
        last, checker = self._last
        if last is not served:
            found = self._checkers.get(served)
            if found is None:
                found = self._checkers[served] = Checker(served.fields)
            self._last, checker = (served, found), found
        return checker

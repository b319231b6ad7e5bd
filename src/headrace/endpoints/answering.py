"""The service: it checks a call, has its rows scored, and says what came of it."""

from __future__ import annotations

import asyncio
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from headrace.endpoints.batching import Batches, Waiting
from headrace.endpoints.checking import Checker
from headrace.endpoints.service import Answered, Scored
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.figures import Figures
    from headrace.endpoints.service import Call, PredictionLog, Served, Traffic

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
        self, traffic: Traffic, log: PredictionLog, now: Callable[[], int], limits: Limits, figures: Figures
    ) -> None:
        self._traffic = traffic
        self._figures = figures
        self._now = now
        self.limits = limits
        self.batches = Batches(log, now, limits.seconds, limits.waiting)
        self.batches.sizes = figures.batch
        self._checkers: WeakKeyDictionary[Served, Checker] = WeakKeyDictionary()
        self._explaining = ThreadPoolExecutor(max_workers=2, thread_name_prefix="explaining")
        self._draining = False

    @property
    def traffic(self) -> Traffic:
        """See `Service`."""
        return self._traffic

    def ready(self) -> bool:
        """See `Service`."""
        return not self._draining and bool(self._traffic.endpoints())

    def drain(self) -> None:
        """Be no longer ready, so that no new caller comes; whoever is here gets an answer."""
        self._draining = True

    async def predict(self, call: Call) -> Answered:
        """See `Service`."""
        if len(call.rows) > self.limits.rows:
            raise HeadraceError("HR907", f"{len(call.rows)} rows, and {self.limits.rows} are allowed")
        served = self._served(call)
        self._checker(served).check(call.rows)
        if not call.rows:
            return Answered((), Scored(np.empty(0), (), ()), served.key, served.model)
        loop = asyncio.get_running_loop()
        cutoff = self._now() if call.at is None else call.at
        waiting = Waiting(call.endpoint, call.rows, [cutoff] * len(call.rows), loop.time(), loop.create_future())
        self.batches.add(served, waiting)
        ids, scored = await waiting.answer
        self._figures.predicted(call.endpoint, served.key, scored, self._now())
        if not call.top:
            return Answered(ids, scored, served.key, served.model)
        told = await self._explained(served, scored, call.top, waiting.came + self.limits.seconds)
        return Answered(ids, scored, served.key, served.model, told)

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

    def _served(self, call: Call) -> Served:
        if call.version is None:
            return self._traffic.route(call.endpoint)
        return self._traffic.version(call.endpoint, call.version)

    def _checker(self, served: Served) -> Checker:
        checker = self._checkers.get(served)
        if checker is None:
            checker = self._checkers[served] = Checker(served.fields)
        return checker

"""Batches: the requests that wait for a version at the same moment are scored together.

A version that takes microseconds is asked at the end of the loop's turn, for all requests of that turn. What takes
longer than a millisecond, by the time that its rows took so far, goes to a thread, and keeps neither small requests
nor, up to two batches, each other waiting. Any other version is asked in a thread, and what comes meanwhile makes the
next batch. There is no timer to tune: a request never waits for others to come.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from headrace.endpoints.service import Logged, Scored
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.service import PredictionLog, Served

    Told = Callable[[str, str, Scored, Sequence[float], int], None]
    """Is told what a version answered: endpoint, version, scores, seconds that each request took, the moment."""

_log = logging.getLogger(__name__)

_INLINE = 256
"""Rows up to which a quick version may be asked on the event loop."""
_HELD_UP = 0.001
"""Seconds that the event loop may be held up by them."""
_DOUBT = 0.2
"""How much one slower batch says about how long a row takes: the machine may have been busy."""
_LARGEST = 4_096
"""Rows up to which requests to any other version are joined to one batch."""
_THREADS = 2
"""Batches that are scored beside the event loop at the same time."""
_SWEEP = 0.25
"""Seconds between two looks for requests that have waited too long."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request that waits: its rows, their cut-offs, when it came (seconds of the loop), where its answer goes.

    `stage` is that of its lane, `text` is as in `Call`.
    """

    endpoint: str
    rows: Sequence[Mapping[str, object]]
    cutoffs: Sequence[int]
    came: float
    answer: asyncio.Future[tuple[Sequence[str], Scored]]
    stage: str | None = None
    text: bytes | None = None


@dataclass(slots=True)
class _Queue:
    """What waits for a version. `due`: it will be looked at in this turn; `asked`: batches that threads work at."""

    served: Served
    waiting: list[Waiting] = field(default_factory=list)
    due: bool = False
    asked: int = 0

    @property
    def busy(self) -> bool:
        """Whether what comes has to wait: a version that is not quick has one batch at a time, to gather the next."""
        return self.asked >= (_THREADS if self.served.quick else 1)


class Batches:
    """Gathers requests by version and has them scored. Belongs to one event loop.

    `now` gives microseconds since 1970; `seconds` is how long a request may take, `most` how many rows may wait.
    """

    def __init__(self, log: PredictionLog, now: Callable[[], int], seconds: float, most: int) -> None:
        self._log = log
        self._now = now
        self._seconds = seconds
        self._most = most
        self._queues: dict[str, _Queue] = {}
        self._costs: WeakKeyDictionary[Served, float] = WeakKeyDictionary()
        self._pending: set[Waiting] = set()
        self._rows = 0
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="scoring")
        self._sweeping: asyncio.TimerHandle | None = None
        self.sizes: Callable[[int], None] = lambda _: None
        self.told: Told = lambda *_: None
        self.stopwatch: Callable[[], float] = lambda: 0.0  # seconds, in any thread; by the default, nothing takes any
        self.seconds: Callable[[], float] = lambda: asyncio.get_running_loop().time()

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet."""
        return len(self._pending)

    @property
    def crowded(self) -> bool:
        """Whether so much waits that nothing should be asked for that nobody waits for."""
        return self._rows > self._most // 4

    def add(self, served: Served, waiting: Waiting) -> None:
        """Queue a request. Raises HR913 when too many rows wait."""
        if self._rows + len(waiting.rows) > self._most and self._rows:
            raise HeadraceError("HR913", f"{self._rows} rows wait for an answer")
        queue = self._queues.get(served.key)
        if queue is None or queue.served is not served:
            queue = self._queues[served.key] = _Queue(served)
        queue.waiting.append(waiting)
        self._pending.add(waiting)
        self._rows += len(waiting.rows)
        loop = asyncio.get_running_loop()
        if not queue.due and not queue.busy:
            queue.due = True
            loop.call_soon(self._go_on, queue)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_SWEEP, self._sweep)

    def close(self) -> None:
        """End the threads; nothing may wait any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _go_on(self, queue: _Queue) -> None:
        """Score what waits, as far as the version takes it now."""
        queue.due = False
        while not queue.busy and (batch := self._taken(queue)):
            rows = sum(len(each.rows) for each in batch)
            if queue.served.quick and rows <= _INLINE and rows * self._costs.get(queue.served, 0.0) <= _HELD_UP:
                self._end(queue.served, batch, self._timed(queue.served, batch, rows))
            else:
                self._ask(queue, batch)
        idle = not queue.waiting and not queue.asked
        if idle and self._queues.get(queue.served.key) is queue:
            del self._queues[queue.served.key]

    def _ask(self, queue: _Queue, batch: Sequence[Waiting]) -> None:
        """Have a thread score a batch."""
        queue.asked += 1
        loop = asyncio.get_running_loop()
        rows = sum(len(each.rows) for each in batch)
        done = loop.run_in_executor(self._threads, self._timed, queue.served, batch, rows)
        done.add_done_callback(lambda found: self._come(queue, batch, found))

    def _timed(self, served: Served, batch: Sequence[Waiting], rows: int) -> list[Scored | HeadraceError]:
        """The scores of each request; notes how many seconds a row took."""
        began = self.stopwatch()
        found = _scored(served, batch)
        cost, known = (self.stopwatch() - began) / rows, self._costs.get(served, 0.0)
        self._costs[served] = cost if cost < known else known + _DOUBT * (cost - known)
        return found

    def _taken(self, queue: _Queue) -> list[Waiting]:
        """The next batch, without the requests that nobody waits for any more."""
        while queue.waiting:
            batch = _first(queue.waiting, _INLINE if queue.served.quick else _LARGEST)
            del queue.waiting[: len(batch)]
            wanted = [each for each in batch if self._wanted(each)]
            if wanted:
                return wanted
        return []

    def _wanted(self, waiting: Waiting) -> bool:
        """Whether a request still waits. One whose caller has gone is forgotten here."""
        if waiting not in self._pending:
            return False
        if waiting.answer.done():
            self._forget(waiting)
            return False
        return True

    def _come(
        self, queue: _Queue, batch: Sequence[Waiting], found: asyncio.Future[list[Scored | HeadraceError]]
    ) -> None:
        """Take what a thread has found, and go on with what came meanwhile."""
        queue.asked -= 1
        self._end(queue.served, batch, found.result())
        self._go_on(queue)

    def _end(self, served: Served, batch: Sequence[Waiting], found: Sequence[Scored | HeadraceError]) -> None:
        """Log what was scored, and answer. Whatever fails here fails these requests only."""
        try:
            self.sizes(sum(len(each.rows) for each in batch))
            self._answer(served, batch, found)
        except Exception as error:  # noqa: BLE001 - the log and what counts are not to stop the queue
            _log.exception("what version %s answered was lost", served.key[:12])
            lost = f"the answer of version {served.key[:12]} was lost: {type(error).__name__}"
            for each in batch:
                self._settle(each, HeadraceError("HR919", lost))

    def _answer(self, served: Served, batch: Sequence[Waiting], found: Sequence[Scored | HeadraceError]) -> None:
        """Answer each request; what was scored for nobody is dropped."""
        good: dict[tuple[str, str | None], list[tuple[Waiting, Scored]]] = {}
        for waiting, one in zip(batch, found, strict=True):
            if isinstance(one, HeadraceError):
                self._settle(waiting, one)
            elif self._wanted(waiting):
                good.setdefault((waiting.endpoint, waiting.stage), []).append((waiting, one))
        for (endpoint, stage), own in good.items():
            ids = self._logged(served, endpoint, stage, own)
            place = 0
            for waiting, one in own:
                self._settle(waiting, (ids[place : place + len(waiting.rows)], one))
                place += len(waiting.rows)

    def _logged(
        self, served: Served, endpoint: str, stage: str | None, good: Sequence[tuple[Waiting, Scored]]
    ) -> Sequence[str]:
        """Write answers down, before anyone gets one; answers their ids."""
        now, at = self.seconds(), self._now()
        ids = self._log.ids(sum(len(each.rows) for each, _ in good))
        scored, took = _joined([one for _, one in good]), [now - each.came for each, _ in good]
        logged = Logged(
            endpoint=endpoint,
            key=served.key,
            model=served.model,
            generations=served.generations,
            at=at,
            ids=ids,
            rows=good[0][0].rows if len(good) == 1 else list(chain.from_iterable(each.rows for each, _ in good)),
            cutoffs=list(chain.from_iterable(each.cutoffs for each, _ in good)),
            scored=scored,
            micros=list(
                chain.from_iterable(
                    [round(each * 1e6)] * len(own.rows) for each, (own, _) in zip(took, good, strict=True)
                )
            ),
            stage=stage,
            text=_text([each.text for each, _ in good]),
        )
        self._log.append(logged)
        self.told(endpoint, served.key, scored, took, at)
        return ids

    def _settle(self, waiting: Waiting, answer: tuple[Sequence[str], Scored] | HeadraceError) -> None:
        """Give a request its answer, unless it got one: its time may have been over."""
        if waiting not in self._pending:
            return
        self._forget(waiting)
        if waiting.answer.done():  # the caller has gone
            return
        if isinstance(answer, HeadraceError):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)

    def _forget(self, waiting: Waiting) -> None:
        self._pending.discard(waiting)
        self._rows -= len(waiting.rows)

    def _sweep(self) -> None:
        """Refuse what has waited too long. It leaves its queue as well, whose version may be stuck for good."""
        loop = asyncio.get_running_loop()
        late = [each for each in self._pending if self.seconds() - each.came > self._seconds]
        for each in late:
            self._settle(each, HeadraceError("HR914", f"no answer after {self._seconds:g} seconds"))
        if late:
            for queue in self._queues.values():
                queue.waiting = [each for each in queue.waiting if self._wanted(each)]
        self._sweeping = loop.call_later(_SWEEP, self._sweep) if self._pending else None


def _first(waiting: Sequence[Waiting], most: int) -> list[Waiting]:
    """The requests that fit into one batch of so many rows; at least one, if there is one."""
    batch: list[Waiting] = []
    rows = 0
    for each in waiting:
        rows += len(each.rows)
        if batch and rows > most:
            break
        batch.append(each)
    return batch


def _scored(served: Served, batch: Sequence[Waiting]) -> list[Scored | HeadraceError]:
    """The scores of each request. What one request is refused for does not touch the others."""
    if len(batch) == 1:
        return [_one(served, batch[0])]
    rows = [row for each in batch for row in each.rows]
    try:
        found = _finite(served.score(rows, [at for each in batch for at in each.cutoffs]), len(rows))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - which of them it was is found by asking for each; that tells of it
        return [_one(served, each) for each in batch]
    parts: list[Scored | HeadraceError] = []
    place = 0
    for each in batch:
        end = place + len(each.rows)
        parts.append(Scored(found.scores[place:end], found.features[place:end], found.seen[place:end]))
        place = end
    return parts


def _one(served: Served, waiting: Waiting) -> Scored | HeadraceError:
    version = f"version {served.key[:12]} of {waiting.endpoint}"
    try:
        return _finite(served.score(waiting.rows, waiting.cutoffs), len(waiting.rows))
    except KeyboardInterrupt:
        raise
    except HeadraceError as error:
        return error
    except BaseException as error:  # noqa: BLE001 - a model may call sys.exit, and a library in Rust panics by one of these
        _log.exception("%s failed", version)
        return HeadraceError("HR919", f"{version} raised {type(error).__name__}")


def _finite(found: Scored, rows: int) -> Scored:
    """What was found, if it is one finite number for each row. Raises ValueError."""
    if not len(found.scores) == len(found.features) == len(found.seen) == rows:
        raise ValueError(f"{len(found.scores)} scores for {rows} rows")
    if not np.isfinite(found.scores).all():
        raise ValueError("a score is no finite number")
    return found


def _text(parts: Sequence[bytes | None]) -> bytes | None:
    """The rows of all requests as JSON, where each of them came so."""
    return None if None in parts else b",".join(parts)  # type: ignore[arg-type]  # none of them is None


def _joined(parts: Sequence[Scored]) -> Scored:
    if len(parts) == 1:
        return parts[0]
    return Scored(
        np.concatenate([each.scores for each in parts]),
        [row for each in parts for row in each.features],
        [row for each in parts for row in each.seen],
    )

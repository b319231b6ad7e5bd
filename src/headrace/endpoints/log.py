"""The prediction log of one server process: answers are written down before they are given.

From the `write` on, the operating system has a batch: killing the process loses none. A thread syncs at most every
50 ms, so that a power cut costs the answers of that time at most. The same thread begins and seals segments and tries
again what could not be written, so that the hot path does one `write` and never waits for the disk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final, Self

from headrace.endpoints.log_encoding import encode
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.endpoints.service import Logged
    from headrace.ports.clock import Clock
    from headrace.ports.predictions import Segment, Segments

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PATIENCE: Final = 20
"""How many pauses lie between two tries to write what the disk did not take."""
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the log.

    A segment is sealed at `segment` bytes or `age` seconds after its first record; `pause` seconds lie between two
    syncs; `kept` bytes of answers are kept in memory while the disk takes none.
    """

    segment: int = 8 << 20
    age: float = 60.0
    pause: float = 0.05
    kept: int = 16 << 20


class SegmentLog:
    """Implements `headrace.endpoints.service.PredictionLog`. Any thread may append. A context manager.

    `report` is told, by the log's own thread, when writing begins to fail (HR930) and when it works again (None).
    `written` and `dropped` count predictions, `failed_writes` counts refusals of the system, `last_error` is the
    latest of them. What waits in memory to be written is `waiting` predictions.
    """

    def __init__(
        self,
        segments: Segments,
        clock: Clock,
        report: Callable[[HeadraceError | None], None],
        limits: Limits | None = None,
    ) -> None:
        self.written = 0
        self.dropped = 0
        self.waiting = 0
        self.failed_writes = 0
        self.last_error = ""
        self._segments = segments
        self._clock = clock
        self._report = report
        self._limits = limits or Limits()
        self._lock = Lock()
        self._late: deque[tuple[bytes, int]] = deque()
        self._late_bytes = 0
        self._reported = False
        self._told = 0
        self._dirty = False
        self._asleep = False
        self._began = 0.0
        self._wake, self._closing = Event(), Event()
        self._count = 0
        self._prefix = ""
        self._segment: Segment | None = None
        self._next_segment()
        self._thread = Thread(target=self._keep_up, name="prediction-log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ids(self, count: int) -> Sequence[str]:
        """See `PredictionLog`. The first part of an id names the segment that was open when it was given."""
        with self._lock:
            first, prefix = self._count, self._prefix
            self._count += count
        found: list[str] = []
        while len(found) < count:
            high, low = divmod(first + len(found), len(_PAIRS))
            beginning = prefix + _base36(high)
            found += [beginning + pair for pair in _PAIRS[low : low + count - len(found)]]
        return found

    def append(self, batch: Logged) -> None:
        """See `PredictionLog`."""
        count = len(batch.ids)
        try:
            line = encode(batch)
        except Exception as error:  # noqa: BLE001 - whatever a record holds, the caller gets its answer
            self._refused(error)
            self.dropped += count
            return
        with self._lock:
            segment = self._segment
            if self._late or segment is None:
                self._keep(line, count)
            else:
                try:
                    segment.write(line)
                    self.written += count
                except OSError as error:
                    self._refused(error)
                    self._keep(line, count)
            self._dirty = True
        if self._asleep:
            self._wake.set()

    def close(self) -> None:
        """Try once more to write what waits, and seal. What still cannot be written is counted as dropped."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self._write_late()
        with self._lock:
            lost = 0
            while self._late:
                lost += self._taken()
            self.dropped += lost
            segment, self._segment = self._segment, None
        if segment is not None:
            self._seal(segment)
        if lost and not self._reported:
            self._report(HeadraceError("HR930", f"{self.last_error}; {lost} predictions are lost"))

    # ------------------------------------------------------------------ under the lock

    def _keep(self, line: bytes, count: int) -> None:
        """Keep a batch until it can be written; the oldest ones make room for it."""
        self._late.append((line, count))
        self._late_bytes += len(line)
        self.waiting += count
        while self._late_bytes > self._limits.kept:
            self.dropped += self._taken()

    def _taken(self) -> int:
        """Take the oldest batch that waits away; answers how many predictions it holds."""
        line, count = self._late.popleft()
        self._late_bytes -= len(line)
        self.waiting -= count
        return count

    # ------------------------------------------------------------------ the log's own thread

    def _keep_up(self) -> None:
        """Sync, seal and try again, as long as the log is open."""
        while not self._closing.is_set():
            self._asleep = True
            if not self._dirty:
                self._wake.wait(self._until_old())
            self._asleep = False
            self._wake.clear()
            self._turn()
            self._closing.wait(self._limits.pause * (_PATIENCE if self._late else 1))

    def _turn(self) -> None:
        if self._segment is None:
            self._next_segment()
        self._write_late()
        with self._lock:
            segment = self._segment
            self._dirty = bool(self._late)
        if segment is not None:
            synced = self._synced(segment)
            if segment.size and not self._began:
                self._began = self._clock.monotonic()
            if not synced or segment.size >= self._limits.segment or self._until_old() == 0.0:
                self._next_segment()
        self._tell()

    def _until_old(self) -> float | None:
        """Seconds until the segment is old enough to be sealed; None while there is nothing in it."""
        if not self._began:
            return None
        return max(0.0, self._began + self._limits.age - self._clock.monotonic())

    def _synced(self, segment: Segment) -> bool:
        try:
            segment.sync()
        except OSError as error:
            self._refused(error)
            return False
        return True

    def _write_late(self) -> None:
        """Write what waits, batch by batch: the hot path waits for one of them at most."""
        while True:
            with self._lock:
                if not self._late or self._segment is None:
                    return
                try:
                    self._segment.write(self._late[0][0])
                except OSError as error:
                    self._refused(error)
                    return
                self.written += self._taken()

    def _next_segment(self) -> None:
        """Go on in a new segment and seal the old one; go on in the old one where no new one can be begun."""
        segment = self._clock.new_id()
        try:
            begun = self._segments.begin(segment)
        except (OSError, HeadraceError) as error:
            self._refused(error)
            if not self._prefix:
                self._prefix = f"{segment}-"
            return
        with self._lock:
            old, self._segment = self._segment, begun
            self._prefix, self._count = f"{segment}-", 0
            self._began = 0.0
        if old is not None:
            self._seal(old)

    def _seal(self, segment: Segment) -> None:
        """Seal a segment. Where that fails, it is left as an orphan, which whoever drains the log seals."""
        try:
            segment.seal()
        except OSError as error:
            self._refused(error)

    def _refused(self, error: Exception) -> None:
        self.failed_writes += 1
        self.last_error = str(error.what if isinstance(error, HeadraceError) else error)

    def _tell(self) -> None:
        """Tell whether writing works, when that has changed."""
        failing = bool(self._late) or self.failed_writes > self._told
        self._told = self.failed_writes
        self._dirty |= failing  # there is another turn, to find out whether it works again
        if failing != self._reported:
            self._reported = failing
            kept = f"{self.waiting} predictions wait in memory, {self.dropped} are lost"
            self._report(HeadraceError("HR930", f"{self.last_error}; {kept}") if failing else None)


def _base36(number: int) -> str:
    digits = _DIGITS[number % 36]
    while number := number // 36:
        digits = _DIGITS[number % 36] + digits
    return digits

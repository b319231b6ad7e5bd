"""The access log: one line of JSON for each request, written by a thread of its own.

A request costs the hot path one append to a bounded queue. What does not fit is counted, and a line says so. No header,
no body and no query is ever logged: they may hold secrets.
"""

from __future__ import annotations

import logging
import os
import select
import stat
from collections import deque
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHOWN: Final = 200
"""Characters of a path that are kept."""
_PAUSE: Final = 0.2
"""Seconds between two looks for lines to write."""
_BOUND: Final = 100_000
"""Requests that may wait to be written: about 50 MB."""
_GROUP: Final = 1 << 20
"""Bytes of lines that are written by one call."""
_LAST: Final = 2.0
"""Seconds that closing waits for a reader that is stuck."""
_STANDARD_OUTPUT: Final = 1
_log = logging.getLogger(__name__)


class Handled(NamedTuple):
    """A request and its answer: bytes `received` and `sent`; `trace` is the id of its trace, where it has one.

    `path` is to be cut at `SHOWN` characters: it stays in memory until it is written.
    """

    method: str
    path: str
    endpoint: str
    status: int
    seconds: float
    received: int
    sent: int
    trace: str | None = None


class AccessLog:
    """Writes lines by `write`, which is like `os.write` to one file. `now`: microseconds since 1970.

    Belongs to one event loop: only one thread adds. At most `bound` requests wait, and `group` bytes are handed over at
    once, always whole lines.
    """

    def __init__(
        self, write: Callable[[memoryview], int], now: Callable[[], int], bound: int = _BOUND, group: int = _GROUP
    ) -> None:
        self._write = write
        self._now = now
        self._waiting: deque[tuple[int, Handled]] = deque()
        self._bound = bound
        self._group = group
        self._refused = 0  # counted by whoever adds; the other counts belong to the thread
        self._lost = 0
        self._told = 0
        self._torn = False
        self._failing = False
        self._closing = Event()
        self._thread = Thread(target=self._keep_up, name="access-log", daemon=True)
        self._thread.start()

    def add(self, handled: Handled) -> None:
        """Have a request logged, soon."""
        if len(self._waiting) < self._bound:
            self._waiting.append((self._now(), handled))
        else:
            self._refused += 1

    def close(self) -> None:
        """Write what waits, and end. What a reader that is stuck has not taken by then is given up, and reported."""
        self._closing.set()
        self._thread.join(_LAST)
        lost = len(self._waiting) + self._refused + self._lost - self._told
        if lost:
            _log.warning("the access log ends without %d lines", lost)

    def _keep_up(self) -> None:
        while not self._closing.wait(_PAUSE):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        """Write what waits. What cannot be written is dropped, and told by the next line that can be."""
        while self._waiting:
            lines = self._next_group()
            written = self._written(lines)
            self._lost -= written
        dropped = self._refused + self._lost
        if dropped > self._told:
            line = orjson.dumps({"dropped": dropped - self._told}, option=orjson.OPT_APPEND_NEWLINE)
            if self._written([line]):
                self._told = dropped

    def _next_group(self) -> list[bytes]:
        """The oldest lines that fit into a group; at least one. Until written they are lost: closing may interrupt."""
        self._lost += 1
        lines = [_line(*self._waiting.popleft())]
        size = len(lines[0])
        while self._waiting:
            line = _line(*self._waiting[0])
            size += len(line)
            if size > self._group:
                break
            self._lost += 1
            self._waiting.popleft()
            lines.append(line)
        return lines

    def _written(self, lines: Sequence[bytes]) -> int:
        """Write lines by one call, unless the system takes them in parts; answers how many it took in full."""
        content = b"".join(lines)
        if self._torn:
            content = b"\n" + content  # half a line ends here, and no other one goes on in it
        left = memoryview(content)
        try:
            while left:
                left = left[self._write(left) :]
        except OSError as error:
            if not self._failing:
                _log.error("the access log cannot be written: %s", error.strerror or error)
            self._failing = True
            taken = content[: len(content) - len(left)]
            if taken:
                self._torn = not taken.endswith(b"\n")
            return taken.removeprefix(b"\n").count(b"\n")
        self._torn = self._failing = False
        return len(lines)


def _line(at: int, handled: Handled) -> bytes:
    content = {
        "at": at / 1e6,
        "method": handled.method[:SHOWN],
        "path": handled.path[:SHOWN].partition("?")[0],  # a caller may have spelled the question mark as %3F
        "endpoint": handled.endpoint,
        "status": handled.status,
        "ms": round(handled.seconds * 1000, 3),
        "received": handled.received,
        "sent": handled.sent,
    }
    if handled.trace is not None:
        content["trace"] = handled.trace
    try:
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a character, which UTF-8 cannot spell
        spelled = {name: ascii(content[name]) for name in ("method", "path", "endpoint")}
        return orjson.dumps({**content, **spelled}, option=orjson.OPT_APPEND_NEWLINE)


def open_access_log(target: str, now: Callable[[], int]) -> AccessLog:
    """A log that is appended to a file, or to standard output ("-"). Several processes may write to one file.

    What is no file, such as a pipe, gets small groups: only those are not mixed with those of other processes.

    Raises:
        HeadraceError: HR956 for a file that cannot be appended to.
    """
    try:
        descriptor = (
            _STANDARD_OUTPUT if target == "-" else os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        )
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError as error:
        raise HeadraceError("HR956", f"{target}: {error.strerror}") from error
    return AccessLog(partial(os.write, descriptor), now, group=_GROUP if is_file else select.PIPE_BUF - 1)

"""The access log: one line of JSON for each request, written by a thread of its own.

A request costs the hot path one append to a bounded queue. What does not fit is counted, and a line says so. No header,
no body and no query is ever logged: they may hold secrets.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import orjson

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN: Final = 200
"""Characters of a path that a line holds."""
_PAUSE: Final = 0.2
"""Seconds between two groups of lines."""
_BOUND: Final = 100_000
"""Requests that may wait to be written: about 20 MB."""


@dataclass(frozen=True, slots=True)
class Handled:
    """A request and its answer: `sent` bytes of it; `trace` is the id of its trace, where it has one."""

    method: str
    path: str
    endpoint: str
    status: int
    seconds: float
    sent: int
    trace: str | None = None


class AccessLog:
    """Writes lines by `write`, which takes whole lines. Any thread may add. `now`: microseconds since 1970."""

    def __init__(self, write: Callable[[bytes], None], now: Callable[[], int], bound: int = _BOUND) -> None:
        self._write = write
        self._now = now
        self._waiting: deque[tuple[int, Handled]] = deque()
        self._bound = bound
        self._dropped = 0
        self._closing = Event()
        self._thread = Thread(target=self._keep_up, name="access-log", daemon=True)
        self._thread.start()

    def add(self, handled: Handled) -> None:
        """Have a request logged, soon."""
        if len(self._waiting) < self._bound:
            self._waiting.append((self._now(), handled))
        else:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, and end."""
        self._closing.set()
        self._thread.join()
        self._flush()

    def _keep_up(self) -> None:
        while not self._closing.wait(_PAUSE):
            self._flush()

    def _flush(self) -> None:
        """Write what waits by one call. What cannot be written is dropped, and told by the next line that can be."""
        lines = [_line(*self._waiting.popleft()) for _ in range(len(self._waiting))]
        dropped = self._dropped
        if dropped:
            lines.append(orjson.dumps({"dropped": dropped}, option=orjson.OPT_APPEND_NEWLINE))
        if not lines:
            return
        try:
            self._write(b"".join(lines))
        except OSError:
            self._dropped += len(lines) - bool(dropped)
        else:
            self._dropped -= dropped


def _line(at: int, handled: Handled) -> bytes:
    content = {
        "at": at / 1e6,
        "method": handled.method[:_SHOWN],
        "path": handled.path[:_SHOWN],
        "endpoint": handled.endpoint,
        "status": handled.status,
        "ms": round(handled.seconds * 1000, 3),
        "bytes": handled.sent,
    }
    if handled.trace is not None:
        content["trace"] = handled.trace
    try:
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a character in the path, which UTF-8 cannot spell
        return orjson.dumps({**content, "path": repr(handled.path[:_SHOWN])}, option=orjson.OPT_APPEND_NEWLINE)


def open_access_log(target: str, now: Callable[[], int]) -> AccessLog:
    """A log that is appended to a file, or to standard output ("-"). Several processes may write to one file.

    Raises:
        HeadraceError: HR956 for a file that cannot be appended to.
    """
    if target == "-":
        return AccessLog(lambda lines: _write_all(1, lines), now)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    except OSError as error:
        raise HeadraceError("HR956", f"{target}: {error.strerror}") from error
    return AccessLog(lambda lines: _write_all(descriptor, lines), now)


def _write_all(descriptor: int, lines: bytes) -> None:
    """Write all of it: by one call, but where the disk is nearly full."""
    left = memoryview(lines)
    while left:
        left = left[os.write(descriptor, left) :]

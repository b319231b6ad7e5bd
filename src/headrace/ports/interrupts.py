"""Ctrl-C. Python raises it in the main thread between any two instructions, where it may cut in two or be lost.

Cut in two: between taking a lock and the block that gives it back. Lost: in a `__del__`, in what the garbage collector
calls, in a callback of a library. Both have made an apply wait without an end.

A handler that is set takes away the one that Polars has below Python's, by which Ctrl-C ends a streaming query in its
middle; it ends at the next instruction of Python then. So nothing that only reads sets one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_Handler: TypeAlias = Callable[[int, FrameType | None], object]


class Unbroken:
    """Ctrl-C waits for the end of the block; pressed a second time, it does not.

    These are classes, as the function behind a generator's context manager may itself be cut in two.
    """

    def __init__(self) -> None:
        self._before: _Handler | None = None
        self._pressed = False

    def __enter__(self) -> Self:
        present = _present()
        if present is not None and not isinstance(getattr(present, "__self__", None), Unbroken):  # the outermost counts
            self._before = present
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            if self._pressed:
                self._before(signal.SIGINT, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self._pressed = self._pressed, True
        if again and self._before is not None:
            self._before(number, frame)


class Noticed:
    """In the block each Ctrl-C is raised as ever, and noted as well, so that `look` finds one that got lost.

    Where the program has a handler of its own, it is left to that.
    """

    def __init__(self) -> None:
        self._is_ours = False
        self._pressed = False

    def __enter__(self) -> Self:
        self._is_ours = _present() is signal.default_int_handler
        if self._is_ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def look(self) -> None:
        """Raise the KeyboardInterrupt of a Ctrl-C that got lost."""
        if self._pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        signal.default_int_handler(number, frame)


def _present() -> _Handler | None:
    """What hears Ctrl-C now; None where this thread does not, or Python does not."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None

"""Group commit: threads that write at the same moment share one transaction and its fsync.

The first thread that comes leads: it commits what is waiting, its own part included, while later ones gather for the
next group, which one of them leads in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.interrupts import Unbroken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.ports.ledger import Answer, Item


@dataclass(slots=True, eq=False)
class Request:
    """The items of one call, and what became of them."""

    items: Sequence[Item]
    answers: list[Answer] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False


class Group:
    """Gathers requests and has them committed together by `commit`, which fills in their answers."""

    def __init__(self, commit: Callable[[Sequence[Request]], None]) -> None:
        self._commit = commit
        self._changed = Condition()
        self._waiting: list[Request] = []
        self._led = False

    @property
    def waiting(self) -> int:
        """How many requests wait for the next group."""
        return len(self._waiting)

    def submit(self, items: Sequence[Item]) -> list[Answer]:
        """Have items committed; returns when they are durable."""
        request = Request(items)
        with Unbroken():  # a leader that is cut off would leave all others waiting for it, itself later included
            group = self._join(request)
            if group:
                self._lead(group, request)
        if request.error is not None:
            raise request.error
        return request.answers

    def _join(self, request: Request) -> list[Request]:
        """Wait until the request is done, or its turn to lead has come: then answers the group to commit."""
        with self._changed:
            self._waiting.append(request)
            try:
                while self._led and not request.done:
                    self._changed.wait()
            except BaseException:
                if request in self._waiting:  # nobody will take it up any more
                    self._waiting.remove(request)
                raise
            if request.done:
                return []
            group, self._waiting, self._led = self._waiting, [], True
            return group

    def _lead(self, group: Sequence[Request], own: Request) -> None:
        error: BaseException | None = None
        try:
            self._commit(group)
        except BaseException as caught:  # noqa: BLE001 - it is raised in every thread of the group
            error = caught
        with self._changed:
            self._led = False
            for request in group:
                request.done = True
                request.error = error if request is own else _for_others(error)
            self._changed.notify_all()


def _for_others(error: BaseException | None) -> BaseException | None:
    """What the followers of a leader raise: an error object of their own, or that the outcome is unknown."""
    if isinstance(error, HeadraceError):
        return type(error)(error.code, error.what, why=error.why, fix=error.fix)
    if error is None or isinstance(error, Exception):
        return error
    return HeadraceError("HR618", f"the thread that wrote for others was stopped by {type(error).__name__}")

"""How a supervisor is: what it looks after, since when each part of it is well or not, and why. Answers /healthz.

The supervisor's loop notes what it does, threads that answer read it. What is old counts as unwell by itself, so that
a loop that stands still is found out by those who ask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from headrace.endpoints.access import Access
from headrace.errors import HeadraceError
from headrace.project.control import Response
from headrace.project.heartbeat import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from headrace.ports.clock import Clock
    from headrace.ports.records import Json
    from headrace.project.control import Request, Routes

BOUNDS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Upper bounds of the histogram of how long applies took, in seconds."""
DONE, REFUSED, FAILED = OUTCOMES = ("done", "refused", "failed")
"""How an apply can end; what a gate refuses is no failure."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When something counts as unwell. Times are in seconds.

    `loop`: the supervisor's loop has not turned for so long; for `dead`, and it is not alive any more. `failures`: so
    many applies in a row have failed. `children`: see `Patience`; one that has been silent for a third of that is
    unwell before it is replaced.
    """

    loop: float = 30.0
    dead: float = 120.0
    failures: int = 2
    children: Patience = field(default_factory=Patience)

    @property
    def silent(self) -> float:
        """For how long a child may be silent before it is unwell."""
        return self.children.silent / 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: how old what is known of it is, in seconds; why it is unwell, or nothing."""

    seconds: float
    reason: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data."""
        told = {"reason": self.reason} if self.reason else {}
        return {"well": not self.reason, "seconds": round(self.seconds, 3), **told, **self.facts}


@dataclass(slots=True)
class Applies:
    """What has become of the applies of a supervisor. Written by its loop, read by any thread.

    `outcomes` counts them by `OUTCOMES`; `counts` says how many fell
    into each of `BOUNDS`, and beyond the last. `failures` are those in a row; `code` is of the last error.
    """

    clock: Clock
    outcomes: Counter[str] = field(default_factory=Counter)
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    succeeded: datetime | None = None
    failing: datetime | None = None
    failures: int = 0
    code: str = ""
    replaced: int = 0
    silence: float = 0.0
    _begun: float | None = None

    def begin(self) -> None:
        """One begins."""
        self._begun = self.clock.monotonic()

    def end(self, outcome: str, code: str) -> None:
        """It has ended; `code` is of the error, where it failed and came to tell."""
        now = self.clock.now()
        seconds = self.seconds or 0.0
        self._begun = None
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.outcomes[outcome] += 1
        if outcome == FAILED:
            self.failing, self.failures, self.code = self.failing or now, self.failures + 1, code
        else:
            self.succeeded, self.failing, self.failures, self.code = now, None, 0, ""

    @property
    def seconds(self) -> float | None:
        """How long the one under way has taken so far; None where there is none."""
        return None if self._begun is None else self.clock.monotonic() - self._begun

    def check(self, limits: Limits) -> Check:
        """Whether they go on, and well. Taking long is no fault: what limits a step is its own timeout."""
        failing = 0.0 if self.failing is None else (self.clock.now() - self.failing).total_seconds()
        facts = {
            "under_way_seconds": None if self.seconds is None else round(self.seconds, 3),
            "failures": self.failures,
            "failing_seconds": round(failing, 3),
            "code": self.code or None,
        }
        reason = ""
        if self.failures >= limits.failures:
            code = f" with {self.code}" if self.code else ""
            reason = f"{self.failures} applies in a row have failed, the last one{code}"
        elif self.silence > limits.silent:
            reason = f"the process that applies has given no sign of life for {self.silence:.0f} s"
        return Check(self.silence, reason, facts)


@dataclass(slots=True)
class _Mark:
    """When something was done last, how old that may get, and the error that keeps it from being done."""

    done: float
    longest: float
    failing: float | None = None
    error: HeadraceError | None = None


class Health:
    """How one supervisor is. Every method may be called from any thread."""

    def __init__(self, clock: Clock, environment: str, limits: Limits) -> None:
        self.limits = limits
        self.environment = environment
        self.clock = clock
        self.heartbeat = clock.now()
        """When the loop turned last."""
        self._lock = Lock()
        self._marks = {"loop": _Mark(clock.monotonic(), limits.loop)}
        self._checks: dict[str, Callable[[], Check]] = {}
        self._standby = ""

    def stand_by(self, other: str) -> None:
        """Another supervisor is at work: this process number, or nothing once it is gone."""
        self._standby = other

    def turned(self) -> None:
        """The loop went round."""
        self.heartbeat = self.clock.now()
        self.done("loop")

    def expect(self, name: str, longest: float) -> None:
        """From now on something is to be done at least once in so many seconds."""
        with self._lock:
            self._marks.setdefault(name, _Mark(self.clock.monotonic(), longest))

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """From now on something tells by itself how it is."""
        with self._lock:
            self._checks[name] = check

    def done(self, name: str) -> None:
        """What is expected was done."""
        with self._lock:
            mark = self._marks[name]
            mark.done, mark.failing, mark.error = self.clock.monotonic(), None, None

    def failed(self, name: str, error: HeadraceError) -> None:
        """It was tried, and cannot be done."""
        with self._lock:
            mark = self._marks[name]
            mark.failing = self.clock.monotonic() if mark.failing is None else mark.failing
            mark.error = error

    def checks(self) -> dict[str, Check]:
        """Everything that is looked at, and how it is."""
        now = self.clock.monotonic()
        with self._lock:
            found = {name: _told(name, mark, now) for name, mark in self._marks.items()}
            others = dict(self._checks)
        found.update({name: check() for name, check in others.items()})
        if self._standby:
            found["standby"] = Check(0.0, f"it stands by: process {self._standby} looks after {self.environment}")
        return found

    @property
    def is_alive(self) -> bool:
        """Whether the loop turns, be it slowly."""
        with self._lock:
            return self.clock.monotonic() - self._marks["loop"].done <= self.limits.dead


def _told(name: str, mark: _Mark, now: float) -> Check:
    seconds = now - mark.done
    if mark.error is not None and mark.failing is not None:
        facts = {"failing_seconds": round(now - mark.failing, 3), "code": mark.error.code}
        return Check(seconds, f"{name}: {mark.error.code} {mark.error.what}", facts)
    if seconds > mark.longest:
        return Check(seconds, f"{name}: nothing was done for {seconds:.0f} s")
    return Check(seconds)


class Visitors:
    """Who may look: this machine; from elsewhere, who shows the token, where there is one."""

    def __init__(self, token: str | None) -> None:
        self._access = Access(token) if token else None

    def check(self, request: Request) -> None:
        """Refuse a request. Raises HR911 without the token, HR946 from elsewhere where there is none."""
        if request.is_local:
            return
        if self._access is None:
            raise HeadraceError("HR946", f"the request comes from {request.peer}, for {request.headers.get('host')!r}")
        self._access.check(request.headers.get("authorization", "").encode())


def routes_of(health: Health, visitors: Visitors) -> Routes:
    """`/livez` and `/healthz`. Whoever may not look learns the status alone."""

    def livez(_: Request) -> Response:
        return Response.of({"alive": health.is_alive}, 200 if health.is_alive else 503)

    def healthz(request: Request) -> Response:
        checks = health.checks()
        reasons = [each.reason for each in checks.values() if each.reason]
        status = 503 if reasons else 200
        try:
            visitors.check(request)
        except HeadraceError:
            return Response.of({"well": not reasons}, status)
        told = {name: each.to_json() for name, each in checks.items()}
        content = {"well": not reasons, "environment": health.environment, "reasons": reasons, "checks": told}
        return Response.of(content, status)

    return {("GET", "/livez"): livez, ("GET", "/healthz"): healthz}

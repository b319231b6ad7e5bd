"""Applies of one environment for its supervisor, each in a process of its own, one at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError
from headrace.project.health import DONE, FAILED, REFUSED, Applies
from headrace.project.heartbeat import Patience, Pulse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.records import Facts, Json
    from headrace.project.workspace import Workspace

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 1_800.0
"""Seconds after an apply that failed, before the next one: doubled each time, up to half an hour."""
_GRACE = 15.0
"""Seconds that an apply has to end in good order."""
_REFUSED = 4
_DONE = 0
_GOOD = (_DONE, _REFUSED)
"""Exit codes of an apply that need no other one: done, and done but for what a gate refused."""
_ORDERS = 100
"""Applies that one process does, before another one takes its place."""
_NO_ANSWER = 1
"""The code of an apply whose process ended well, but without a word of what it did."""
_REASONS = 8
"""Reasons of an apply that are said."""
_MOST = 65_536
_LONGEST_TALK = 1 << 20
"""Bytes of what an apply says that are told."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an apply ended: its exit code, and what `headrace apply --json` tells (nothing where it came to no end)."""

    code: int
    done: Facts = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether it needs no other one."""
        return self.code in _GOOD

    @property
    def outcome(self) -> str:
        """In a word, see `headrace.project.health`."""
        if not self.good:
            return FAILED
        return REFUSED if self.code == _REFUSED else DONE

    @property
    def error(self) -> str:
        """The code of what it failed with, where it came to tell: of a step, of a source, or of the apply itself."""
        found = next(
            (each for what in ("failed", "unobserved") for each in (self.done.get(what) or {}).values()),
            self.done.get("error"),
        )
        return "" if found is None else str(found["code"])

    @property
    def run(self) -> str | None:
        """The run, where there was something to do."""
        run = self.done.get("run")
        return None if run is None else str(run)

    def of(self, what: str) -> frozenset[str]:
        """The nodes under a heading, such as "made"."""
        return frozenset(self.done.get(what, ()))

    def for_nodes(self, only: AbstractSet[str]) -> Ended:
        """How it ended for whoever asked for these nodes (none: for all). What else went wrong is not theirs."""
        lost = self.of("failed") | self.of("unobserved") | self.of("skipped")
        own = bool(only) and self.run is not None and not only & lost
        return replace(self, code=_DONE) if own and not self.good else self


Then: TypeAlias = Callable[[Ended], None]


@dataclass(slots=True)
class _Wish:
    """Something that was asked for: only these nodes (none: all), and who is to be told how it ended."""

    only: AbstractSet[str]
    then: list[Then] = field(default_factory=list)


class Applying:
    """Applies an environment, once at a time. What is asked for meanwhile comes next.

    With `keep_ready`, a process that has loaded the project stands by, so that an apply begins at once.
    """

    def __init__(
        self, workspace: Workspace, environment: str, say: Callable[[str], None], patience: Patience | None = None
    ) -> None:
        self._clock: Clock = workspace.clock
        self._folder = workspace.settings.folder
        self._environment = environment
        self._patience = patience or Patience()
        self.past = Applies(workspace.clock)
        self._say = say
        self._asked: dict[str, _Wish] = {}
        self._under_way: dict[str, _Wish] = {}
        self._process: _Process | None = None
        self._standby: _Process | None = None
        self._ready = False
        self._due = 0.0
        self._pause = _FIRST_PAUSE

    def keep_ready(self, *, wanted: bool) -> None:
        """Whether a process is to stand by; one that ends of its own stays away until the next apply."""
        if wanted == self._ready:
            return
        self._ready = wanted
        if wanted and self._process is None:
            self._standby = self._started()
        elif self._standby is not None:
            self._standby.stop(0)
            self._standby = None

    def ask(self, reason: str, only: AbstractSet[str] = frozenset(), then: Then | None = None) -> None:
        """Have the environment applied as soon as can be, all of it or `only` these nodes and what they are made from.

        A pause after a failure is over with that. What is asked for several times before it begins is done once.
        `then` is told how it ended for these nodes; after a failure it is tried again, and `then` is told again.
        """
        asked = self._asked.get(reason)
        if asked is None:
            asked = self._asked[reason] = _Wish(only)
        else:
            asked.only = asked.only | only if asked.only and only else frozenset()
        if then is not None:
            asked.then.append(then)
        self._due = 0.0

    def look(self) -> bool:
        """Begin what was asked for; answers whether an apply has ended. A process that hangs is replaced."""
        self._end_hung()
        ended = None if self._process is None else self._process.ended(self._say)
        if ended is not None:
            self._end(ended)
        if self._process is None and self._asked and self._clock.monotonic() >= self._due:
            self._begin()
        return ended is not None

    @property
    def waits_for(self) -> tuple[int, ...]:
        """A file that can be read from once the apply under way has ended."""
        return () if self._process is None else (self._process.results,)

    def stop(self) -> None:
        """End an apply that is under way; the next one goes on where it was."""
        if self._standby is not None:
            self._standby.stop(0)
        if self._process is not None:
            self._process.stop(_GRACE)

    def _begin(self) -> None:
        more = len(self._asked) - _REASONS
        reasons = [*list(self._asked)[:_REASONS], *([f"and {more} more"] if more > 0 else [])]
        self._say(f"Applying: {'; '.join(reasons)}")
        self._under_way, self._asked = self._asked, {}
        wishes = [wish.only for wish in self._under_way.values()]
        only = sorted(frozenset[str]().union(*wishes)) if all(wishes) else []
        process, self._standby = self._standby, None
        if process is None or not process.order(only, last=not self._ready):
            process = self._started()
            process.order(only, last=not self._ready)
        self._process = process
        self.past.begin()

    def _started(self) -> _Process:
        return _Process(self._folder, self._environment, Pulse(self._clock, self._patience))

    def _end_hung(self) -> None:
        """Kill what gives no sign of life. An apply has then failed, and is tried again; who stood by is replaced."""
        working, waiting = self._process, self._standby
        if working is not None and working.is_lost():
            working.kill()
            self._tell_hung(working)
        if waiting is not None and waiting.is_lost():
            waiting.stop(0)
            self._standby = self._started()
            self._tell_hung(waiting)
        present = self._process or self._standby
        self.past.silence = 0.0 if present is None else present.silence

    def _tell_hung(self, process: _Process) -> None:
        self.past.replaced += 1
        error = HeadraceError("HR958", f"the process that applies gave none for {process.silence:.0f} s")
        self._say(f"{error.code} {error.what}; it is replaced")

    def _end(self, ended: Ended) -> None:
        """Let the process stand by, or another one in its place, and tell those who have asked."""
        if ended.code < 0 and not (self._process and self._process.is_hung):
            self.past.replaced += 1  # somebody killed it
        self.past.end(ended.outcome, ended.error)
        process, under_way = self._process, self._under_way
        self._process, self._under_way = None, {}
        if process is not None and self._ready and ended.good and process.can_go_on:
            self._standby = process
        elif process is not None:
            process.stop(0)
            self._standby = self._started() if self._ready else None
        told = [(wish, ended.for_nodes(wish.only)) for wish in under_way.values()]
        bad = [wish for wish, how in told if not how.good]
        if bad:
            self._try_again(ended.code, bad)
        else:
            self._pause = _FIRST_PAUSE
        for wish, how in told:
            for then in wish.then:
                then(how)

    def _try_again(self, code: int, failed: Sequence[_Wish]) -> None:
        self._due = self._clock.monotonic() + self._pause if not self._asked else 0.0
        self._say(f"The apply ended with {code}; another one begins in {self._pause:g} s")
        wishes = [wish.only for wish in failed]
        only = frozenset[str]().union(*wishes) if all(wishes) else frozenset[str]()
        then = [each for wish in failed for each in wish.then]
        self._asked.setdefault(f"again after an apply that ended with {code}", _Wish(only, then))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class _Process:
    """A process of `headrace.cli.standby`: it loads the project, waits for orders, and applies one after the other."""

    def __init__(self, folder: Path, environment: str, pulse: Pulse) -> None:
        self._pulse = pulse
        self.is_hung = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self.results, theirs = os.pipe()
        """It can be read from once an apply, or the process, has ended: nobody else holds its other end."""
        os.set_blocking(self.results, False)
        self._received = b""
        self._heard = 0
        self._orders = 0
        command = [sys.executable, "-m", "headrace.cli.standby", environment, str(theirs), str(pulse.theirs)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs, pulse.theirs),
            start_new_session=True,  # Ctrl-C is for the supervisor, which ends it in good order
        )
        os.close(theirs)
        pulse.handed_over()

    def is_lost(self) -> bool:
        """Look whether it lives; answers whether it has been silent for too long, once."""
        if self.is_hung or self._process.poll() is not None:
            return False
        self.is_hung = self._pulse.is_lost()
        return self.is_hung

    @property
    def silence(self) -> float:
        """Seconds without a sign of life."""
        return self._pulse.silence

    def kill(self) -> None:
        """End it by force, with what it has started in its session."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def order(self, only: list[str], *, last: bool) -> bool:
        """Tell it what to apply, and whether that is all; answers whether it is there to hear it."""
        self._orders += 1
        try:
            self._write(json.dumps({"only": only}).encode() + b"\n", last=last)
        except BrokenPipeError:
            self.stop(0)
            return False
        return True

    def ended(self, say: Callable[[str], None]) -> Ended | None:
        """How the apply ended that was ordered last, None while it has not; what it had to say is said."""
        is_over = self._receive()
        line, newline, rest = self._received.partition(b"\n")
        told: dict[str, Json] = json.loads(line) if newline else {}
        if not is_over and (not newline or "error" in told):
            return None  # an error is the last that it tells: its exit code comes next
        self._received = rest
        code = self._process.wait() if is_over else 0
        self._say(say)
        hung = {"error": {"code": "HR958"}} if self.is_hung else {}
        if is_over and not told:
            code = code or _NO_ANSWER
        return Ended(code or told.get("code", 0), told.get("done") or hung or told)

    @property
    def can_go_on(self) -> bool:
        """Whether it waits for another order; one that has had many gives way to a fresh one."""
        stdin = self._process.stdin
        return self._process.poll() is None and stdin is not None and not stdin.closed and self._orders < _ORDERS

    def stop(self, grace: float) -> None:
        """End it: in good order within so many seconds, then by force."""
        if grace and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._said.close()
        os.close(self.results)
        self._pulse.close()

    def _write(self, order: bytes, *, last: bool) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(order)
            self._process.stdin.flush()
            if last:
                self._process.stdin.close()

    def _receive(self) -> bool:
        """Take what it has sent; answers whether it is gone."""
        with suppress(BlockingIOError):
            while content := os.read(self.results, _MOST):
                self._received += content
            return True
        return False

    def _say(self, say: Callable[[str], None]) -> None:
        """What it has said since the last time. The file is one with its own, place included: it goes on at the end."""
        content = os.pread(self._said.fileno(), _LONGEST_TALK, self._heard)
        self._heard += len(content)
        for line in content.decode(errors="replace").splitlines():
            say(f"  {line}")

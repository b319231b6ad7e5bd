"""The outbox: notices go in at once, and out when the world takes them. It never stops the work.

Each channel has a queue of its own, so that one that is down holds up no other; within a channel notices go out in the
order in which they came. Notices live in memory: what matters for good stands in the ledger.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field, replace
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final

from headrace.ports.notify import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.ports.clock import Clock
    from headrace.ports.notify import Notifier

LOST: Final = "notifications lost"
"""The kind of a notice about notices that did not arrive."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How an outbox deals with channels that fail and with floods. Times are in seconds.

    A failed notice is tried again after `first`, then twice as long each time up to `longest`, and given up `limit`
    after it came. Notices of one subject are told once in `quiet`, and then counted. A channel holds up to `capacity`.
    """

    first: float = 1.0
    longest: float = 300.0
    limit: float = 86_400.0
    quiet: float = 300.0
    capacity: int = 1000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one turn did: how many notices were sent and given up, what each failing channel says, when to come again.

    `again` is in seconds, None where nothing waits.
    """

    sent: int
    given_up: int
    problems: Mapping[str, str]
    again: float | None


@dataclass(slots=True)
class _Waiting:
    """A notice in a queue, and when it came."""

    notice: Notice
    came: float


@dataclass(slots=True)
class _Channel:
    """One notifier with its queue: when it may be tried next, and how many notices it has lost since it last worked."""

    name: str
    notifier: Notifier
    queue: deque[_Waiting] = field(default_factory=deque)
    next_try: float = 0.0
    pause: float = 0.0
    lost: int = 0
    told: float = -inf  # when the other channels last heard of its losses
    problem: str = ""
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Subject:
    """Notices of one subject that came in a quiet time: when it ends, how many were held back, and the last of them."""

    ends: float
    held: int = 0
    last: Notice | None = None


@dataclass(slots=True)
class _Tally:
    """What a turn has done so far, and when the next thing is due."""

    sent: int = 0
    given_up: int = 0
    next: float | None = None

    def due(self, moment: float) -> None:
        """Something is to be done at this moment, by the monotonic clock."""
        self.next = moment if self.next is None else min(self.next, moment)


class Outbox:
    """Takes notices from any thread without waiting; `deliver`, called by one thread, sends what is due.

    Channels may be called again with a notice that they have raised for, never while another call is under way.
    """

    def __init__(self, channels: Mapping[str, Notifier], clock: Clock, patience: Patience | None = None) -> None:
        self._clock = clock
        self._patience = patience or Patience()
        self._channels = [_Channel(name, notifier) for name, notifier in channels.items()]
        self._subjects: OrderedDict[tuple[str, str], _Subject] = OrderedDict()
        self._lock = Lock()

    def put(self, notice: Notice) -> None:
        """Take a notice. It never waits and never raises; where the queue is full the notice is counted as lost."""
        with self._lock:
            self._take(notice)

    def waiting(self) -> int:
        """How many notices are queued, over all channels."""
        with self._lock:
            return sum(len(channel.queue) for channel in self._channels)

    def counts(self) -> dict[str, dict[str, int]]:
        """By channel: how many notices were "sent" and "given up", and how many tries "failed"."""
        with self._lock:
            outcomes = ("sent", "failed", "given up")
            return {each.name: {outcome: each.counts[outcome] for outcome in outcomes} for each in self._channels}

    def deliver(self) -> Delivery:
        """Send what is due now. It raises nothing that a notifier raises: that is told in the answer."""
        tally = _Tally()
        with self._lock:
            self._close_subjects(self._clock.monotonic())
            for channel in self._channels:
                self._give_up(channel, tally)
        for channel in self._channels:
            self._drain(channel, tally)
        with self._lock:
            return self._report(tally)

    def _report(self, tally: _Tally) -> Delivery:
        for channel in self._channels:
            if channel.queue:
                tally.due(channel.next_try)
        for subject in self._subjects.values():
            if subject.held:
                tally.due(subject.ends)
        now = self._clock.monotonic()
        again = None if tally.next is None else max(0.0, tally.next - now)
        problems = {channel.name: channel.problem for channel in self._channels if channel.problem}
        return Delivery(tally.sent, tally.given_up, problems, again)

    def _take(self, notice: Notice) -> None:
        """Queue a notice, unless its subject was told a short while ago; then count it."""
        now = self._clock.monotonic()
        self._close_subjects(now)
        subject = self._subjects.get(notice.subject)
        if subject is not None:
            subject.held += 1
            subject.last = notice
            return
        if len(self._subjects) >= self._patience.capacity:
            self._close(self._subjects.popitem(last=False)[1], now)
        self._subjects[notice.subject] = _Subject(now + self._patience.quiet)
        self._enqueue(notice, now)

    def _enqueue(self, notice: Notice, now: float) -> None:
        for channel in self._channels:
            self._into(channel, notice, now)

    def _into(self, channel: _Channel, notice: Notice, now: float) -> None:
        if len(channel.queue) < self._patience.capacity:
            channel.queue.append(_Waiting(notice, now))
        else:
            channel.lost += 1

    def _close_subjects(self, now: float) -> None:
        """End the quiet times that are over. One in which notices were held back is told of, and begins anew."""
        while self._subjects and (first := next(iter(self._subjects.items())))[1].ends <= now:
            key, subject = first
            del self._subjects[key]
            if self._close(subject, now):
                self._subjects[key] = _Subject(now + self._patience.quiet)

    def _close(self, subject: _Subject, now: float) -> bool:
        """Queue the summary of what was held back; answers whether there was any."""
        if subject.last is None:
            return False
        more = f"and {subject.held} more; the last: {subject.last.text}"
        facts = {**subject.last.facts, "more": subject.held}
        self._enqueue(replace(subject.last, text=more, facts=facts), now)
        return True

    def _drain(self, channel: _Channel, tally: _Tally) -> None:
        """Send from one channel until it fails or is empty, in order."""
        while True:
            with self._lock:
                now = self._clock.monotonic()
                waiting = channel.queue[0] if channel.queue and channel.next_try <= now else None
            if waiting is None or not self._try(channel, waiting.notice):
                return
            with self._lock:
                channel.queue.popleft()
                channel.counts["sent"] += 1
                self._tell_lost(channel)
            tally.sent += 1

    def _try(self, channel: _Channel, notice: Notice) -> bool:
        """Send one notice; a failure makes the channel wait, longer each time."""
        try:
            channel.notifier.send(notice)
        except Exception as error:  # noqa: BLE001 - whatever a notifier raises must not stop the work; it is reported
            longest = self._patience.longest
            channel.pause = min(channel.pause * 2, longest) if channel.pause else self._patience.first
            channel.next_try = self._clock.monotonic() + channel.pause
            channel.counts["failed"] += 1
            channel.problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            return False
        channel.pause, channel.next_try, channel.problem = 0.0, 0.0, ""
        return True

    def _give_up(self, channel: _Channel, tally: _Tally) -> None:
        """Drop what has waited for too long, count it, and say so on the other channels."""
        now = self._clock.monotonic()
        dropped = 0
        while channel.queue and channel.queue[0].came <= now - self._patience.limit:
            channel.queue.popleft()
            dropped += 1
        channel.lost += dropped
        channel.counts["given up"] += dropped
        tally.given_up += dropped
        if dropped and channel.told <= now - self._patience.quiet:
            channel.told = now
            notice = self._lost_notice(channel)
            for other in self._channels:
                if other is not channel and not other.problem:
                    self._into(other, notice, now)

    def _tell_lost(self, channel: _Channel) -> None:
        """A channel that works again hears how many notices it has missed, after what still waits for it."""
        if channel.lost and not channel.queue:
            notice = self._lost_notice(channel)
            channel.lost = 0
            self._into(channel, notice, self._clock.monotonic())

    def _lost_notice(self, channel: _Channel) -> Notice:
        what = "1 notification was" if channel.lost == 1 else f"{channel.lost} notifications were"
        text = f"{what} not delivered to {channel.name}" + (f": {channel.problem}" if channel.problem else "")
        facts = {"channel": channel.name, "lost": channel.lost}
        return Notice(LOST, Severity.WARNING, channel.name, text, facts, self._clock.now())

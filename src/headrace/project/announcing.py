"""Tells people what happens to an environment: the entries of its ledger, as notices, to the declared channels.

How far the telling has come is kept in a file, which goes on only when all that was told has arrived. So a supervisor
that is killed loses no notice; the next one may tell some of them once more.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

from headrace.adapters.durable import rename_file, storage_errors, write_file
from headrace.adapters.notify import open_notifier
from headrace.errors import HeadraceError, suggestion
from headrace.monitors.happenings import Place, Told, happened
from headrace.ports.notify import TEST, Notice, Severity
from headrace.runtime.notices import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.notify import Notifier
    from headrace.project.settings import Channel
    from headrace.project.workspace import Workspace

_GRACE: Final = 5.0
"""Seconds that the last notices have to go out when a supervisor ends."""
_TURN: Final = 1.0
"""Seconds between two looks of the thread that delivers, at most."""
_ORDER: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A channel that passes on only what it was declared for; a test always."""

    notifier: Notifier
    only: tuple[str, ...]
    at_least: Severity

    def send(self, notice: Notice) -> None:
        """See `Notifier`."""
        wanted = not self.only or notice.kind in self.only
        if notice.kind == TEST or (wanted and _ORDER.index(notice.severity) >= _ORDER.index(self.at_least)):
            self.notifier.send(notice)


def opened(workspace: Workspace, channel: Channel) -> Chosen:
    """A declared channel. Raises HR971, HR972, HR974, and HR991 where the variable of its secret is not set."""
    secret = None
    if channel.secret_env is not None:
        secret = os.environ.get(channel.secret_env)
        if not secret:
            raise HeadraceError("HR991", f"notify.{channel.name} is signed by {channel.secret_env}, which is not set")
    notifier = open_notifier(channel.to, workspace.clock, workspace.settings.folder, secret)
    return Chosen(notifier, channel.only, Severity(channel.at_least))


def try_channel(workspace: Workspace, name: str) -> None:
    """Send a test to a channel. Raises HR992 for a name that is not declared, and what opening and sending raise."""
    channels = {each.name: each for each in workspace.settings.notify}
    if name not in channels:
        hint = suggestion(name, channels)
        raise HeadraceError("HR992", f"no channel is named {name!r}", fix=hint)
    text = f"This is a test of the channel {name}."
    folder = workspace.settings.folder
    notice = Notice(TEST, Severity.INFO, name, text, {"project": str(folder)}, workspace.clock.now())
    opened(workspace, channels[name]).send(notice)


class Announcer:
    """Tells of an environment for as long as the block, if `look` is called again and again."""

    def __init__(self, workspace: Workspace, environment: str, say: Callable[[str], None]) -> None:
        self._ledger = workspace.ledger
        self._say = say
        self._file = workspace.settings.state / "up" / f"{environment}.told"
        self._place = Place(
            environment,
            workspace.settings.quarantine_share,
            self._ledger.run,
            lambda run: tuple(self._ledger.attempts(run)),
        )
        channels = {each.name: opened(workspace, each) for each in workspace.settings.notify}
        self.outbox = Outbox(channels, workspace.clock)
        self._told = Told()
        self._kept: Told | None = None
        self._seen: int | None = None
        self._problems: dict[str, str] = {}
        self._ending = Event()
        self._wake = Event()
        self._thread = Thread(target=self._deliver, name="notices", daemon=True) if channels else None

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._told = self._begun()
            self._keep()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self.look()
            self._ending.set()
            self._wake.set()
            self._thread.join(_GRACE)
            self._keep()

    def look(self) -> None:
        """Tell of what was written since the last time."""
        if self._thread is None:
            return
        counter = self._ledger.change_counter()
        if counter != self._seen:
            self._seen = counter
            while entries := self._ledger.entries(self._told.entry):
                for entry in entries:
                    found = happened(entry, self._told, self._place)
                    self._told = found.told
                    if found.notice is not None:
                        self.outbox.put(found.notice)
            self._wake.set()
        self._keep()

    def _begun(self) -> Told:
        """How far the telling has come; a first one begins with what happens from now on."""
        try:
            found = json.loads(self._file.read_bytes())
            return Told(found["entry"], found["failing"])
        except FileNotFoundError:
            return Told(self._ledger.newest_entry())
        except (ValueError, KeyError, TypeError):
            self._say(f"{self._file} cannot be read: telling begins with what happens from now on")
            return Told(self._ledger.newest_entry())

    def _keep(self) -> None:
        """Write down how far the telling has come, once everything has arrived."""
        if self._told != self._kept and not self.outbox.waiting():
            with storage_errors(self._file):
                _replace(self._file, json.dumps(self._told.to_json()).encode())
            self._kept = self._told

    def _deliver(self) -> None:
        """Send what is due, again and again; the last turn begins when the end is near."""
        while True:
            last = self._ending.is_set()
            self._wake.clear()
            delivery = self.outbox.deliver()
            for name, problem in delivery.problems.items():
                if self._problems.get(name) != problem:
                    self._say(f"{name} was not told: {problem}")
            self._problems = dict(delivery.problems)
            if last:
                return
            self._wake.wait(_TURN if delivery.again is None else min(delivery.again, _TURN))


def _replace(file: Path, content: bytes) -> None:
    """Give a file new content at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    write_file(draft, content)
    rename_file(draft, file)

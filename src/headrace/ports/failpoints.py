"""Named points before and after every durable action, where a test can end the process or break the disk.

`HEADRACE_FAILPOINT=ledger.commit.before` kills the process at the first pass, `NAME:3` at the third. `NAME=ENOSPC`
raises that operating-system error instead. Without the variable a failpoint costs one comparison.
"""

from __future__ import annotations

import errno
import os
import signal

FAILPOINTS: tuple[str, ...] = (
    "artefact.rename.after",
    "artefact.rename.before",
    "artefact.write.after",
    "artefact.write.before",
    "collect.remove.after",
    "collect.remove.before",
    "compact.record.after",
    "compact.record.before",
    "fire.record.after",
    "fire.record.before",
    "fire.settle.after",
    "fire.settle.before",
    "ledger.commit.after",
    "ledger.commit.before",
    "manifest.rename.after",
    "manifest.rename.before",
    "mended.write.after",
    "mended.write.before",
    "online.fill.after",
    "online.fill.before",
    "predictions.drain.after",
    "predictions.drain.before",
    "publish.move.after",
    "publish.move.before",
    "segment.seal.after",
    "segment.seal.before",
    "step.make.after",
    "step.make.before",
    "table.commit.after",
    "table.commit.before",
    "table.sync.after",
    "table.sync.before",
)

_VARIABLE = "HEADRACE_FAILPOINT"


class _Armed:
    """The failpoint that the environment variable arms, and how often it was passed."""

    def __init__(self, text: str) -> None:
        name, _, error = text.partition("=")
        name, _, count = name.partition(":")
        self.name = name
        self.error = error
        self.left = int(count or 1)

    def passed(self) -> None:
        self.left -= 1
        if self.left > 0:
            return
        if self.error:
            number = getattr(errno, self.error)
            raise OSError(number, os.strerror(number))
        _kill()


def _kill() -> None:
    """End the whole process tree of this run at once, as a power cut would."""
    main = int(os.environ.get("HEADRACE_MAIN_PROCESS", "0"))
    if main and main != os.getpid():
        os.kill(main, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


_armed = _Armed(os.environ[_VARIABLE]) if os.environ.get(_VARIABLE) else None


def failpoint(name: str) -> None:
    """Pass a failpoint. `name` is one of `FAILPOINTS`."""
    if _armed is not None and _armed.name == name:
        _armed.passed()

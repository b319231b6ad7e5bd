"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended; listed by `headrace --help`."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    STEP_FAILED = 3
    REFUSED = 4
    FOUND = 5
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done",
    Exit.ERROR: "an error, told on stderr; plan, apply: a source cannot be observed, and the rest is planned or made",
    Exit.USAGE: "the command was spelled wrong",
    Exit.STEP_FAILED: "apply: a step failed",
    Exit.REFUSED: "apply: a gate refused a version; nothing else failed",
    Exit.FOUND: "plan, diff --exit-code: there are changes; check, doctor, parity: there are problems",
    Exit.INTERRUPTED: "interrupted by Ctrl-C or by `headrace cancel`",
}

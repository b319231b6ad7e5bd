"""Text that users see, compared with a file: `HEADRACE_UPDATE_GOLDEN=1 pytest ...` writes the files again."""

from __future__ import annotations

import os
import re
from difflib import unified_diff
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"

_VARIES = (
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "<key>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?"), "<time>"),
    (re.compile(r"(<1|~?\d+) s\b"), "<duration>"),
    (re.compile(r"\d+(\.\d+)? (k|M|G|T)?B\b"), "<size>"),
    (re.compile(r"process \d+ on \S+"), "<process>"),
    (re.compile(r"(?<=\S) {2,}"), "  "),
)


def normal(text: str) -> str:
    """The text without what differs from run to run: keys, times, durations, sizes, the width of columns."""
    for pattern, stand_in in _VARIES:
        text = pattern.sub(stand_in, text)
    return text


def check(name: str, text: str) -> None:
    """Compare a text with `golden/NAME.txt`."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("HEADRACE_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    expected = file.read_text(encoding="utf-8")
    differing = "\n".join(unified_diff(expected.splitlines(), text.splitlines(), str(file), "now", lineterm=""))
    assert text == expected, differing

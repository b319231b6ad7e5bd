"""The code blocks of the documentation, and what of their output differs from run to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.cli import golden

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial.md",
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
    *sorted((ROOT / "docs" / "concepts").glob("*.md")),
]
FENCE = "```"
ANYTHING = "..."


@dataclass(frozen=True)
class Block:
    """One code block: the page it stands on, the line it begins at, the words after the fence, its text."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def name(self) -> str:
        """How a test that is about this block is called."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a console block, and what it prints."""

    line: str
    output: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """The code blocks of one page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith(FENCE)]
    assert len(fences) % 2 == 0, f"{page}: a code block is not closed"
    return [
        Block(page, begin + 1, lines[begin].removeprefix(FENCE), "\n".join(lines[begin + 1 : end]) + "\n")
        for begin, end in zip(fences[::2], fences[1::2], strict=True)
    ]


def blocks(*infos: str) -> list[Block]:
    """The blocks of all pages, or those that are marked with one of these words."""
    return [block for page in PAGES for block in blocks_of(page) if not infos or block.info in infos]


def commands_of(text: str) -> list[Command]:
    """The commands of a console block, each with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            assert found, f"output without a command: {line}"
            found[-1][1].append(line)
    return [Command(command, tuple(output)) for command, output in found]


def same_output(documented: str, printed: str) -> bool:
    """Whether a page tells what was printed: `...` as a line stands for any lines, within a line for any text."""
    wanted = [_pattern(line.rstrip()) for line in golden.normal(documented).strip().splitlines()]
    lines = "".join(f"{line.rstrip()}\n" for line in golden.normal(printed).strip().splitlines())
    return re.fullmatch("".join(wanted), lines) is not None


def _pattern(line: str) -> str:
    if line == ANYTHING:
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split(ANYTHING)) + r"\n"

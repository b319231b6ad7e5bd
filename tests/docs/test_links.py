"""Every link between pages leads somewhere, and every promise of the README to tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
TEST = re.compile(r"`(test_\w+)`")
PROMISES = 7


def pages() -> list[Path]:
    """The pages that somebody wrote; the generated ones are compared as a whole."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    return [page for page in found if page.parent.name != "errors"]


def links_of(text: str) -> list[tuple[str, str]]:
    return [(found["text"], found["target"]) for found in LINK.finditer(text)]


def promises() -> list[str]:
    """The promises of the README, each with what says which tests hold it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## What it promises\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
    return re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.split("#")[0] for _, target in links_of(page.read_text(encoding="utf-8"))]
    inside = [target for target in targets if target and not target.startswith("https://")]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_there_are_seven_promises() -> None:
    assert len(promises()) == PROMISES


@pytest.mark.parametrize("number", range(PROMISES))
def test_a_promise_has_tests(number: int) -> None:
    links = links_of(promises()[number])
    assert links
    for text, target in links:
        named = TEST.fullmatch(text)
        assert named, f"{text} is not the name of a test"
        assert named[1] in functions_of(ROOT / target), f"{target} has no {named[1]}"


def test_pages_of_the_index_are_all_of_them() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / target).resolve() for _, target in links_of(index.read_text(encoding="utf-8"))}
    written = {*(index.parent / "howto").glob("*.md"), *(index.parent / "concepts").glob("*.md")}
    written |= {*(index.parent / "reference").glob("*.md"), index.parent / "tutorial.md"}
    assert written <= listed


def test_nothing_is_read_from_outside() -> None:
    """The picture of the README is drawn without fonts, scripts or images from elsewhere."""
    picture = (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8")
    assert not re.search(r"<script|<image|@import|href=", picture)

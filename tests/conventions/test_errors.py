"""Every code that can be raised is explained, and every explanation belongs to a code that can be raised."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "headrace"
CATALOGUE_TEXT = (SOURCE / "errors.toml").read_text(encoding="utf-8")
CATALOGUE: dict[str, dict[str, str]] = tomllib.loads(CATALOGUE_TEXT)
CODE = re.compile(r"\bHR\d{3}\b")


def mentioned(text: str) -> set[str]:
    return set(CODE.findall(text))


def used(source: str) -> set[str]:
    """The codes that stand in the source as a string of their own, as they do where an error or a warning is made."""
    strings = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {text for text in strings if isinstance(text, str) and CODE.fullmatch(text)}


def sources() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))]


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    assert not set().union(*map(mentioned, sources())) - CATALOGUE.keys()


def test_every_entry_of_the_catalogue_is_raised_somewhere() -> None:
    assert not CATALOGUE.keys() - set().union(*map(used, sources()))


@pytest.mark.parametrize("code", CATALOGUE)
def test_entry_says_what_why_and_how_to_fix_it(code: str) -> None:
    assert CODE.fullmatch(code)
    assert CATALOGUE[code].keys() == {"title", "why", "fix"}
    assert all(text.strip() for text in CATALOGUE[code].values())


def test_catalogue_is_sorted_and_titles_differ() -> None:
    assert CATALOGUE
    assert list(CATALOGUE) == sorted(CATALOGUE)
    titles = Counter(entry["title"] for entry in CATALOGUE.values())
    assert not [title for title, times in titles.items() if times > 1]


def test_the_search_sees() -> None:
    source = 'def f():\n    """May raise HR101."""\n    raise HeadraceError("HR102", f"see HR103")\n'
    assert mentioned(source) == {"HR101", "HR102", "HR103"}
    assert used(source) == {"HR102"}

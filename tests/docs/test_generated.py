"""What `make docs` writes is what the repository holds."""

from __future__ import annotations

import polars as pl
import pytest

import headrace
from headrace.cli.main import VERBS
from headrace.errors import catalogue
from headrace.ports.failpoints import FAILPOINTS
from tools.docs import ROOT, pages


@pytest.fixture(scope="module")
def wanted() -> dict[str, str]:
    return {str(path): text for path, text in pages().items()}


def test_the_pages_are_up_to_date(wanted: dict[str, str]) -> None:
    stale = [path for path, text in wanted.items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text]
    assert not stale, f"make docs writes these again: {stale}"


def test_no_page_is_of_an_error_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "docs" / "errors").glob("HR*.md")} == set(catalogue())


def test_the_pages_are_complete(wanted: dict[str, str]) -> None:
    assert all(f"[{code}]({code}.md)" in wanted["docs/errors/README.md"] for code in catalogue())
    assert all(f"## `{name}`" in wanted["docs/reference/api.md"] for name in headrace.__all__)
    assert all(f"## `headrace {verb}`" in wanted["docs/reference/cli.md"] for verb in VERBS)
    assert all(f"`{name}`" in wanted["docs/reference/failpoints.md"] for name in FAILPOINTS)


def test_the_types_are_complete(wanted: dict[str, str]) -> None:
    abstract = {"DataType", "NumericType", "IntegerType", "SignedIntegerType", "UnsignedIntegerType", "FloatType"}
    abstract |= {"TemporalType", "NestedType", "ObjectType", "BaseExtension", "Extension", "Unknown", "Utf8"}
    names = {
        name
        for name in dir(pl.datatypes)
        if isinstance(kind := getattr(pl.datatypes, name), type) and issubclass(kind, pl.DataType)
    }
    page = wanted["docs/reference/types.md"]
    assert [name for name in sorted(names - abstract) if f"| `{name}" not in page] == []

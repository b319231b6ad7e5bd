"""`import headrace` is light, and the package does not import its own front door."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "headrace"
HEAVY = {
    *("deltalake", "duckdb", "numpy", "pandas", "polars", "psycopg", "pyarrow", "scipy", "sklearn", "skops"),
    *("rich", "typer"),
}
IN_FRONT_OF_THE_DOOR = {"cli", "testing", "ui"}
REPORT = "import json, sys; import {module}; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"


def loaded_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after importing the module."""
    command = [sys.executable, "-c", REPORT.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["headrace", "headrace.errors"])
def test_import_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(module)
    assert "headrace" in loaded
    assert not loaded & HEAVY


def test_the_report_sees_a_heavy_import() -> None:
    assert "numpy" in loaded_by("numpy") & HEAVY


def imports_the_front_door(source: str) -> bool:
    """Whether the source imports a name of `headrace` itself, as users do, and not one of its modules."""
    modules = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name == "headrace" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "headrace" and not node.level:
            return not {alias.name for alias in node.names} <= modules
    return False


def test_inner_modules_do_not_import_the_front_door() -> None:
    inner = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in IN_FRONT_OF_THE_DOOR]
    assert not [
        str(path.relative_to(SOURCE)) for path in inner if imports_the_front_door(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from headrace import Pipeline", True),
        ("def f():\n    import headrace", True),
        ("from headrace import errors", False),
        ("from headrace.errors import HeadraceError", False),
    ],
)
def test_the_front_door_is_recognised(source: str, found: bool) -> None:
    assert imports_the_front_door(source) is found

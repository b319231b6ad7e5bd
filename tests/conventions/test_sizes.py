"""A reader can hold one module, one function, one signature in mind at a time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "headrace"
MODULES = sorted(SOURCE.rglob("*.py"))
LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 60
PARAMETERS = 7

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> int:
    """How many arguments a caller may give; `self` and `cls` are not the caller's."""
    spec = function.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_OF_A_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_functions_are_short_and_take_few_parameters(path: Path) -> None:
    found = functions(ast.parse(path.read_text(encoding="utf-8")))
    long = {function.name: lines(function) for function in found if lines(function) > LINES_OF_A_FUNCTION}
    wide = {function.name: parameters(function) for function in found if parameters(function) > PARAMETERS}
    assert not long, f"more than {LINES_OF_A_FUNCTION} lines"
    assert not wide, f"more than {PARAMETERS} parameters"


def test_the_measures() -> None:
    tree = ast.parse(
        "class A:\n    def f(self, a, /, b, *rest, c=1, **more):\n        return a\n\nasync def g():\n    pass\n"
    )
    assert {function.name: (lines(function), parameters(function)) for function in functions(tree)} == {
        "f": (2, 3),
        "g": (2, 0),
    }

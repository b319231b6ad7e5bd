"""Laws of fingerprints over generated modules: blind to the spelling of a program, sensitive to every change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.usercode import UserCode, user_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from headrace.graph.fingerprint import Fingerprint

Value: TypeAlias = object
Expression: TypeAlias = tuple[object, ...]

OPERATORS = ("+", "-", "*", "//", "%", "<<", "|", "<", "==", "and", "or")
HELPERS = ("clean", "scale", "shift")
CONSTANTS = ("LIMIT", "KEYS", "TABLE")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(0, 4)
    | st.text("ab'\"\\\né", max_size=3)
    | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(st.text("xyz", max_size=1), inner, max_size=2)
    ),
    max_leaves=4,
)
expressions = st.recursive(
    st.tuples(st.just("value"), values)
    | st.tuples(st.just("name"), st.sampled_from((*CONSTANTS, "x", "n", "captured"))),
    lambda inner: (
        st.tuples(st.just("operator"), st.sampled_from(OPERATORS), inner, inner)
        | st.tuples(st.just("call"), st.sampled_from(HELPERS), inner)
    ),
    max_leaves=6,
)


@dataclass(frozen=True)
class Program:
    """A module: constants, helpers (body, default) that may call each other, a closure and a node that uses all."""

    constants: tuple[Value, ...]
    bodies: tuple[Expression, ...]
    defaults: tuple[Value, ...]
    captured: Value
    node: Expression


programs = st.builds(
    Program,
    st.tuples(*[values] * len(CONSTANTS)),
    st.tuples(*[expressions] * len(HELPERS)),
    st.tuples(*[values] * len(HELPERS)),
    values,
    expressions,
)


class Printer:
    """Writes a program down, in a spelling that the random numbers choose; without them plainly."""

    def __init__(self, random: Random | None = None) -> None:
        self.random = random

    def maybe(self) -> bool:
        return self.random is not None and self.random.random() < 0.5

    def value(self, value: Value) -> str:
        if isinstance(value, str) and self.maybe():
            body = "".join(
                f"\\u{ord(letter):04x}" if self.maybe() or letter in "'\"\\\n" else letter for letter in value
            )
            return f'"{body}"' if self.maybe() else f"'{body}'"
        if isinstance(value, (list, tuple)) and self.maybe():
            inner = "".join(f"{self.value(item)},\n" for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        return repr(value)

    def expression(self, expression: Expression) -> str:
        kind, *rest = expression
        if kind == "value":
            text = self.value(rest[0])
        elif kind == "name":
            text = str(rest[0])
        elif kind == "call":
            text = f"{rest[0]}({self.expression(rest[1])}{',' if self.maybe() else ''})"  # type: ignore[arg-type]
        else:
            space = "  " if self.maybe() else " "
            left, right = self.expression(rest[1]), self.expression(rest[2])  # type: ignore[arg-type]
            text = f"({left}{space}{rest[0]} {right})"
        return f"({text}\n)" if self.maybe() else text

    def function(self, name: str, arguments: str, body: list[str]) -> str:
        lines = [f"def {name}({arguments}){' -> object' if self.maybe() else ''}:"]
        lines += ['    """It\'s a docstring."""'] if self.maybe() else []
        for line in body:
            lines += ["", "    # a comment"] if self.maybe() else []
            lines += ["    pass"] if self.maybe() else []
            lines.append(f"    {line}{'  # why' if self.maybe() and chr(10) not in line else ''}")
        return "\n".join(lines) + "\n"

    def module(self, program: Program) -> str:
        parts = [
            f"{name}{': object' if self.maybe() else ''} = {self.value(value)}\n"
            for name, value in zip(CONSTANTS, program.constants, strict=True)
        ]
        for name, body, default in zip(HELPERS, program.bodies, program.defaults, strict=True):
            arguments = f"x{': int' if self.maybe() else ''}, n={self.value(default)}"
            parts.append(self.function(name, arguments, [f"return ({self.expression(body)})"]))
        everything = ", ".join((*HELPERS, *CONSTANTS, "captured", self.expression(program.node)))
        parts.append(self.function("node", "x, n=1", [f"return ({everything})"]))
        inner = self.function("inner", "y", ["return (y, kept)"]).replace("\n", "\n    ")
        parts.append(f"def outer(kept):\n    {inner}\n    return inner\n")
        if self.random is not None:
            self.random.shuffle(parts)
        last = f"captured = outer({self.value(program.captured)})\n"
        return ("\n\n# a comment\n" if self.maybe() else "\n").join([*parts, last])


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCode]:
    with user_code(tmp_path_factory.mktemp("laws")) as project:
        yield project


def taken(code: UserCode, program: Program, random: Random | None = None) -> Fingerprint:
    return code.take(Printer(random).module(program))


@given(programs, st.randoms(use_true_random=False))
def test_spelling_does_not_matter(code: UserCode, program: Program, random: Random) -> None:
    assert taken(code, program) == taken(code, program, random)


def spelled(value: object) -> str:
    """Equal for values that mean the same: types told apart, dictionaries in one order."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{key!r}:{spelled(inner)}" for key, inner in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(spelled, value))})"
    return repr(value)


def swapped(items: tuple[object, ...], position: int, item: object) -> tuple[object, ...]:
    return (*items[:position], item, *items[position + 1 :])


def check(code: UserCode, program: Program, other: Program, *, same: bool, part: str) -> None:
    """The two differ, unless they are the same, and in that part only."""
    one, two = taken(code, program), taken(code, other)
    assert (one.digest == two.digest) == same
    assert {name for name in one.parts if one.parts[name] != two.parts[name]} == (set() if same else {part})


@given(programs, st.integers(0, len(CONSTANTS) - 1), values)
def test_every_constant_matters(code: UserCode, program: Program, position: int, value: Value) -> None:
    other = replace(program, constants=swapped(program.constants, position, value))
    same = spelled(program.constants[position]) == spelled(value)
    check(code, program, other, same=same, part=f"pipeline.{CONSTANTS[position]}")


@given(programs, st.integers(0, len(HELPERS) - 1), expressions)
def test_every_helper_matters(code: UserCode, program: Program, position: int, body: Expression) -> None:
    other = replace(program, bodies=swapped(program.bodies, position, body))  # type: ignore[arg-type]
    same = repr(program.bodies[position]) == repr(body)
    check(code, program, other, same=same, part=f"pipeline.{HELPERS[position]}")


@given(programs, st.integers(0, len(HELPERS) - 1), values)
def test_every_default_matters(code: UserCode, program: Program, position: int, value: Value) -> None:
    other = replace(program, defaults=swapped(program.defaults, position, value))
    same = repr(program.defaults[position]) == repr(value)
    check(code, program, other, same=same, part=f"pipeline.{HELPERS[position]}")


@given(programs, values)
def test_every_captured_value_matters(code: UserCode, program: Program, value: Value) -> None:
    same = spelled(program.captured) == spelled(value)
    check(code, program, replace(program, captured=value), same=same, part="pipeline.outer.<locals>.inner")


@given(programs, expressions)
def test_the_body_of_the_node_matters(code: UserCode, program: Program, body: Expression) -> None:
    same = repr(program.node) == repr(body)
    check(code, program, replace(program, node=body), same=same, part="pipeline.node")


@given(programs, st.sampled_from(OPERATORS), st.sampled_from(OPERATORS))
def test_every_operator_matters(code: UserCode, program: Program, one: str, other: str) -> None:
    bodies = [("operator", name, ("name", "x"), ("name", "n")) for name in (one, other)]
    programs = [replace(program, bodies=(body, *program.bodies[1:])) for body in bodies]
    check(code, *programs, same=one == other, part="pipeline.clean")

"""Time and chance come through a port, so that a whole pipeline can run on a simulated clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "headrace"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "adapters")
MODULES_OF_CHANCE = ("random", "secrets", "numpy.random")
FORBIDDEN = {
    *(f"datetime.datetime.{name}" for name in ("now", "today", "utcnow")),
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
    *("datetime.date.today", "os.urandom", "time.sleep", "uuid.uuid1", "uuid.uuid4"),
}


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name of a module stands for: `from time import time as now` gives {now: time.time}."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The full name that an expression such as `dt.datetime.now` refers to, if it is made of imported names."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, names)
        return owner and f"{owner}.{node.attr}"
    return names.get(node.id) if isinstance(node, ast.Name) else None


def uses(source: str) -> set[str]:
    """The forbidden names that a module refers to, called or not."""
    tree = ast.parse(source)
    names = imported_names(tree)
    found = {dotted(node, names) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    found |= set(names.values())
    chance = tuple(f"{module}." for module in MODULES_OF_CHANCE)
    return {name for name in found if name and (name in FORBIDDEN or f"{name}.".startswith(chance))}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_clock_and_no_chance_outside_adapters(path: Path) -> None:
    assert not uses(path.read_text(encoding="utf-8")), "ask ports.Clock, or take a seed"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time()", {"time.time"}),
        ("import time as t\nf = t.monotonic", {"time.monotonic"}),
        ("from time import sleep as nap", {"time.sleep"}),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", {"datetime.datetime.now"}),
        ("import datetime as dt\ndt.datetime.utcnow()", {"datetime.datetime.utcnow"}),
        ("from uuid import uuid4", {"uuid.uuid4"}),
        ("import random", {"random"}),
        ("from secrets import token_hex", {"secrets.token_hex"}),
        ("import numpy as np\nnp.random.default_rng()", {"numpy.random", "numpy.random.default_rng"}),
        ("from datetime import datetime\ndatetime.fromisoformat('2013-01-01')", set()),
        ("def f(clock):\n    return clock.now()", set()),
        ("import randomness", set()),
    ],
)
def test_the_search_sees(source: str, found: set[str]) -> None:
    assert uses(source) == found

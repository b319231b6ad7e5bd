"""Tasks: plain steps with effects outside."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.graph.node import Node
from headrace.ports.records import Manifest, Version
from headrace.ports.work import Action, Step
from headrace.tables.task import RESULT_LIMIT, Task
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.work import Context


class Other(Node):
    kind = "other"

    def make(self, step: Step, context: Context) -> Manifest:  # noqa: ARG002 - it makes nothing of anything
        return Manifest(step.key, {}, {"made": True})


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_rows_come_as_frames_and_other_nodes_as_versions(shop: Workshop) -> None:
    shop.write("data/a.csv", "n\n1\n2\n")
    raw, other = csv_source(), Other("other")
    seen: list[object] = []

    def notify(rows: pl.DataFrame, version: Version) -> dict[str, Any]:
        seen.extend((rows, version))
        return {"rows": rows.height}

    task = Task("notify", [raw, other], notify)
    versions = {"raw": shop.land(raw), "other": shop.make(other)}
    made = shop.make(task, versions)
    assert isinstance(seen[0], pl.DataFrame)
    assert seen[1] is versions["other"]
    assert (made.manifest.outputs, made.manifest.facts) == ({}, {"result": {"rows": 2}})


def test_the_idempotency_key_is_that_of_the_step(shop: Workshop) -> None:
    other, more = Other("other"), Other("more")
    seen: list[tuple[object, ...]] = []

    def last(version: Version, idempotency_key: str) -> None:
        seen.append((version.node, idempotency_key))

    def first(idempotency_key: str, version: Version, another: Version) -> None:
        seen.append((version.node, another.node, idempotency_key))

    def only(*, idempotency_key: str) -> None:
        seen.append((idempotency_key,))

    versions = {"other": shop.make(other), "more": shop.make(more)}
    keys = [
        shop.make(Task("last", [other], last), {"other": versions["other"]}).key,
        shop.make(Task("first", [other, more], first), versions).key,
        shop.make(Task("only", [], only)).key,
    ]
    assert seen == [("other", keys[0]), ("other", "more", keys[1]), (keys[2],)]
    assert shop.make(Task("only", [], only)).key == keys[2]


def test_nothing_returned_is_nothing_recorded(shop: Workshop) -> None:
    assert shop.make(Task("t", [], lambda: None)).manifest.facts == {}


@pytest.mark.parametrize(
    "result", [0, "é", [1, 2.5, None, True], {"a": {"b": []}}, (1, 2), {1: 2}, "x" * (RESULT_LIMIT - 2)]
)
def test_plain_results_are_recorded_as_they_will_be_read(shop: Workshop, result: object) -> None:
    version = shop.make(Task("t", [], lambda: result))
    assert Manifest.from_json(version.manifest.to_json()) == version.manifest
    recorded = version.manifest.facts["result"]
    assert recorded == json.loads(json.dumps(result))
    assert type(recorded) in (int, str, list, dict)


@pytest.mark.parametrize(
    "result",
    [
        {1, 2},
        b"x",
        object(),
        float("nan"),
        [float("inf")],
        pl.DataFrame(),
        "x" * RESULT_LIMIT,
        "é" * (RESULT_LIMIT // 2),
        "\ud800",
    ],
)
def test_what_cannot_be_recorded(shop: Workshop, result: object) -> None:
    with pytest.raises(HeadraceError, match="HR424"):
        shop.make(Task("t", [], lambda: result))


def test_a_result_that_holds_itself(shop: Workshop) -> None:
    result: list[object] = []
    result.append(result)
    with pytest.raises(HeadraceError, match="HR424"):
        shop.make(Task("t", [], lambda: result))


def test_a_function_that_raises(shop: Workshop) -> None:
    def broken() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(HeadraceError, match="HR423") as caught:
        shop.make(Task("t", [], broken))
    assert f"{__file__}:{broken.__code__.co_firstlineno + 1}" in caught.value.what


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda: None, [Other("a")]),
        (lambda a, b: (a, b), [Other("a")]),
        (lambda idempotency_key: idempotency_key, [Other("a")]),
        (lambda a: a, []),
    ],
)
def test_a_wrong_number_of_arguments(function: Any, inputs: list[Node]) -> None:  # noqa: ANN401 - any function
    with pytest.raises(HeadraceError, match="HR420"):
        Task("t", inputs, function)


def test_annotations_of_versions_are_not_asked() -> None:
    def one(version: int) -> None: ...
    def two(rows: int) -> None: ...

    Task("t", [Other("a")], one)
    with pytest.raises(HeadraceError, match="HR421"):
        Task("t", [csv_source()], two)


def test_a_task_is_still_a_function() -> None:
    task = Task("t", [], lambda idempotency_key: idempotency_key)
    assert task(idempotency_key="k") == "k"
    assert len(task.functions()) == 1


LIGHT = """
    import sys
    from headrace.tables.task import Task
    from headrace.graph.node import Node
    from headrace.ports.work import Action, Step

    task = Task("t", [], lambda: {"a": 1})
    manifest = task.make(Step("t", "k", "", (), Action.MAKE, ""), None)
    print(manifest.facts, sorted({"polars", "numpy", "pyarrow", "pandas", "duckdb"} & set(sys.modules)))
"""


def test_a_task_without_frames_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(LIGHT)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'result': {'a': 1}} []"


def nothing(version: Version) -> None: ...


def test_a_task_that_does_nothing_costs_little(shop: Workshop) -> None:
    task = Task("t", [Other("a")], nothing)
    version = Version("k", "a", "other", "", (), Manifest("k"))
    step = Step("t", "key", "", (("a", "k"),), Action.MAKE, "")
    context = shop.context("key", {"a": version})
    best = min(_seconds(task, step, context) for _ in range(200))
    assert best < 50e-6


def _seconds(task: Task, step: Step, context: Context) -> float:
    start = time.perf_counter()
    task.make(step, context)
    return time.perf_counter() - start

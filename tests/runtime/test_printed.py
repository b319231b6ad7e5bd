"""What steps print: found while they run, after they end, and after their worker died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.runtime.observer import Observer
from headrace.runtime.printed import log_of, salvage, spool_of, texts
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TALK = """
import os, subprocess
from headrace import Options

@shop.task(orders, options=Options({options}))
def talks(rows):
    print("from Python", flush=True)
    os.write(2, b"from C\\n")
    subprocess.run(["echo", "from a program"])
{body}
"""
WORDS = ["from Python", "from C", "from a program"]


def printed(project: Project) -> Mapping[str, str]:
    with project.opened() as workspace:
        workspace.apply(workspace.question(), Observer())
        folder = workspace.settings.logs / workspace.ledger.runs()[0].id
    assert not list(folder.glob("*.spool"))
    return texts(folder)


def talking(folder: Path, body: str, options: str = "") -> Project:
    project = Project(folder / "shop", ORDERS + TALK.format(body=body, options=options))
    project.write_batch("01", range(10))
    return project


def test_a_log_holds_what_was_printed_in_every_way(tmp_path: Path) -> None:
    found = printed(talking(tmp_path, ""))
    assert found["talks"].splitlines() == WORDS


def test_a_step_that_prints_nothing_has_no_log(tmp_path: Path) -> None:
    project = talking(tmp_path, "")
    project.edit('print("from Python", flush=True)', "return")
    assert "talks" not in printed(project)


@pytest.mark.parametrize(
    ("body", "options"), [("    os._exit(7)", ""), ("    os.read(os.pipe()[0], 1)", 'timeout="1s"')]
)
def test_what_a_worker_printed_before_it_died_is_kept(tmp_path: Path, body: str, options: str) -> None:
    assert printed(talking(tmp_path, body, options))["talks"].splitlines() == WORDS


def test_every_try_is_kept(tmp_path: Path) -> None:
    found = printed(talking(tmp_path, "    raise ValueError", 'retries=1, backoff="1ms"'))
    lines = found["talks"].splitlines()
    assert lines.count("from C") == 2
    assert lines.count("ValueError") == 2


def test_what_a_step_under_way_has_printed_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    log_of(folder, "orders").write_text("an earlier try\n")
    spool_of(folder, 1).write_bytes(b"\0raw\n\0\n\0orders\nso far\n")
    spool_of(folder, 2).write_bytes(b"\0by_shop\n")
    assert texts(folder) == {"orders": "an earlier try\nso far\n"}
    for pid in (1, 2, 3):
        salvage(spool_of(folder, pid))
    assert texts(folder) == {"orders": "an earlier try\nso far\n"}
    assert [file.name for file in folder.iterdir()] == ["orders.log"]

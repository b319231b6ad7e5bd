"""`headrace check` asks the databases of a pipeline, for a moment: one that does not answer is a warning."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from headrace.project import reaching
from tests.cli.commands import inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIPELINE = """
from headrace import Pipeline
from headrace.sources import database

shop = Pipeline("shop")
orders = shop.source("orders", database("{name}", table="orders"))
again = shop.source("again", database("{name}", query="SELECT 1 AS n"))
"""


def shop(folder: Path, name: str, *settings: str) -> Path:
    (folder / "headrace.toml").write_text("\n".join(['pipeline = "shop_asking:shop"', "[databases]", *settings]))
    (folder / "shop_asking.py").write_text(PIPELINE.format(name=name))
    return folder


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that lets everybody in and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


@contextmanager
def no_server() -> Iterator[int]:
    """A port that nobody listens at."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("server", [silent_server, no_server], ids=["silent", "none"])
def test_a_server_that_does_not_answer_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, server: object
) -> None:
    monkeypatch.setattr(reaching, "PATIENCE", 2)
    assert callable(server)
    with server() as port:
        shop(tmp_path, "crm", f'crm = "{kind}://app:s3cret@127.0.0.1:{port}/crm"')
        told = inside(tmp_path, "check").out
        asked = json.loads(inside(tmp_path, "check", "--json").out)
    assert "warning: again, orders: HR341 database 'crm'" in told
    assert told.endswith("2 nodes, no problem, 1 warning.\n")
    assert "s3cret" not in told
    assert [(each["code"], each["sources"]) for each in asked["warnings"]] == [("HR341", ["again", "orders"])]
    assert inside(tmp_path, "check", "--offline").out == "2 nodes, no problem.\n"
    assert not (tmp_path / ".headrace").exists()


def test_a_database_that_answers_is_not_mentioned(tmp_path: Path) -> None:
    shop(tmp_path, "crm", 'crm = "sqlite:crm.db"')
    assert "HR341" in inside(tmp_path, "check").out
    with closing(sqlite3.connect(tmp_path / "crm.db")) as made:
        made.execute("CREATE TABLE orders (n INT)")
    assert inside(tmp_path, "check").out == "2 nodes, no problem.\n"


def test_what_is_wrong_on_every_machine_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(tmp_path, "cmr", 'crm = "env:CRM"')
    monkeypatch.delenv("CRM", raising=False)
    assert "HR340" in inside(tmp_path, "check", "--offline", code=5).out
    shop(tmp_path, "crm", 'crm = "env:CRM"')
    unset = inside(tmp_path, "check").out
    assert "warning: again, orders: HR340" in unset
    shop(tmp_path, "crm", 'crm = "oracle://host"')
    assert "HR349" in inside(tmp_path, "check", code=5).out

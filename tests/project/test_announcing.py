"""What people hear of: from a real ledger to a real log, once, and again where it may not have arrived."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace.errors import HeadraceError
from headrace.project import announcing
from headrace.project.announcing import Announcer, try_channel
from headrace.project.settings import load
from headrace.runtime.environments import roll_back
from tests.support.projects import MODEL, ORDERS, Project
from tests.support.two_sources import TwoSources

if TYPE_CHECKING:
    from pathlib import Path

CHANNEL = '[notify.team]\nto = "log:told.jsonl"\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop", ORDERS + MODEL)
    configure(project, CHANNEL)
    project.write_batch("01", range(300))
    return project


def configure(project: Project, text: str) -> None:
    file = project.folder / "headrace.toml"
    file.write_text(file.read_text().partition("[notify")[0] + text)


def announced(project: Project, said: list[str] | None = None) -> None:
    """One life of an announcer, which looks once."""
    with project.opened() as workspace, Announcer(workspace, "prod", (said if said is not None else []).append) as told:
        told.look()


def told(project: Project) -> list[dict[str, Any]]:
    file = project.folder / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def kinds(project: Project) -> list[str]:
    return [each["kind"] for each in told(project)]


def test_what_happened_before_the_first_life_is_not_told(project: Project) -> None:
    project.apply()
    announced(project)
    assert told(project) == []


def test_a_failure_and_its_recovery_are_told_once_each(project: Project) -> None:
    announced(project)
    good = project.code
    project.edit("rows.with_columns", "rows.with_colums")
    project.apply()
    announced(project)
    announced(project)
    [failed] = told(project)
    assert (failed["kind"], failed["severity"], failed["title"]) == ("run failed", "error", "prod")
    assert "orders: HR423" in failed["text"]
    assert "with_colums" in failed["text"]
    project.write_code(good)
    project.apply()
    announced(project)
    project.write_batch("02", range(300, 330))
    project.apply()
    announced(project)
    assert kinds(project) == ["run failed", "run recovered"]


def test_a_source_that_cannot_be_observed_is_told_and_its_recovery(tmp_path: Path) -> None:
    project = TwoSources(tmp_path / "shop")
    configure(project, CHANNEL)
    project.write_batch("01", range(3))
    project.customers("Ada")
    announced(project)
    project.apply()
    project.lose()
    project.apply()
    announced(project)
    [failed] = told(project)
    assert (failed["kind"], failed["severity"]) == ("run failed", "error")
    assert "customers cannot be observed: HR341 database 'crm'" in failed["text"]
    assert failed["facts"]["unobserved"]["customers"]["code"] == "HR341"
    project.mend()
    project.apply()
    announced(project)
    assert kinds(project) == ["run failed", "run recovered"]


def test_quarantine_above_the_share_is_told(project: Project) -> None:
    announced(project)
    project.apply()
    project.write_batch("02", [*range(300, 396), -1, -2, -3, -4])
    project.apply()
    announced(project)
    assert told(project) == []  # 4 of 100 new rows: below 5 %
    project.write_batch("03", [*range(400, 490), *range(-20, -10)])
    project.apply()
    announced(project)
    [notice] = told(project)
    assert notice["kind"] == "quarantine"
    assert notice["text"].startswith("10 of 100 rows were set aside (10.0 %)")
    assert notice["facts"]["node"] == "orders"


def test_a_refused_gate_and_a_hold_are_told(project: Project) -> None:
    announced(project)
    project.apply()
    project.edit("THRESHOLD = 0.5", "THRESHOLD = 1.1")
    project.apply()
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    with project.opened() as workspace:
        roll_back(workspace.graph, workspace.ledger, "prod", "by_shop")
    announced(project)
    refused, held = [each for each in told(project) if each["kind"] in ("gate refused", "held")][-2:]
    assert refused["title"] == "model in prod"
    assert "accuracy >= 1.1" in refused["text"]
    assert held["title"] == "by_shop in prod"


def test_other_environments_are_not_told_of(project: Project) -> None:
    announced(project)
    project.edit("rows.with_columns", "rows.with_colums")
    project.apply("dev")
    announced(project)
    assert told(project) == []


def test_what_has_not_arrived_is_told_in_the_next_life(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    announced(project)
    project.edit("rows.with_columns", "rows.with_colums")
    project.apply()
    configure(project, CHANNEL.replace("told.jsonl", "nowhere/told.jsonl"))
    said: list[str] = []
    monkeypatch.setattr(announcing, "_GRACE", 1.0)
    announced(project, said)
    assert "team was not told: " in said[0]
    assert told(project) == []
    configure(project, CHANNEL)
    announced(project)
    assert kinds(project) == ["run failed"]


def test_a_channel_gets_what_it_was_declared_for(project: Project) -> None:
    more = '[notify.{}]\nto = "log:{}.jsonl"\n{}\n'
    files = {"gates": 'only = ["gate refused"]', "errors": 'at_least = "error"', "all": ""}
    configure(project, "".join(more.format(name, name, line) for name, line in files.items()))
    announced(project)
    project.edit("THRESHOLD = 0.5", "THRESHOLD = 1.1")
    project.apply()
    project.edit("rows.with_columns", "rows.with_colums")
    project.apply()
    announced(project)
    found = {
        name: [json.loads(line)["kind"] for line in (project.folder / f"{name}.jsonl").read_text().splitlines()]
        for name in files
    }
    assert found == {"gates": ["gate refused"], "errors": ["run failed"], "all": ["gate refused", "run failed"]}
    with project.opened() as workspace:
        try_channel(workspace, "gates")
        with pytest.raises(HeadraceError, match="HR992") as unknown:
            try_channel(workspace, "gate")
    assert "gates" in str(unknown.value)
    assert '"kind": "test"' in (project.folder / "gates.jsonl").read_text()


def test_a_damaged_mark_is_said_and_telling_begins_anew(project: Project) -> None:
    announced(project)
    (mark,) = (project.folder / ".headrace" / "up").glob("*.told")
    mark.write_text("{")
    said: list[str] = []
    project.apply()
    announced(project, said)
    assert "cannot be read" in said[0]
    announced(project)
    assert told(project) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[notify.team]\nto = "log:"\nonly = ["gate refusd"]', "gate refused"),
        ('[notify.team]\nto = "log:"\nat_leas = "error"', "at_least"),
        ('[notify.team]\nto = "log:"\nat_least = "bad"', "info, warning, error"),
        ("[notify.team]\nto = 3", "to is 3"),
        ("[notify.team]", "says not where to"),
        ('[notify]\nteam = "log:"', "holds no tables"),
        ("quarantine_share = 5", "a number from 0 to 1"),
        ('memory = "64MiB"', "at least 128 MiB"),
        ("memory = 3", "memory is 3"),
    ],
)
def test_settings_that_do_not_fit(project: Project, text: str, what: str) -> None:
    configure(project, text) if text.startswith("[") else (project.folder / "headrace.toml").write_text(text)
    with pytest.raises(HeadraceError, match="HR803") as refused:
        load(project.folder)
    assert what in str(refused.value)


def test_a_secret_that_is_not_set(project: Project) -> None:
    configure(project, '[notify.team]\nto = "https://127.0.0.1:1/"\nsecret_env = "NO_SUCH_SECRET"\n')
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR991"):
        Announcer(workspace, "prod", print)

"""Schedules and triggers on the command line: what plan, check, triggers and trigger say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import inside
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT

if TYPE_CHECKING:
    from pathlib import Path

TRIGGERS = """
from headrace import by_hand, cron, event, every

shop.schedule(by_shop, cron("0 6 * * mon", zone="America/New_York"))
shop.trigger(by_shop, on=event("com.example.refresh"))
shop.trigger(orders, on=by_hand())
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", ORDERS + TRIGGERS)
    made.write_batch("a", range(10))
    return made


def test_a_plan_says_at_what_pace_a_node_is_made(project: Project) -> None:
    said = inside(project.folder, "plan").out
    assert (
        'headrace up makes it on cron("0 6 * * mon", zone="America/New_York") or on event com.example.refresh' in said
    )
    assert "headrace up makes it by hand" in said
    steps = {step["node"]: step["details"] for step in inside(project.folder, "plan", "--json").data["steps"]}
    assert steps["orders"] == ["headrace up makes it by hand"]
    assert steps["raw"] == []


def test_a_changed_schedule_rebuilds_nothing(project: Project) -> None:
    project.apply()
    project.edit("0 6 * * mon", "0 7 * * tue")
    project.edit("com.example.refresh", "com.example.other")
    assert inside(project.folder, "plan").out == "Nothing to do.\n"


def test_a_delay_that_no_schedule_keeps_is_found_and_refused(tmp_path: Path) -> None:
    scheduled = 'from headrace import every\nshop.schedule(ShopHistory, every("1d"))\n'
    project = Project(tmp_path / "project", ORDERS + ENDPOINT + scheduled)
    project.write_batch("a", range(300))
    found = inside(project.folder, "check", code=5).out
    assert 'HR969 ShopHistory has a delay of 5m, but is published on every("1d")' in found
    for verb in ("plan", "apply"):
        assert "HR969" in inside(project.folder, verb, code=1).err
    project.edit('delay="5m"', 'delay="1d"')
    assert "no problem" in inside(project.folder, "check").out


def test_triggers_before_and_after_a_call_by_hand(project: Project) -> None:
    before = inside(project.folder, "triggers").out
    assert [line.split()[0] for line in before.splitlines()] == [
        "TRIGGER",
        "by_shop-on-com.example.refresh",
        "by_shop-schedule",
        "orders-by-hand",
    ]
    called = inside(project.folder, "trigger", "orders", "--reason", "to see").out
    assert called == (
        "orders-by-hand: 2 nodes to make: raw, orders; nobody looks after prod now: it waits for `headrace up prod`.\n"
    )
    waiting = {each["name"]: each["waiting"] for each in inside(project.folder, "triggers", "--json").data}
    ((signal,),) = [found for found in waiting.values() if found]
    assert (signal["kind"], signal["body"]) == ("by hand", {"reason": "to see"})
    elsewhere = {each["name"]: each["waiting"] for each in inside(project.folder, "triggers", "dev", "--json").data}
    assert not any(elsewhere.values())


def test_a_call_as_json(project: Project) -> None:
    assert inside(project.folder, "trigger", "by_shop-schedule", "--json").data == {
        "trigger": "by_shop-schedule",
        "environment": "prod",
        "makes": ["raw", "orders", "by_shop"],
        "unobserved": {},
        "heard": False,
    }


def test_an_unknown_trigger_is_refused(project: Project) -> None:
    failed = inside(project.folder, "trigger", "by_sop", code=1)
    assert "HR968" in failed.err
    assert "by_shop" in failed.err


def test_a_call_for_an_unknown_environment_is_refused(project: Project) -> None:
    assert "HR609" in inside(project.folder, "trigger", "by_shop", "prud", code=1).err


def test_a_project_without_triggers(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    assert inside(project.folder, "triggers").out.startswith("No schedule and no trigger is declared")


@pytest.mark.parametrize("address", ["8181", ":8181", "localhost:x", "localhost:70000"])
def test_an_address_that_is_none_is_refused(project: Project, address: str) -> None:
    assert "HR979" in inside(project.folder, "up", "--control", address, code=1).err

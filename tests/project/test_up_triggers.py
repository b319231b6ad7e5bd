"""`headrace up` with triggers: real supervisors, killed at each step of a fire, and commands beside them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from headrace.project.fired import latest
from headrace.project.firing import signals_for
from tests.support.projects import ORDERS, Project
from tests.support.upheld import upheld

REPORT = """
from pathlib import Path

from headrace import by_hand, event, every

EFFECTS = Path(__file__).with_name("effects")


@shop.task(orders)
def report(rows: pl.LazyFrame) -> None:
    with EFFECTS.open("a") as file:
        file.write("made\\n")


shop.trigger(report, on=event("com.example.refresh"))
shop.trigger(by_shop, on=by_hand())
"""
HOOK = "report-on-com.example.refresh"
STEPS = ("fire.record.before", "fire.record.after", "fire.settle.before", "fire.settle.after")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop", ORDERS + REPORT)
    project.write_batch("01", range(30))
    return project


def headrace(project: Project, *words: str) -> str:
    command = [str(Path(sys.executable).with_name("headrace")), *words]
    return subprocess.run(command, cwd=project.folder, check=True, capture_output=True, text=True).stdout


def send(address: str, number: int = 1) -> dict[str, object]:
    content = {"specversion": "1.0", "id": str(number), "source": "/test", "type": "com.example.refresh"}
    headers = {"content-type": "application/cloudevents+json"}
    answer = httpx.post(f"{address}/events", content=json.dumps(content), headers=headers)
    found: dict[str, object] = answer.raise_for_status().json()["events"][0]
    return found


def effects(project: Project) -> int:
    path = project.folder / "effects"
    return len(path.read_text().splitlines()) if path.exists() else 0


def fires(project: Project, name: str = HOOK) -> list[tuple[str, str | None]]:
    """The recorded fires of a trigger, newest first; nothing waits for it."""
    with project.opened() as workspace:
        assert signals_for(workspace, "prod", workspace.pipeline.triggers) == []
        return [(each.reason, each.outcome) for each in latest(workspace.ledger, "prod", name, 20) if each.fired]


def newest(project: Project) -> int:
    """The last signal that a fire of the hook took along."""
    with project.opened() as workspace:
        return next((each.mark.signal for each in latest(workspace.ledger, "prod", HOOK, 1)), 0)


def test_an_event_has_its_node_made_and_new_data_alone_does_not(project: Project) -> None:
    with upheld(project) as told:
        address = told.control()
        told.until("4 published to prod")
        project.write_batch("02", range(30, 36))
        told.until("Applying: new data")
        told.until("published to prod")
        assert effects(project) == 1
        assert send(address)["triggers"] == [HOOK]
        assert f"{HOOK} (1 event)" in told.until("Applying")
        assert told.until(f"{HOOK}: ").strip() == f"{HOOK}: made report"
        assert send(address)["seen_before"] is True
        assert send(address, 2)["seen_before"] is False
        assert told.until(f"{HOOK}: ").strip() == f"{HOOK}: nothing new to learn from"
        assert effects(project) == 2


def test_a_call_by_hand_waits_for_a_supervisor_and_wakes_one(project: Project) -> None:
    project.apply()
    project.write_batch("02", range(30, 36))
    said = headrace(project, "trigger", "by_shop")
    assert "3 nodes to make: raw, orders, by_shop" in said
    assert "it waits for `headrace up prod`" in said
    with upheld(project) as told:
        assert "by_shop-by-hand (asked for by hand)" in told.until("Applying: the beginning")
        told.until("by_shop-by-hand: ")
        assert "it begins at once" in headrace(project, "trigger", "by_shop-by-hand", "--reason", "to be sure")
        assert told.until("by_shop-by-hand: ").strip() == "by_shop-by-hand: nothing new to learn from"
    assert [reason for reason, _ in fires(project, "by_shop-by-hand")] == ["asked for by hand"] * 2
    (row,) = [each for each in json.loads(headrace(project, "triggers", "--json")) if each["node"] == "by_shop"]
    assert row["last"]["outcome"] == "nothing new to learn from"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_fires_once(project: Project, step: str) -> None:
    project.apply()
    project.write_batch("02", range(30, 36))
    with upheld(project, HEADRACE_FAILPOINT=step) as told:
        with suppress(httpx.RemoteProtocolError):  # it may be killed before it has answered: the event is sent again
            send(told.control())
        assert told.process.wait(60) == -signal.SIGKILL
    with upheld(project) as told:
        address = told.control()
        if step != "fire.settle.after":
            told.until(f"{HOOK}: ")
        assert send(address)["seen_before"] is True
        told.process.terminate()
        assert told.process.wait(60) == 0
    ((reason, outcome),) = fires(project)
    assert reason == "1 event"
    # On a busy machine the first apply may be killed as well, before it made what the report is made from.
    assert outcome in ("made report", "made orders, raw, report", "nothing new to learn from")
    assert effects(project) == 2


@pytest.mark.parametrize(("step", "is_durable"), [("ledger.commit.before", False), ("ledger.commit.after", True)])
def test_killed_while_an_event_is_taken_it_fires_once_when_it_is_sent_again(
    project: Project, step: str, *, is_durable: bool
) -> None:
    project.apply()
    project.write_batch("02", range(30, 36))
    with upheld(project, HEADRACE_FAILPOINT=f"{step}:3") as told:  # the third commit, after two triggers are declared
        address = told.control()
        told.until("Applying")
        with pytest.raises(httpx.TransportError):
            send(address)
        assert told.process.wait(60) == -signal.SIGKILL
    with upheld(project) as told:
        address = told.control()
        assert send(address)["seen_before"] is is_durable
        told.until(f"{HOOK}: ")
        told.process.terminate()
        assert told.process.wait(60) == 0
    ((reason, _),) = fires(project)
    assert reason == "1 event"
    assert effects(project) == 2


def test_killed_in_the_middle_of_a_storm_no_event_is_lost(project: Project) -> None:
    project.apply()
    sent = 0
    for _ in range(3):
        with upheld(project) as told:
            address = told.control()
            for _ in range(25):
                sent += 1
                send(address, sent)
            told.process.kill()
    with upheld(project) as told:
        send(told.control(), sent + 1)
        while newest(project) < sent + 1:  # the first fire may be of what the storm left over
            told.until(f"{HOOK}: ")
        told.process.terminate()
        told.process.wait(60)
    with project.opened() as workspace:
        records = [each for each in latest(workspace.ledger, "prod", HOOK, 400) if each.fired]
    assert records[0].mark.signal == sent + 1
    taken = sum(int(each.reason.split()[0]) for each in records)
    assert taken == sent + 1

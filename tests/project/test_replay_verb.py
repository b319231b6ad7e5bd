"""`headrace replay`: the text, the JSON and the page that people read, and how it answers bad input."""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from headrace.cli.session import Session
from headrace.cli.verbs.replay import progress_of, sparkline
from headrace.monitors.policies import POLICIES
from tests.cli.commands import headrace, inside
from tests.support.replayed import replayed_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Done
    from tests.support.projects import Project

PERIOD = ("--from", "2024-01-01", "--to", "2024-03-31")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return replayed_project(tmp_path_factory.mktemp("verb"))


@pytest.fixture(scope="module")
def page(project: Project) -> Path:
    return project.folder / "replay.html"


@pytest.fixture(scope="module")
def told(project: Project, page: Path) -> Done:
    words = ("replay", *PERIOD, "--policy", "none,weekly", "--policy", "quality", "--report", str(page))
    return headrace(project.folder, *words)


def test_the_table_compares_the_policies(told: Done) -> None:
    assert told.out.startswith("scores of prod, 2024-01-01 to 2024-03-31: the first model of 2024-01-29, then 2,2")
    rows = re.findall(
        r"^  (none|weekly|quality) +0\.\d{3} +0\.\d{3} to 0\.\d{3} +0\.\d{3} +\d\d\.\d%", told.out, re.MULTILINE
    )
    assert rows == ["none", "weekly", "quality"]
    interval = r"\+0\.\d{3} \([+-]0\.\d{3} to \+0\.\d{3}\)"
    assert re.search(rf"^  weekly +roc_auc {interval} +better in \d of 9 weeks$", told.out, re.MULTILINE)
    assert "usual_quality  roc_auc < its evaluation - 0.02 over 7d; acts every 7d at most" in told.out


def test_the_plot_has_a_block_for_each_week_and_a_mark_for_each_model(told: Done) -> None:
    lines = told.out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("roc_auc by week from 2024-01-29"))
    assert re.fullmatch(r"  none     [▁▂▃▄▅▆▇█]{9}", lines[at + 1])
    assert re.fullmatch(r"  weekly   [▁▂▃▄▅▆▇█]{9}", lines[at + 2])
    assert lines[at + 3] == "            " + "^" * 8


def test_what_goes_on_is_told_on_standard_error(told: Done) -> None:
    assert "under 3 policies" in told.err
    assert "> quality: retrains when a monitor of quality asks for it" in told.err
    assert "rows to train on" not in told.out + told.err


def test_json_has_every_week_and_every_retraining(project: Project, told: Done) -> None:
    assert told.code == 0
    data = inside(project.folder, "replay", *PERIOD, "--policy", "weekly", "--json", "--quiet").data
    [weekly] = data["policies"]
    assert (weekly["policy"], weekly["made"], weekly["refused"], weekly["compared"]) == ("weekly", 8, 0, None)
    assert len(weekly["weeks"]) == 9
    assert {"start", "rows", "labelled", "share", "metrics"} <= weekly["weeks"][0].keys()
    value, low, high = weekly["weeks"][0]["metrics"]["roc_auc"]
    assert low < value < high
    assert [each["outcome"] for each in weekly["retrainings"]] == ["made"] * 9
    assert re.fullmatch(r"[0-9a-f]{64}", weekly["state"])


def test_the_page_needs_nothing_else(told: Done, page: Path) -> None:
    assert f"The page is {page}." in told.err
    text = page.read_text(encoding="utf-8")
    for foreign in ("http:", "https:", "src=", "<link", "<script", "@import", "url("):
        assert foreign not in text
    drawn = ET.fromstring(re.search(r"<svg.*</svg>", text, re.DOTALL)[0])  # type: ignore[index]  # noqa: S314 - our own page
    assert len(drawn.findall("polyline")) == 3
    assert len(drawn.findall("circle")) == 27
    tips = [each.text or "" for each in drawn.iter("title")]
    assert any(each.startswith("weekly, week of 2024-02-05: 0.") for each in tips)
    assert text.count("<details>") == 4


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("--from", "2024-02-01", "--to", "2024-01-01"), "HR993", "--warm-up"),
        (("--from", "yesterday"), "HR993", "2013-01-31"),
        (("--from", "2031-01-01", "--to", "2031-12-31"), "HR994", "The rows reach from 2023-12-31 to 2024-04-21"),
        (("--policy", "weakly"), "HR995", "weekly"),
        (("--endpoint", "score"), "HR990", "scores"),
        (("--every", "soon"), "HR110", ""),
        (("--report", "missing/replay.html"), "HR999", "folder that exists"),
    ],
)
def test_bad_input_is_answered_with_a_code_and_a_hint(
    project: Project, words: tuple[str, ...], code: str, hint: str
) -> None:
    done = inside(project.folder, "replay", *words, code=1)
    assert f"error {code}" in done.err
    assert hint in done.err
    assert done.out == ""


def test_an_environment_that_is_not_there_is_told(project: Project) -> None:
    assert "error HR609" in inside(project.folder, "replay", "staging", code=1).err


def test_what_replays_keep_is_removed_when_asked(tmp_path: Path) -> None:
    other = replayed_project(tmp_path)
    assert inside(other.folder, "replay", "--forget").out == "Replays keep nothing here.\n"
    inside(other.folder, "replay", "--from", "2024-01-01", "--to", "2024-02-04", "--policy", "none", "--quiet")
    assert (other.folder / ".headrace" / "replay").is_dir()
    assert inside(other.folder, "replay", "--forget", "--json").data == {"removed": True}
    assert not (other.folder / ".headrace" / "replay").exists()


class Terminal(io.StringIO):
    """A text that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_a_bar_for_each_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_of(Session()) as progress:
        progress.loaded(1_000, 2)
        progress.began(POLICIES["weekly"])
        progress.reached(POLICIES["weekly"], datetime(2024, 3, 1, tzinfo=UTC), 0.5)
    drawn = terminal.getvalue()
    assert "Replaying 1,000 questions under 2 policies." in drawn
    assert "weekly" in drawn
    assert "2024-03-01" in drawn


def test_a_sparkline_has_a_gap_where_nothing_is_known() -> None:
    assert sparkline([0.0, None, 0.5, 1.0], 0.0, 1.0) == "▁ ▅█"
    assert sparkline([0.3, 0.3], 0.3, 0.3) == "▁▁"

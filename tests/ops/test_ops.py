"""What ships for operation: each file is checked by what will read it, and names only metrics that exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.endpoints.figures import Figures
from headrace.project import up_metrics
from tools import dashboard

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
RULES = OPS / "prometheus" / "headrace.rules.yml"
NAMES = re.compile(r"\bheadrace_[a-z_]+\b")


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("CI"), f"CI lacks {name}: .ci/run installs it"
        pytest.skip(f"{name} is missing: install {package}")
    return found


def known() -> set[str]:
    """Every metric, as Prometheus spells its samples."""
    found: set[str] = set()
    registry: CollectorRegistry = Figures()._registry  # noqa: SLF001 - the metrics themselves
    for family in registry.collect():
        found |= spellings(family.name, family.type)
    source = Path(up_metrics.__file__).read_text()
    for kind, name in re.findall(r'_(gauge|counter)\(\s*"([a-z_]+)"', source):
        found |= spellings(f"headrace_up_{name}", kind)
    return found | spellings("headrace_up_apply_seconds", "histogram")


def spellings(name: str, kind: str) -> set[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    return {name + ending for ending in endings.get(kind, [""])}


def test_the_rules_are_what_prometheus_reads() -> None:
    command = [program("promtool", "prometheus"), "check", "rules", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rules_fire_when_they_should() -> None:
    file = RULES.with_suffix(".test.yml")
    command = [program("promtool", "prometheus"), "test", "rules", file.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_to_do() -> None:
    text = RULES.read_text()
    assert text.count("- alert:") == text.count("summary:") == text.count("fix:") == text.count("severity:")


def test_the_rules_name_metrics_that_exist() -> None:
    used = set(NAMES.findall(RULES.read_text()))
    assert used
    assert used <= known()


def test_the_dashboard_is_up_to_date() -> None:
    assert dashboard.TARGET.read_text() == dashboard.built(), "run: make docs"


def test_the_dashboard_names_metrics_that_exist_and_all_that_matter() -> None:
    used = set(NAMES.findall(dashboard.TARGET.read_text()))
    assert used <= known()
    up = {name for name in known() if name.startswith("headrace_up_") and not name.endswith(("_sum", "_count"))}
    assert up <= used, up - used


def test_panels_do_not_lie_over_each_other() -> None:
    panels = json.loads(dashboard.TARGET.read_text())["panels"]
    cells = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def test_the_unit_is_what_systemd_reads(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    text = (OPS / "systemd" / "headrace@.service").read_text()
    here = text.replace("/srv/headrace/.venv/bin/headrace", str(Path(sys.executable).with_name("headrace")))
    unit = tmp_path / "headrace@prod.service"
    unit.write_text(here.replace("User=headrace\nGroup=headrace\n", ""))  # no such user here
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    about = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert not about, about
    assert "ExecStart=/srv/headrace/.venv/bin/headrace up %i" in text


def test_the_container_copies_what_is_there_and_runs_what_exists() -> None:
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    missing = [path for paths in copied for path in paths if not (ROOT / path).exists()]
    assert copied
    assert not missing
    (command,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD "))
    headrace = str(Path(sys.executable).with_name("headrace"))
    told = subprocess.run([headrace, command[0], "--help"], capture_output=True, text=True, check=True).stdout
    assert all(option in told for option in command if option.startswith("--"))
    assert not any("http" in shlex.split(line)[0] for line in lines if line.startswith("RUN"))

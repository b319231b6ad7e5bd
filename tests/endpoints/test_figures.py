"""What Prometheus reads."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.endpoints.counted import counted
from headrace.endpoints.figures import SHARED, Figures
from headrace.endpoints.service import Scored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE_PROCESS = """
from headrace.endpoints.counted import counted
from headrace.endpoints.figures import Figures
figures = Figures()
figures.answered("delays", 200, 0.01)
figures.look(2, 1)
"""


def samples(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """The value of each sample, by its name and the values of its labels, in the order of their names."""
    return {
        (each.name, tuple(value for _, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text.decode())
        for each in family.samples
    }


def test_requests_are_counted_by_endpoint_and_status() -> None:
    figures = Figures()
    for status, seconds in ((200, 0.003), (200, 0.2), (422, 0.0001)):
        figures.answered("delays", status, seconds)
    found = samples(figures.text())
    assert found["headrace_requests_total", ("delays", "200")] == 2
    assert found["headrace_requests_total", ("delays", "422")] == 1
    assert found["headrace_request_seconds_count", ("delays",)] == 3
    assert found["headrace_request_seconds_sum", ("delays",)] == pytest.approx(0.2031)
    assert found["headrace_request_seconds_bucket", ("delays", "0.005")] == 2


def test_what_a_turn_answered_is_counted_together_and_alike() -> None:
    figures = Figures()
    turn: list[Callable[[], None]] = []
    figures.later = turn.append
    for status, seconds in ((200, 0.005), (200, 0.0051), (422, 0.2), (200, 99.0)):
        figures.answered("delays", status, seconds)
    (count,) = turn
    count()
    figures.answered("delays", 200, 0.3)
    assert len(turn) == 2
    found = samples(figures.text())  # a look counts what is left
    assert found["headrace_requests_total", ("delays", "200")] == 4
    assert found["headrace_requests_total", ("delays", "422")] == 1
    bounds = {"0.0025": 0, "0.005": 1, "0.01": 2, "0.25": 3, "0.5": 4, "10.0": 4, "+Inf": 5}
    for bound, upto in bounds.items():
        assert found["headrace_request_seconds_bucket", ("delays", bound)] == upto, bound
    assert found["headrace_request_seconds_sum", ("delays",)] == pytest.approx(99.5101)
    turn[1]()
    assert samples(figures.text())["headrace_requests_total", ("delays", "200")] == 4


def test_rows_and_the_age_of_features_are_told() -> None:
    figures = Figures()
    seen: list[dict[str, int | None]] = [{"airports": 1}, {"airports": 4_000_000, "weather": None}]
    figures.predicted("delays", "a" * 64, Scored(np.ones(2), [{}, {}], seen), [0.25], 5_500_000)
    figures.predicted("delays", "a" * 64, Scored(np.ones(1), [{}], [{"airports": 5_000_000}]), [0.5], 5_500_000)
    found = samples(figures.text())
    assert found["headrace_predictions_total", ("delays", "a" * 12)] == 3
    assert found["headrace_feature_age_seconds", ("delays", "airports")] == 0.5
    assert ("headrace_feature_age_seconds", ("delays", "weather")) not in found


def test_batches_and_what_waits_are_told() -> None:
    figures = Figures()
    for rows in (1, 64):
        figures.batch(rows)
    figures.look(5, 7)
    found = samples(figures.text())
    assert found["headrace_batch_rows_sum", ()] == 65
    assert found["headrace_batch_rows_bucket", ("32.0",)] == 1
    assert found["headrace_waiting_requests", ()] == 5
    assert found["headrace_log_failures", ()] == 7


def test_processes_are_added_up(tmp_path: Path) -> None:
    environment = os.environ | {SHARED: str(tmp_path)}
    for end in ("", "\nprint(figures.text().decode())"):
        done = subprocess.run(
            [sys.executable, "-c", ONE_PROCESS + end], env=environment, capture_output=True, text=True, check=True
        )
    assert samples(done.stdout.encode())["headrace_requests_total", ("delays", "200")] == 2


def test_what_a_version_did_is_read_from_the_files_of_all_processes(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from headrace.endpoints.figures import Figures\n"
        "from headrace.endpoints.service import Scored\n"
        "figures = Figures()\n"
        "for seconds in (0.002, 0.002, 0.2):\n"
        "    figures.predicted('delays', 'a' * 64, Scored(np.array([1.0, -2.5]), [{}] * 2, [{}] * 2), [seconds], 0)\n"
        "figures.failed('delays', 'a' * 64)\n"
        "figures.unloaded('delays', 'b' * 64)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=os.environ | {SHARED: str(tmp_path)}, check=True)
    found = counted(str(tmp_path), "delays", "a" * 64)
    assert (found.answers, found.failures, found.rows, found.scores, found.unloaded) == (6, 2, 12, -9.0, 0)
    assert found.total == pytest.approx(0.408)
    assert (found.seconds[0.001], found.seconds[0.0025], found.seconds[0.25]) == (0, 4, 6)
    assert counted(str(tmp_path), "delays", "b" * 64).unloaded == 2
    assert counted(str(tmp_path), "other", "a" * 64).answers == 0

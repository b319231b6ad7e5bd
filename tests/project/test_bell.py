"""The bell wakes who waits, and rings into nothing where nobody does."""

from __future__ import annotations

import os
from threading import Thread
from typing import TYPE_CHECKING

from headrace.project.bell import Bell, ring

if TYPE_CHECKING:
    from pathlib import Path


def test_it_wakes_from_a_thread_and_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "prod.bell"
    with Bell(path) as bell:
        thread = Thread(target=bell.ring)
        thread.start()
        assert bell.wait(30)
        thread.join()
        assert ring(path)
        assert bell.wait(30)
        assert not bell.wait(0)


def test_however_often_it_rings_it_wakes_once(tmp_path: Path) -> None:
    with Bell(tmp_path / "bell") as bell:
        for _ in range(100_000):  # more than a pipe holds
            bell.ring()
        assert bell.wait(30)
        assert not bell.wait(0)


def test_something_else_can_wake_as_well(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with Bell(tmp_path / "bell") as bell:
        os.close(writing)
        assert not bell.wait(30, reading)
    os.close(reading)


def test_nobody_listens_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    assert not ring(path)
    with Bell(path):
        assert ring(path)
    assert not ring(path)


def test_what_is_no_pipe_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    path.write_text("not a pipe")
    with Bell(path) as bell:
        assert ring(path)
        assert bell.wait(30)

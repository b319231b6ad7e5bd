"""Work in parts covers every place once, and comes to what it comes to in one piece."""

from __future__ import annotations

from functools import partial
from threading import Lock

import numpy as np
import polars as pl
import pytest

from headrace.features import cores
from headrace.features.cores import in_parts
from headrace.features.grouping import Prints, entity_by_entity


@pytest.fixture(params=[1, 3, 7])
def _tiny_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    short = partial(cores.parts, length=request.param)
    monkeypatch.setattr(cores, "parts", lambda size, _: short(size))
    monkeypatch.setattr(pl, "thread_pool_size", lambda: 4)


@pytest.mark.usefixtures("_tiny_parts")
@pytest.mark.parametrize("size", [0, 1, 2, 6, 7, 50])
def test_every_place_is_worked_on_once(size: int) -> None:
    lock = Lock()
    places: list[int] = []

    def work(part: slice) -> None:
        with lock:
            places.extend(range(size)[part])

    in_parts(size, work)
    assert sorted(places) == list(range(size))


@pytest.mark.usefixtures("_tiny_parts")
def test_an_error_in_a_part_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError):
        in_parts(10, lambda part: 1 // part.start)


@pytest.mark.usefixtures("_tiny_parts")
def test_entities_go_over_the_borders_of_parts() -> None:
    entities = pl.DataFrame({"who": ["b", "a", None, "b", "b", "c", "a", "b", None]})
    grouped = entity_by_entity(Prints.of(entities))
    runs = [run.tolist() for run in np.split(grouped.order, grouped.starts) if len(run)]
    assert sorted(runs) == [[0, 3, 4, 7], [1, 6], [2, 8], [5]]

"""Answers of an endpoint out of the log and the table: each once, wherever it is, and no more than was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.endpoints.answers import Wanted, answers
from headrace.endpoints.predictions import Place, drain
from headrace.ports.ledger import CreateEnvironment
from tests.endpoints.test_predictions import opened
from tests.support.predictions import AT, batch, log_in, logged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(tmp_path) as made:
        yield made


def ids(place: Place, wanted: Wanted, size: int = 4) -> list[str]:
    batches = list(answers(place, wanted, size))
    assert all(0 < len(each) <= size for each in batches)
    return [each.id for found in batches for each in found]


def test_each_answer_once_wherever_it_is(place: Place, tmp_path: Path) -> None:
    assert ids(place, Wanted("scores")) == []
    in_table = logged(tmp_path / "prod", 5, 4)
    drain(place)
    sealed = logged(tmp_path / "prod", 3)
    others = logged(tmp_path / "prod", 2, endpoint="others")
    with log_in(tmp_path / "prod") as log:
        still_open = log.ids(2)
        log.append(batch(still_open))
        assert sorted(ids(place, Wanted("scores"))) == sorted([*in_table, *sealed, *still_open])
        assert ids(place, Wanted("others")) == others


def test_a_drain_meanwhile_loses_and_doubles_nothing(place: Place, tmp_path: Path) -> None:
    given = logged(tmp_path / "prod", 4, 4)
    found = []
    for each in answers(place, Wanted("scores"), 4):
        found += [answer.id for answer in each]
        drain(place)
    assert sorted(found) == sorted(given)


def test_those_before_a_moment(place: Place, tmp_path: Path) -> None:
    in_table = logged(tmp_path / "prod", 3)
    drain(place)
    in_log = logged(tmp_path / "prod", 2)
    assert ids(place, Wanted("scores", until=AT)) == []
    assert ids(place, Wanted("scores", last=3, until=AT)) == []
    assert sorted(ids(place, Wanted("scores", until=AT + 1))) == sorted([*in_table, *in_log])
    assert len(ids(place, Wanted("scores", AT, 4, AT + 1))) == 4


def test_the_last_ones(place: Place, tmp_path: Path) -> None:
    earlier = logged(tmp_path / "prod", 5)
    drain(place)
    later = logged(tmp_path / "prod", 3)
    assert sorted(ids(place, Wanted("scores", last=2))) == sorted([*earlier, *later])[-2:]
    assert len(ids(place, Wanted("scores", last=7))) == 7
    assert len(ids(place, Wanted("scores", last=99))) == 8
    assert ids(place, Wanted("nothing", last=2)) == []


def test_those_since_a_moment(place: Place, tmp_path: Path) -> None:
    logged(tmp_path / "prod", 5)
    drain(place)
    logged(tmp_path / "prod", 3)
    assert len(ids(place, Wanted("scores", since=AT))) == 8
    assert ids(place, Wanted("scores", since=AT + 1)) == []
    assert len(ids(place, Wanted("scores", since=AT, last=6))) == 6
    assert ids(place, Wanted("scores", since=AT + 1, last=6)) == []


def test_a_branch_has_its_own(place: Place, tmp_path: Path) -> None:
    logged(tmp_path / "prod", 2)
    drain(place)
    place.ledger.write(CreateEnvironment("dev", "prod"))
    with opened(tmp_path, "dev") as branch:
        assert ids(branch, Wanted("scores")) == []
        own = logged(tmp_path / "dev", 2)
        assert ids(branch, Wanted("scores")) == own
        drain(branch)
        assert ids(branch, Wanted("scores")) == own

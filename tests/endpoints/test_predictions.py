"""Sealed segments become rows exactly once, wherever a drain is killed; an answer is found from its id alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SystemClock
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.segments import FileSegments
from headrace.adapters.sqlite import SqliteDatabase
from headrace.endpoints.predictions import Drained, Place, drain, find_prediction
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import AddVersion, CreateEnvironment, MovePointers
from headrace.ports.records import Manifest, PointerMove, Version
from tests.support.predictions import AT, VIEW, batch, log_in, logged

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

ROOT = Path(__file__).parents[2]
NODE = "scores.predictions"
DRAIN = """
import sys
from tests.endpoints.test_predictions import opened
from headrace.endpoints.predictions import drain
with opened(sys.argv[1]) as place:
    drain(place)
"""


class opened:  # noqa: N801 - a context manager
    def __init__(self, folder: Path | str, environment: str = "prod") -> None:
        self.folder, self.environment = Path(folder), environment

    def __enter__(self) -> Place:
        clock = SystemClock()
        self.ledger = SqlLedger(SqliteDatabase(self.folder / "ledger.db"), clock)
        self.ledger.write(CreateEnvironment("prod"))
        segments = FileSegments(self.folder / self.environment)
        return Place(self.environment, segments, DeltaTableStore(self.folder / "tables"), self.ledger, clock)

    def __exit__(self, *_: object) -> None:
        self.ledger.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(tmp_path) as made:
        yield made


def table(place: Place, node: str = NODE) -> pl.DataFrame:
    key = place.ledger.snapshot(place.environment).pointers[node]
    version = place.ledger.version(key)
    assert version is not None
    frame = place.tables.scan(version.manifest.outputs["rows"]).collect()
    assert version.rows == frame.height
    return frame


def ids_of(place: Place, node: str = NODE) -> list[str]:
    return table(place, node)["id"].to_list()


def test_an_answer_as_a_row(place: Place, tmp_path: Path) -> None:
    model = Version("m1", "model", "model", "f", (), Manifest("m1", {}, {"views": [{"on": ["who"]}]}))
    place.ledger.write(AddVersion(model))
    ids = logged(tmp_path / "prod", 2)
    assert drain(place).rows == 2
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert table(place).row(1, named=True) == {
        "id": ids[1],
        "at": epoch + timedelta(microseconds=AT),
        "cutoff": epoch + timedelta(microseconds=AT - 999_999),
        "endpoint": "scores",
        "version": "v1",
        "model": "m1",
        "stage": None,
        "entity": '{"who":"person 1"}',
        "inputs": '{"who":"person 1","x":0.25}',
        "features": '{"who":"person 1","x":0.25,"w_mean":null}',
        "seen": json.dumps({VIEW: {"generation": "g1", "newest": None}}, separators=(",", ":")),
        "prediction": 1.0,
        "micros": 101,
    }


def test_drains_add_to_one_table_for_each_endpoint(place: Place, tmp_path: Path) -> None:
    first = logged(tmp_path / "prod", 3, 1)
    assert drain(place) == Drained(1, 4, versions={NODE: place.ledger.snapshot("prod").pointers[NODE]})
    assert drain(place) == Drained()
    second = logged(tmp_path / "prod", 2)
    other = logged(tmp_path / "prod", 1, endpoint="others")
    assert drain(place).rows == 3
    assert ids_of(place) == first + second
    assert ids_of(place, "others.predictions") == other
    assert list(place.segments.all()) == []


def test_a_drain_is_bounded(place: Place, tmp_path: Path) -> None:
    ids = [each for _ in range(5) for each in logged(tmp_path / "prod", 1)]
    size = place.segments.sealed()[0].size
    assert [drain(place, segments=2).segments, drain(place, size=size // 2).left] == [2, 2]
    assert drain(place, size=2 * size).left == 0
    assert sorted(ids_of(place)) == sorted(ids)


def test_what_is_still_being_written_waits(place: Place, tmp_path: Path) -> None:
    with log_in(tmp_path / "prod") as log:
        ids = log.ids(1)
        log.append(batch(ids))
        assert drain(place) == Drained()
        assert find_prediction(place, ids[0]).id == ids[0]
    assert drain(place).rows == 1


def test_an_answer_is_found_where_it_is(place: Place, tmp_path: Path) -> None:
    ids = logged(tmp_path / "prod", 3, 2)
    sealed = [find_prediction(place, each) for each in ids]
    drain(place)
    assert [find_prediction(place, each) for each in ids] == sealed
    assert [each.id for each in sealed] == ids
    for unknown in (ids[0] + "0", "nothing", "", "../x-000"):
        with pytest.raises(HeadraceError) as refused:
            find_prediction(place, unknown)
        assert refused.value.code == "HR931"


def test_an_id_of_another_segment_is_found(place: Place, tmp_path: Path) -> None:
    logged(tmp_path / "prod", 1)
    with log_in(tmp_path / "prod") as log:
        log.append(batch(["0123456789abcdef-000"]))
    assert find_prediction(place, "0123456789abcdef-000").prediction == 0.0


def test_damaged_lines_are_counted_and_left_out(place: Place, tmp_path: Path) -> None:
    ids = logged(tmp_path / "prod", 1, 1)
    [path] = (tmp_path / "prod" / "sealed").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40] + b"\n" + b"\0" * 50 + b"\n")
    assert (drain(place).damaged, ids_of(place)) == (2, ids[:1])


def test_a_segment_without_one_good_line_goes(place: Place, tmp_path: Path) -> None:
    logged(tmp_path / "prod", 1)
    [path] = (tmp_path / "prod" / "sealed").iterdir()
    path.write_bytes(b"{}\n")
    assert (drain(place).damaged, list(place.segments.all())) == (1, [])


def test_a_branch_keeps_its_answers_apart(place: Place, tmp_path: Path) -> None:
    logged(tmp_path / "prod", 1)
    drain(place)
    place.ledger.write(CreateEnvironment("dev", "prod"))
    own = logged(tmp_path / "dev", 2)
    with opened(tmp_path, "dev") as dev:
        drain(dev)
        more = logged(tmp_path / "dev", 1)
        drain(dev)
        assert ids_of(dev) == own + more
    assert len(ids_of(place)) == 1


def test_who_drains_second_does_nothing(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = logged(tmp_path / "prod", 1)
    other = Version("k" * 64, NODE, "predictions", "f", (), Manifest("k" * 64))
    write = place.tables.write

    def overtaken(*args: object) -> object:
        place.ledger.write(AddVersion(other), MovePointers("prod", [PointerMove(NODE, None, other.key)], "other"))
        return write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(place.tables, "write", overtaken)
    with pytest.raises(HeadraceError) as refused:
        drain(place)
    assert refused.value.code == "HR602"
    assert find_prediction(place, ids[0]).id == ids[0]


@pytest.mark.parametrize(
    "failpoint",
    [
        *("predictions.drain.before", "predictions.drain.after", "segment.seal.before", "segment.seal.after"),
        *("table.commit.before", "table.commit.after", "table.sync.after", "ledger.commit.before"),
        "ledger.commit.after",
    ],
)
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
def test_a_killed_drain_is_made_good(failpoint: str, tmp_path: Path, *, first: bool) -> None:
    ids = []
    if not first:
        ids += logged(tmp_path / "prod", 2)
        with opened(tmp_path) as place:
            drain(place)
    ids += logged(tmp_path / "prod", 3)
    sealed, left = tmp_path / "prod" / "sealed", tmp_path / "prod" / "open"
    for path in sealed.iterdir():
        path.rename(left / path.name)  # as if its writer had died
    for passes in ("", ":2"):
        done = subprocess.run(
            [sys.executable, "-c", DRAIN, str(tmp_path)],
            check=False,
            env={**os.environ, "HEADRACE_FAILPOINT": failpoint + passes},
            cwd=ROOT,
        )
        assert done.returncode in (0, -signal.SIGKILL)
        if not passes:
            assert done.returncode == -signal.SIGKILL
        ids += logged(tmp_path / "prod", 1)
    with opened(tmp_path) as place:
        drain(place)
        assert sorted(ids_of(place)) == sorted(ids)
        assert list(place.segments.all()) == []
        place.ledger.verify()

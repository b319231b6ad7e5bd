"""Many processes write to one ledger at once, and processes are killed while they write."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.ledger.writers import open_address, write_for_ever, write_many

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("tests.postgres_server",)

PROCESSES = 16
ROUNDS = 50
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return str(request.getfixturevalue("new_database")())


def test_sixteen_processes_write_at_once(address: str) -> None:
    with SPAWN.Pool(PROCESSES) as pool:
        written = pool.map(write_many, [(address, writer, ROUNDS) for writer in range(PROCESSES)], chunksize=1)
    with closing(open_address(address)) as ledger:
        keys = {version.key for version in ledger.versions()}
        assert {key for mine in written for key in mine} <= keys
        assert len(keys) == PROCESSES * ROUNDS + 5
        assert ledger.verify() == len(keys)
        assert ledger.leases() == []


@pytest.mark.parametrize("writes_before_the_kill", [1, 7, 40])
def test_killed_while_writing(address: str, writes_before_the_kill: int) -> None:
    pairs = [SPAWN.Pipe(duplex=False) for _ in range(3)]
    processes = [
        SPAWN.Process(target=write_for_ever, args=(address, number, send), daemon=True)
        for number, (_, send) in enumerate(pairs)
    ]
    durable = set()
    for process in processes:
        process.start()
    for receive, send in pairs:
        send.close()
        durable |= {receive.recv() for _ in range(writes_before_the_kill)}
    for process in processes:
        process.kill()
        process.join()
    for receive, _ in pairs:
        while True:
            try:
                durable.add(receive.recv())
            except EOFError:
                break
    with closing(open_address(address)) as ledger:
        keys = {version.key for version in ledger.versions()}
        assert durable <= keys
        assert len(keys) <= len(durable) + len(processes)
        assert ledger.verify() == 2 * len(keys)
        assert len(ledger.signals("refresh", "prod")) == len(keys)

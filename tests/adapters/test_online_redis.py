"""The online store in Redis: the conformance suite against a real server, and what only a server can do wrong."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.online_redis import RedisOnlineStore
from headrace.errors import HeadraceError
from headrace.testing.online import GENERATION, OnlineStoreSuite, some
from tests.redis_server import RedisServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    yield from running()


@pytest.fixture
def store(server: RedisServer, tmp_path: Path) -> RedisOnlineStore:
    return RedisOnlineStore(server.url(named(tmp_path)))


def named(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def refused(code: str) -> pytest.RaisesExc[HeadraceError]:
    return pytest.RaisesExc(HeadraceError, check=lambda error: error.code == code)


class TestRedisOnlineStore(OnlineStoreSuite):
    server: RedisServer

    @pytest.fixture(autouse=True)
    def with_server(self, server: RedisServer) -> None:
        self.server = server

    def make_store(self, folder: Path) -> RedisOnlineStore:
        return RedisOnlineStore(self.server.url(named(folder)))


def test_projects_do_not_see_each_other(server: RedisServer) -> None:
    mine, yours = RedisOnlineStore(server.url("mine")), RedisOnlineStore(server.url("yours"))
    mine.fill(GENERATION, some(2).items())
    assert list(yours.generations()) == []
    assert not yours.complete(GENERATION)
    yours.drop(GENERATION)
    assert mine.complete(GENERATION)


def test_a_server_that_is_away_is_a_coded_error_and_comes_back(server: RedisServer, store: RedisOnlineStore) -> None:
    store.fill(GENERATION, some(2).items())
    server.stop()
    try:
        for act in (lambda: store.get(GENERATION, [b"a"]), store.generations, lambda: store.fill("b", ())):
            with refused("HR472") as caught:
                act()
            assert server.password not in str(caught.value)
    finally:
        server.start()
    assert store.get(GENERATION, [b"key00000001"]) == [b"v"]


def test_a_wrong_password_is_a_coded_error(server: RedisServer) -> None:
    with refused("HR472"):
        RedisOnlineStore(f"redis://:wrong@127.0.0.1:{server.port}/0#tests").generations()


def test_a_full_server_is_a_coded_error_and_holds_no_half(server: RedisServer, store: RedisOnlineStore) -> None:
    with server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
        try:
            with refused("HR473"):
                store.fill(GENERATION, ((b"%d" % number, bytes(1_000)) for number in range(20_000)))
        finally:
            client.config_set("maxmemory", 0)
    assert not store.complete(GENERATION)
    assert store.sweep() == 0
    assert store.fill(GENERATION, some(2).items()) == 2


def test_a_fill_that_was_swept_fails(store: RedisOnlineStore, server: RedisServer, tmp_path: Path) -> None:
    other = RedisOnlineStore(server.url(named(tmp_path)))

    def entries() -> Iterator[tuple[bytes, bytes]]:
        yield from some(5_000).items()
        assert other.sweep() == 1
        yield b"last", b""

    with refused("HR470"):
        store.fill(GENERATION, entries())
    assert not store.complete(GENERATION)
    assert other.sweep() == 0


def test_what_is_no_generation_is_damage(store: RedisOnlineStore, server: RedisServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.set(f"headrace:{named(tmp_path)}:generation:{GENERATION}", "text")
    with refused("HR471"):
        store.get(GENERATION, [b"a"])


@pytest.mark.parametrize("address", ["redis://localhost", "redis://localhost/0#*", "http://localhost#a", "redis", ""])
def test_an_address_that_is_none(address: str) -> None:
    with refused("HR477"):
        RedisOnlineStore(address)


def test_a_refused_address_hides_its_password() -> None:
    with refused("HR477") as caught:
        RedisOnlineStore("redis://user:secret@localhost/0")
    assert "secret" not in str(caught.value)

"""A store of objects behind a network that fails: what passes is tried again, what stays has a code."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.objects_obstore import ObstoreObjects
from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.source import Source
from tests import object_server
from tests.flaky_proxy import BUSY, CLOSED, HALF, FlakyProxy
from tests.object_server import BUCKET, ObjectServer
from tests.sources.test_remote import ROOT, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRIES = 2
CONTENT = b"number\n" + b"".join(b"%d\n" % number for number in range(400_000))


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    yield from object_server.running()


@pytest.fixture
def proxy(server: ObjectServer) -> Iterator[FlakyProxy]:
    server.reset()
    server.put("data/a.csv", CONTENT)
    with FlakyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def objects(server: ObjectServer, proxy: FlakyProxy) -> ObstoreObjects:
    return ObstoreObjects(ROOT, {**server.options, "endpoint": proxy.url, "retries": RETRIES})


@pytest.mark.parametrize("kinds", [[BUSY, BUSY], [CLOSED, CLOSED], [HALF], [HALF, BUSY], [BUSY, HALF]])
def test_a_list_is_asked_for_again(objects: ObstoreObjects, proxy: FlakyProxy, kinds: list[str]) -> None:
    proxy.fail(*kinds)
    assert [(found.key, found.size) for found in objects.find("data/")] == [("data/a.csv", len(CONTENT))]
    assert len(proxy.requests) == len(kinds) + 1


@pytest.mark.parametrize("kinds", [[BUSY, BUSY], [CLOSED, CLOSED], [HALF, HALF], [HALF, CLOSED]])
def test_an_object_is_fetched_whole(
    objects: ObstoreObjects, proxy: FlakyProxy, tmp_path: Path, kinds: list[str]
) -> None:
    [found] = objects.find("data/")
    proxy.fail(*kinds)
    objects.fetch(found, tmp_path / "object")
    assert hashlib.sha256((tmp_path / "object").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    assert len(proxy.requests) == len(kinds) + 1


@pytest.mark.parametrize("kinds", [[HALF], [HALF, HALF]])
def test_an_object_without_a_mark_is_fetched_from_the_beginning(
    proxy: FlakyProxy, tmp_path: Path, kinds: list[str]
) -> None:
    proxy.hide("etag", "last-modified")
    web = ObstoreObjects(f"{proxy.url}/{BUCKET}", {"retries": RETRIES})
    found = web.look("data/a.csv")
    assert found is not None
    proxy.fail(*kinds)
    web.fetch(found, tmp_path / "object")
    assert (tmp_path / "object").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", [BUSY, CLOSED, HALF])
def test_what_stays_has_a_code_after_the_last_try(
    server: ObjectServer, proxy: FlakyProxy, tmp_path: Path, kind: str
) -> None:
    cloud = Cloud(tmp_path)
    cloud.storage = {ROOT: {**server.options, "endpoint": proxy.url, "retries": RETRIES}}
    source = Source("raw", files(f"{ROOT}/data/*.csv"))
    proxy.fail(forever=kind)
    with pytest.raises(HeadraceError, match="HR362"):
        cloud.see(source)
    assert len(proxy.requests) == RETRIES + 1
    proxy.fail("", forever=kind)
    with pytest.raises(HeadraceError, match="HR362"):
        cloud.see(source)
    assert RETRIES + 2 <= len(proxy.requests) <= 2 * (RETRIES + 1)
    assert cloud.stores.artefacts.paths() == []
    proxy.fail()
    assert cloud.bring(source).rows == 400_000


def test_a_full_disk_is_no_fault_of_the_store(
    objects: ObstoreObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = objects.find("data/")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(HeadraceError, match="HR636"):
        objects.fetch(found, tmp_path / "object")

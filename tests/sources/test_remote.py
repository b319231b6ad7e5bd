"""Files of an object store: batches by content like any other files, and a code for whatever goes wrong on the way."""

from __future__ import annotations

import gzip
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from headrace.errors import HeadraceError
from headrace.ports.outside import Outlook, Outside
from headrace.project.objects import open_objects
from headrace.project.settings import Settings
from headrace.sources import remote
from headrace.sources.files import files
from headrace.sources.source import Source
from tests import object_server
from tests.object_server import BUCKET, ObjectServer
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.ports.objects import Found
    from headrace.ports.records import Observation, Version
    from headrace.sources.options import Options

ROOT = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    yield from object_server.running()


@pytest.fixture
def store(server: ObjectServer) -> ObjectServer:
    server.reset()
    return server


class Cloud(Workshop):
    """A workshop whose world has object stores."""

    storage: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - set by the fixture

    @property
    def outside(self) -> Outside:
        settings = Settings(self.folder, storage=self.storage)
        return Outside(self.folder, self.stores, objects=partial(open_objects, settings))

    def see(self, source: Source, before: Version | None = None) -> Observation:
        made = self.live.get(source.name, [])
        seen = source.observe(Outlook(self.outside, before, frozenset(), lambda: made))
        assert seen is not None
        return seen

    def bring(self, source: Source) -> Version:
        return self.make(source, {}, self.see(source))


@pytest.fixture
def cloud(tmp_path: Path, store: ObjectServer) -> Cloud:
    made = Cloud(tmp_path)
    made.storage = {ROOT: store.options}
    return made


def source(pattern: str = "data/*.csv", **options: Unpack[Options]) -> Source:
    return Source("raw", files(f"{ROOT}/{pattern}", **options))


def refused(cloud: Cloud, of: Source) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        cloud.bring(of)
    return caught.value


def test_new_changed_and_removed_objects(cloud: Cloud, store: ObjectServer) -> None:
    of = source()
    store.put("data/a.csv", "n\n1\n")
    store.put("data/b.csv", "n\n2\n")
    first = cloud.bring(of)
    assert sorted(first.batches) == [f"{ROOT}/data/a.csv", f"{ROOT}/data/b.csv"]
    assert cloud.bring(of).manifest.facts["new_rows"] == 0
    store.put("data/a.csv", "n\n3\n")
    assert cloud.rows(of, cloud.bring(of))["n"].to_list() == [3, 2]
    store.delete("data/b.csv")
    assert cloud.rows(of, cloud.bring(of))["n"].to_list() == [3]


def test_an_object_is_fetched_once(cloud: Cloud, store: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.adapters.objects_obstore import ObstoreObjects

    fetched: list[str] = []
    real = ObstoreObjects.fetch

    def fetch(self: ObstoreObjects, found: Found, target: Path) -> None:
        fetched.append(found.key)
        real(self, found, target)

    monkeypatch.setattr(ObstoreObjects, "fetch", fetch)
    store.put("data/a.csv", "n\n1\n")
    version = cloud.bring(source())
    cloud.see(source())
    for path in cloud.stores.artefacts.paths():
        if path.endswith(".object"):
            cloud.stores.artefacts.remove(path)
    cloud.see(source(), version)
    store.put("data/a.csv", "n\n1\n")  # written again with the same content: the same ETag
    assert cloud.see(source(), version).identity() == version.batches
    assert fetched == ["data/a.csv"]
    cloud.live.clear()  # other options: what was landed before does not count, and the content is needed again
    assert cloud.rows(source(), cloud.bring(source()))["n"].to_list() == [1]
    assert fetched == ["data/a.csv"] * 2


def test_what_is_landed_is_what_was_seen(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.csv", "n\n1\n")
    seen = cloud.see(source())
    store.put("data/a.csv", "n\n2\n")
    assert cloud.rows(source(), cloud.make(source(), {}, seen))["n"].to_list() == [1]
    store.delete("data/a.csv")
    assert cloud.rows(source(), cloud.make(source(), {}, seen, generation=1))["n"].to_list() == [1]


def test_an_object_that_changes_while_it_is_fetched(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.csv", "n\n1\n")
    objects = cloud.outside.objects(ROOT)
    [found] = objects.find("data/")
    store.put("data/a.csv", "n\n2\n")
    with pytest.raises(HeadraceError, match="HR312"):
        objects.fetch(found, cloud.folder / "changed")
    store.delete("data/a.csv")
    with pytest.raises(HeadraceError, match="HR302"):
        objects.fetch(found, cloud.folder / "gone")


def test_compressed_and_partitioned(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/year=2013/a b.csv.gz", gzip.compress(b"n\n1\n"))
    store.put("data/year=2014/\u00e9.csv.gz", gzip.compress(b"n\n2\n"))
    of = Source("raw", files(f"{ROOT}/data/**/*.csv.gz", hive=True, schema={"year": int}))
    assert cloud.rows(of, cloud.bring(of)).rows() == [(1, 2013), (2, 2014)]


def test_a_bad_object_names_its_line(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.csv", "n\n1\n")
    store.put("data/b.csv", "n\n1\nx\n")
    error = refused(cloud, source())
    assert error.what == f"column 'n' is Int64 in {ROOT}/data/a.csv and String in {ROOT}/data/b.csv: 'x' in line 3"


def test_removed_objects_that_are_kept_are_not_read_again(cloud: Cloud, store: ObjectServer) -> None:
    of = source(removed="keep")
    store.put("data/a.csv", "n\n1\n")
    store.put("data/b.csv", "n\n2\n")
    before = cloud.bring(of)
    store.delete("data/b.csv")
    seen = of.settled(cloud.see(of, before), before, frozenset())
    assert cloud.rows(of, cloud.make(of, {}, seen))["n"].to_list() == [1, 2]
    cloud.live.clear()
    with pytest.raises(HeadraceError, match="HR332"):
        cloud.make(of, {}, seen, generation=1)


def test_no_object_matches(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.txt", "n\n1\n")
    error = refused(cloud, source())
    assert (error.code, "data/a.txt" in error.fix) == ("HR301", True)
    assert refused(cloud, source("data/a.csv")).code == "HR301"
    assert "nothing below" in refused(cloud, source("none/*.csv")).fix


def test_no_bucket(cloud: Cloud) -> None:
    cloud.storage = {"s3://": cloud.storage[ROOT]}
    for pattern in ("*.csv", "a.csv"):
        of = Source("raw", files(f"s3://flihgts/{pattern}"))
        error = refused(cloud, of)
        assert error.code in ("HR360", "HR301")  # a look at one object does not say whether it is the bucket
    assert refused(cloud, Source("raw", files("s3://flihgts/*.csv"))).what == "there is no s3://flihgts"


def test_no_permission(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.csv", "n\n1\n")
    store.admit(0)
    assert refused(cloud, source()).code == "HR361"
    store.admit(10**9)


def test_nobody_answers(cloud: Cloud) -> None:
    cloud.storage = {ROOT: {**cloud.storage[ROOT], "endpoint": "http://127.0.0.1:9", "retries": 0}}
    error = refused(cloud, source())
    assert (error.code, error.what.startswith(ROOT)) == ("HR362", True)


def test_a_secret_comes_from_a_variable(cloud: Cloud, store: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("data/a.csv", "n\n1\n")
    cloud.storage = {ROOT: {**cloud.storage[ROOT], "secret_access_key": "env:SHOP_SECRET"}}
    error = refused(cloud, source())
    assert (error.code, "SHOP_SECRET" in error.what) == ("HR361", True)
    monkeypatch.setenv("SHOP_SECRET", "tests")
    assert cloud.rows(source(), cloud.bring(source()))["n"].to_list() == [1]


def test_an_option_that_there_is_not(cloud: Cloud) -> None:
    cloud.storage = {ROOT: {**cloud.storage[ROOT], "regoin": "us-east-1"}}
    error = refused(cloud, source())
    assert (error.code, "'region'" in error.fix) == ("HR366", True)


def test_one_file_of_a_web_server(cloud: Cloud, store: ObjectServer) -> None:
    store.put("data/a.csv", "n\n1\n")
    of = Source("raw", files(f"{store.url}/{BUCKET}/data/a.csv"))
    assert cloud.rows(of, cloud.bring(of))["n"].to_list() == [1]
    many = Source("raw", files(f"{store.url}/{BUCKET}/data/*.csv"))
    assert refused(cloud, many).code == "HR365"


def test_whatever_fsspec_reads(cloud: Cloud) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/shop/data/a.csv", b"n\n1\n")
    memory.pipe("/shop/data/deep/b.csv", b"n\n2\n")
    of = Source("raw", files("memory://shop/data/**/*.csv"))
    first = cloud.bring(of)
    assert sorted(first.batches) == ["memory://shop/data/a.csv", "memory://shop/data/deep/b.csv"]
    memory.pipe("/shop/data/a.csv", b"n\n3\n")
    assert cloud.rows(of, cloud.bring(of))["n"].to_list() == [3, 2]
    memory.rm("/shop", recursive=True)
    assert refused(cloud, of).code in ("HR301", "HR360")
    assert refused(cloud, Source("raw", files("nosuch://shop/*.csv"))).code == "HR365"


@pytest.mark.parametrize("address", ["s3://bucket", "s3://bucket/", "s3:///a.csv"])
def test_an_address_without_a_path(address: str) -> None:
    with pytest.raises(HeadraceError, match="HR365"):
        files(address)


@pytest.mark.parametrize(
    ("key", "pattern", "fits"),
    [
        ("a/b.csv", "a/*.csv", True),
        ("a/c/b.csv", "a/*.csv", False),
        ("a/c/b.csv", "a/**/*.csv", True),
        ("a/b.csv", "a/**/*.csv", True),
        ("a/.b.csv", "a/*.csv", False),
        ("a/.c/b.csv", "a/**/*.csv", False),
        ("a/y=1/b.csv", "a/y=*/b.csv", True),
        ("a/B.csv", "a/b.csv", False),
        ("a/b.csv.gz", "a/*.csv", False),
    ],
)
def test_what_a_pattern_matches(key: str, pattern: str, fits: bool) -> None:
    assert remote._matches(key.split("/"), pattern.split("/")) is fits  # noqa: SLF001 - the rule itself

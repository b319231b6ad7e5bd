"""Which versions answer: what cannot be loaded does not take the place of what answers now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.features.join import point_in_time
from headrace.project.traffic import LiveTraffic
from headrace.runtime.observer import Observer
from tests.support.served import served_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.models.model import Model
    from headrace.project.workspace import Workspace
    from tests.support.projects import Project

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return served_project(tmp_path_factory.mktemp("traffic"))


@pytest.fixture
def workspace(project: Project) -> Iterator[Workspace]:
    with project.opened() as opened:
        yield opened


def traffic_of(workspace: Workspace) -> LiveTraffic:
    traffic = LiveTraffic(workspace.ledger, workspace.stores, "prod")
    traffic.refresh()
    return traffic


def test_an_endpoint_is_found_by_name_and_version(workspace: Workspace) -> None:
    traffic = traffic_of(workspace)
    assert traffic.endpoints() == ("scores",)
    served = traffic.route("scores")
    assert served.key == workspace.ledger.snapshot("prod").pointers["scores"]
    assert traffic.version("scores", served.key[:6]) is served
    with pytest.raises(HeadraceError) as caught:
        traffic.route("score")
    assert caught.value.code == "HR901"
    with pytest.raises(HeadraceError) as caught:
        traffic.version("scores", "xyz")
    assert caught.value.code == "HR903"


def test_fields_say_what_is_sent_and_what_is_looked_up(workspace: Workspace) -> None:
    fields = {each.name: each for each in traffic_of(workspace).route("scores").fields}
    assert list(fields) == ["amount", "orders_30d", "amount_30d", "shop", "order_id"]
    assert fields["amount"].required
    assert fields["orders_30d"].view == "ShopHistory"
    assert not fields["orders_30d"].required
    assert fields["shop"].entity
    assert fields["shop"].kind == "text"
    assert fields["order_id"].key
    assert (fields["order_id"].kind, fields["order_id"].required) == ("number", False)


def test_what_finds_the_label_is_not_seen_by_the_model(workspace: Workspace) -> None:
    served = traffic_of(workspace).route("scores")
    row = {"shop": "a", "amount": 1.0}
    with_key, without = (served.score([each], [2_000_000_000_000_000]) for each in (row | {"order_id": 7}, row))
    assert with_key.scores == without.scores
    assert with_key.features == without.features
    assert set(with_key.features[0]) == {"amount", "orders_30d", "amount_30d"}


def test_what_is_looked_up_is_what_the_offline_join_shows(workspace: Workspace) -> None:
    """Promise 5: the same definition, as of any moment that a generation can be asked about."""
    served = traffic_of(workspace).route("scores")
    pointers = workspace.ledger.snapshot("prod").pointers
    view = workspace.ledger.version(pointers["ShopHistory"])
    assert view is not None
    newest = datetime.fromisoformat(view.manifest.facts["last_visible"])
    moments = [newest + timedelta(hours=hours) for hours in (0, 1, 24, 24 * 20, 24 * 29, 24 * 40)]
    rows = [{"shop": "a", "amount": 1.0}] * len(moments)
    found = served.score(rows, [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments])
    model: Model = workspace.graph["model"]  # type: ignore[assignment]
    labels = pl.DataFrame({"shop": ["a"] * len(moments), "cutoff": moments})
    offline = point_in_time(labels, [model.spec.features[0].read(view, workspace.stores)], cutoff="cutoff")
    online = [(each["orders_30d"], each["amount_30d"]) for each in found.features]
    assert online == offline.select("orders_30d", "amount_30d").rows()
    assert online[0][0]
    assert online[-1] == (0, None)


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_answering(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    with project.opened() as workspace:
        traffic = traffic_of(workspace)
        old = traffic.route("scores")
        project.edit("C=1.0", "C=0.01")
        project.apply()
        key = workspace.ledger.snapshot("prod").pointers["scores"]
        version = workspace.ledger.version(key)
        assert version is not None
        workspace.stores.artefacts.path(version.manifest.outputs["portable"]).unlink()
        traffic.refresh()
        assert traffic.route("scores") is old
        assert traffic.problems["scores"].code.startswith("HR63")
        fresh = LiveTraffic(workspace.ledger, workspace.stores, "prod")
        fresh.refresh()
        with pytest.raises(HeadraceError) as caught:
            fresh.route("scores")
        assert caught.value.code == "HR902"
        assert traffic.problems["scores"].code in caught.value.what


def test_new_features_are_looked_up_without_a_new_version(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    with project.opened() as workspace:
        traffic = traffic_of(workspace)
        before = traffic.route("scores")
    project.write_batch("02", range(300, 320))
    with project.opened() as workspace:
        workspace.apply(workspace.question(only=["ShopHistory.online"]), Observer())
        traffic = traffic_of(workspace)
        after = traffic.route("scores")
    assert (after.key, after.model) == (before.key, before.model)
    assert after.generations != before.generations


def test_one_endpoint_asks_for_its_features_too(workspace: Workspace) -> None:
    assert "ShopHistory.online" in workspace.graph.ancestors(["scores"])


def test_a_packaged_model_says_how_it_is_served(workspace: Workspace) -> None:
    version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["scores"])
    assert version is not None
    assert version.manifest.facts["served"] == "onnx"
    assert version.manifest.facts["off"] < 1e-5

# mypy: disable-error-code="import-not-found"
"""Three questions to Feast that the suite answers for Headrace, in `tests/features/test_where_feast_errs.py`.

Runs in Feast's environment: `errs.py STORE FILE`, in a new folder; STORE is "file" (Dask) or "duckdb". The answers go
to FILE as JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Int64
from feast.value_type import ValueType

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def main() -> None:
    """Ask, and write down what came."""
    store, target = sys.argv[1], Path(sys.argv[2])
    answers = {
        "label rows that come back of two, one of which has only an expired row": _expired(store),
        "label rows that come back of two that are alike": _alike(store),
        "the value at noon, of a row of 11:00 that was created at 13:00": _created(store),
        "the value at noon, of two rows of 11:00, created at 11:00 (1) and at 13:00 (7)": _corrected(store),
        "the value that is looked up online, of a row that is a day past its ttl": _online(store),
    }
    target.write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")


def _expired(kind: str) -> int | None:
    rows = [("a", NOON - 5 * HOUR, NOON - 5 * HOUR, 1), ("b", NOON - HOUR, NOON - HOUR, 2)]
    store = _store(kind, "expired", rows, ttl=2 * HOUR)
    labels = pd.DataFrame({"who": ["a", "b"], "event_timestamp": [NOON, NOON], "late": [0, 1]})
    found = store.get_historical_features(entity_df=labels, features=["expired:value"]).to_df()
    return len(found)


def _alike(kind: str) -> int | None:
    store = _store(kind, "alike", [("a", NOON - HOUR, NOON - HOUR, 1)], ttl=2 * HOUR)
    labels = pd.DataFrame({"who": ["a", "a"], "event_timestamp": [NOON, NOON], "late": [0, 1]})
    found = store.get_historical_features(entity_df=labels, features=["alike:value"]).to_df()
    return len(found)


def _created(kind: str) -> int | None:
    store = _store(kind, "created", [("a", NOON - HOUR, NOON + HOUR, 7)], ttl=2 * HOUR)
    labels = pd.DataFrame({"who": ["a"], "event_timestamp": [NOON], "late": [0]})
    found = store.get_historical_features(entity_df=labels, features=["created:value"]).to_df()
    return _plain(found["value"][0])


def _corrected(kind: str) -> int | None:
    rows = [("a", NOON - HOUR, NOON - HOUR, 1), ("a", NOON - HOUR, NOON + HOUR, 7)]
    store = _store(kind, "corrected", rows, ttl=2 * HOUR)
    labels = pd.DataFrame({"who": ["a"], "event_timestamp": [NOON], "late": [0]})
    found = store.get_historical_features(entity_df=labels, features=["corrected:value"]).to_df()
    return _plain(found["value"][0])


def _online(kind: str) -> int | None:
    now = datetime.now(UTC)
    store = _store(kind, "online", [("a", now - 26 * HOUR, now - 26 * HOUR, 9)], ttl=2 * HOUR)
    store.materialize(now - 48 * HOUR, now)
    found = store.get_online_features(["online:value"], [{"who": "a"}]).to_dict()
    if found["value"][0] is None:  # it was not even written: so that what a reader does with it can be seen
        frame = pd.DataFrame({"who": ["a"], "at": [now - 26 * HOUR], "created": [now - 26 * HOUR], "value": [9]})
        store.write_to_online_store("online", df=frame)
        found = store.get_online_features(["online:value"], [{"who": "a"}]).to_dict()
    return _plain(found["value"][0])


def _plain(value: float | None) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def _store(kind: str, name: str, rows: list[tuple[str, datetime, datetime, int]], *, ttl: timedelta) -> FeatureStore:
    """A local store with one view of these rows: of whom, when, created when, and the value."""
    folder = Path.cwd() / name
    folder.mkdir()
    file = folder / "rows.parquet"
    pd.DataFrame(rows, columns=["who", "at", "created", "value"]).to_parquet(file)
    config = RepoConfig(
        project=name,
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": kind},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config, repo_path=folder)
    who = Entity(name="who", join_keys=["who"], value_type=ValueType.STRING)
    source = FileSource(path=str(file), timestamp_field="at", created_timestamp_column="created")
    view = FeatureView(name=name, entities=[who], ttl=ttl, schema=[Field(name="value", dtype=Int64)], source=source)
    store.apply([who, view])
    return store


if __name__ == "__main__":
    main()

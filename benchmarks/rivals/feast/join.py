# mypy: disable-error-code="import-not-found"
"""The join of `benchmarks.join` in Feast. Runs in Feast's environment: `join.py FOLDER FILE`."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType


def main() -> None:
    """Join, and tell how long it took."""
    folder, answer = Path(sys.argv[1]), Path(sys.argv[2])
    store = _store(folder, answer.parent)
    some = pd.read_parquet(folder / "small" / "labels.parquet").rename(columns={"asked": "event_timestamp"})
    store.get_historical_features(entity_df=some, features=["numbers:a", "numbers:b"]).to_df()
    begin, begun = time.perf_counter(), time.process_time()
    labels = pd.read_parquet(folder / "labels.parquet").rename(columns={"asked": "event_timestamp"})
    found = store.get_historical_features(entity_df=labels, features=["numbers:a", "numbers:b"]).to_df()
    sums = {"rows": len(found), "a": float(found["a"].sum()), "b": float(found["b"].sum())}
    took = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begun}
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    answer.write_text(json.dumps({**sums, **took, "peak": peak}), encoding="utf-8")


def _store(folder: Path, home: Path) -> FeatureStore:
    config = RepoConfig(
        project="joined",
        provider="local",
        registry=str(home / "registry.db"),
        online_store={"type": "sqlite", "path": str(home / "online.db")},
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config, repo_path=home)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.STRING)
    source = FileSource(path=str(folder / "rows.parquet"), timestamp_field="_visible_at")
    schema = [Field(name="a", dtype=Float64), Field(name="b", dtype=Int64)]
    view = FeatureView(name="numbers", entities=[entity], ttl=timedelta(days=7), schema=schema, source=source)
    store.apply([entity, view])
    return store


if __name__ == "__main__":
    main()

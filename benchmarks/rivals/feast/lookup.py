# mypy: disable-error-code="import-not-found"
"""Look-ups in Feast's online store on SQLite. Runs in Feast's environment: `lookup.py ROWS SPEC FILE`, in a new folder.

ROWS is a Parquet file with `entity`, `at` and the features. SPEC says how many entities a call asks for, how many
calls are made, and which entities there are.
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType

_WRITTEN = 1_000
"""Rows that are written to the online store at once."""


def main() -> None:
    """Fill the store, then measure."""
    rows, spec, target = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3])
    frame = pd.read_parquet(rows)
    names = [name for name in frame.columns if name not in {"entity", "at"}]
    store = _store(rows, names)
    for start in range(0, len(frame), _WRITTEN):
        store.write_to_online_store("numbers", df=frame.iloc[start : start + _WRITTEN])
    features = [f"numbers:{name}" for name in names]
    chance = random.Random(1)  # noqa: S311 - a choice of entities, no secret
    asked = [
        [{"entity": each} for each in chance.sample(range(len(frame)), spec["asked"])] for _ in range(spec["calls"])
    ]
    store.get_online_features(features, asked[0]).to_dict()
    begin = time.perf_counter()
    for each in asked:
        found = store.get_online_features(features, each).to_dict()
    seconds = time.perf_counter() - begin
    last = int(asked[-1][-1]["entity"])
    if found[names[0]][-1] != frame[names[0]][last]:
        sys.exit(f"{found[names[0]][-1]} was looked up, {frame[names[0]][last]} was written")
    target.write_text(json.dumps({"random": seconds / spec["calls"]}), encoding="utf-8")


def _store(rows: Path, names: list[str]) -> FeatureStore:
    """A local store with one view, whose files lie in the present folder."""
    config = RepoConfig(
        project="lookup",
        provider="local",
        registry="registry.db",
        online_store={"type": "sqlite", "path": "online.db"},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config, repo_path=Path.cwd())
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(path=str(rows), timestamp_field="at")
    schema = [Field(name="entity", dtype=Int64), *(Field(name=name, dtype=Float64) for name in names)]
    view = FeatureView(name="numbers", entities=[entity], ttl=timedelta(0), schema=schema, source=source)
    store.apply([entity, view])
    return store


if __name__ == "__main__":
    main()

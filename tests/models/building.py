"""Model versions made by hand: labelled rows with a planted signal, a real estimator, real stores of artefacts."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.models.artefact import dump
from headrace.models.columns import encode, inputs_of
from headrace.models.gate import SCORE
from headrace.models.training import scores, truth
from headrace.ports.records import Manifest, Version
from headrace.ports.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START = datetime(2013, 1, 1, tzinfo=UTC)


def file_stores(folder: Path) -> Stores:
    """Stores for artefacts and manifests. These tests use no table."""
    tables: Any = None
    artefacts, manifests = FileArtefactStore(folder / "artefacts"), FileManifestStore(folder / "manifests")
    return Stores(tables, artefacts, manifests, LmdbOnlineStore(folder / "online"))


def labelled_rows(count: int = 2000, seed: int = 0) -> pl.DataFrame:
    """One row an hour. `good` tells much about `late`, `bad` a little; `origin` has nothing to do with it."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=count)
    return pl.DataFrame(
        {
            "flight_id": np.arange(count),
            "at": [START + timedelta(hours=hour) for hour in range(count)],
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            "good": signal + rng.normal(size=count) * 0.5,
            "bad": signal + rng.normal(size=count) * 4,
            "late": signal + rng.normal(size=count) * 0.5 > 0,
        }
    )


def version(
    stores: Stores,
    rows: pl.DataFrame,
    names: Sequence[str],
    boundary: int,
    origins: Mapping[str, str] | None = None,
    **facts: object,
) -> Version:
    """A model of these columns, trained on the rows up to hour `boundary`, with the rest held out."""
    moment = START + timedelta(hours=boundary)
    train, holdout = rows.filter(pl.col("at") <= moment), rows.filter(pl.col("at") > moment)
    inputs = inputs_of(train, names)
    estimator = LogisticRegression().fit(encode(train, inputs), truth(train, "late"))
    holdout = holdout.with_columns(pl.Series(SCORE, scores(estimator, encode(holdout, inputs))))
    buffer = io.BytesIO()
    holdout.write_parquet(buffer)
    outputs = {
        "model": stores.artefacts.put(dump(estimator), ".skops"),
        "holdout": stores.artefacts.put(buffer.getvalue(), ".parquet"),
    }
    known = {
        "task": "classification",
        "label": "late",
        "keys": ["flight_id"],
        "event_time": "at",
        "boundary": moment.isoformat(),
        "inputs": [each.to_json() for each in inputs],
        "origins": dict.fromkeys(names, "as ever") if origins is None else dict(origins),
        "sample": holdout[SCORE].head(20).to_list(),
        "metrics": {"rows": len(holdout)},
    }
    key = f"{'+'.join(names)} {boundary} {len(rows)}"
    return Version(key, "lateness", "model", "f", (), Manifest(key, outputs, {**known, **facts}))

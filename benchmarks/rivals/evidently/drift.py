# mypy: disable-error-code="import-not-found"
"""The drift of columns by Evidently. Runs in Evidently's environment: `drift.py SPEC FILE`.

SPEC says how many columns and rows there are. Only the population stability index of each column is asked for: the
cheapest of what Evidently offers here, and a small part of what Headrace measures in the same pass.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

_WARM = 1_000


def main() -> None:
    """Once with few rows, which is not counted, and once with all."""
    spec, target = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    before, now = (_frame(seed, spec["columns"], spec["rows"]) for seed in (0, 1))
    _psi(before.head(_WARM), now.head(_WARM))
    begin = time.perf_counter()
    found = _psi(before, now)
    seconds = time.perf_counter() - begin
    if len(found) != spec["columns"]:
        sys.exit(f"{len(found)} columns were compared")
    target.write_text(json.dumps({"seconds": seconds, "psi": found}), encoding="utf-8")


def _frame(seed: int, columns: int, rows: int) -> pd.DataFrame:
    """The numbers of `benchmarks.drift.frame`."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({f"c{number}": random.normal(seed / 100, 1, rows) for number in range(columns)})


def _psi(before: pd.DataFrame, now: pd.DataFrame) -> list[float]:
    names = list(before.columns)
    kinds = DataDefinition(numerical_columns=names)
    report = Report([ValueDrift(column=name, method="psi") for name in names])
    window, reference = (Dataset.from_pandas(frame, data_definition=kinds) for frame in (now, before))
    return [float(each["value"]) for each in report.run(window, reference).dict()["metrics"]]


if __name__ == "__main__":
    main()

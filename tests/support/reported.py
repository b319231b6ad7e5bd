"""A monitor's report of made-up answers, for the tests of how it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from headrace.monitors.alarm import Kind, Note
from headrace.monitors.profiling import reference_profile, window_profile
from headrace.monitors.quality import quality
from headrace.monitors.report import Bucket, Every, Report, Watched, starts, told, with_quality
from headrace.monitors.sketches import Quantiles
from headrace.ports.records import Outcome

if TYPE_CHECKING:
    from headrace.monitors.counts import Profile

NOW = datetime(2026, 11, 23, 16, 20, tzinfo=UTC)
EVIL = '<script>alert("&amp;")</script>'
EMPTY_WINDOW = 5
NEEDED = 100


def answers(rows: int, shift: float, seed: int = 0) -> pl.DataFrame:
    """Inputs and scores; with a shift, distances are longer and every carrier is as frequent."""
    random = np.random.default_rng(seed)
    shares = [0.4, 0.3, 0.2, 0.1] if not shift else [0.25] * 4
    return pl.DataFrame(
        {
            "distance": random.gamma(2, 300, rows) * (1 + shift),
            "carrier": random.choice(["UA", "AA", "DL", EVIL], rows, p=shares),
            EVIL: random.normal(size=rows),
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "prediction": random.beta(2, 6, rows),
        }
    )


def bucket(frame: pl.DataFrame, reference: Profile) -> Bucket:
    """What is kept of these answers, which took 1, 2, 3, ... milliseconds."""
    millis = np.arange(1.0, frame.height + 1)
    return Bucket(window_profile(frame, reference), Quantiles.of(millis), float(millis.sum()))


def report(every: Every = Every.HOUR, *, labels: bool = True, shift_from: int = 20, rows: int = 300) -> Report:
    """A report whose later windows have drifted, one of whose windows has no answers."""
    before = answers(2_000, 0.0)
    reference = reference_profile(before)
    empty = bucket(before.clear(), reference)
    windows = []
    for place, start in enumerate(starts(NOW, every)):
        found = answers(0 if place == EMPTY_WINDOW else rows, 1.0 * (place >= shift_from), seed=place + 1)
        window = told(start, every, [bucket(found, reference)], empty, (reference, NEEDED))
        if labels and found.height:
            random = np.random.default_rng(place)
            known = random.random(found.height) < (0.4 if place < shift_from else 0.0)
            label = pl.Series((random.random(found.height) < found["prediction"].to_numpy()).astype(float))
            joined = pl.DataFrame({"score": found["prediction"], "label": label.set(pl.Series(~known), None)})
            window = with_quality(window, quality(joined).overall)
        windows.append(window)
    return Report(watched(), NOW, every, reference, tuple(windows))


def watched() -> Watched:
    """A monitor that has acted, and is held."""
    reasons = {Kind.RAISED: "psi(distance) > 0.25 (0.41)", Kind.ACTED: "the same", Kind.WITHHELD: f"held: {EVIL}"}
    notes = tuple(
        Note(kind, "v" * 64, reason, NOW - timedelta(hours=3 - at)) for at, (kind, reason) in enumerate(reasons.items())
    )
    return Watched(
        monitor=f"carrier_drift {EVIL}",
        environment="prod",
        endpoint="scores",
        model="8f3a9b2c1d4e5f60",
        state="alert",
        bounds={"psi(distance)": 0.25, "roc_auc": 0.7},
        outcomes=(Outcome("psi(distance) > 0.25", passed=True, seen="0.41"),),
        then=("retrain lateness",),
        notes=notes,
    )

"""What is measured for a monitor: of the answers of its windows, their labels, the requests, the ages and the runs.

Only what is asked for is measured: a monitor of the age of a table reads no answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.monitors.intervals import Estimate
from headrace.monitors.judging import Seen
from headrace.monitors.measures import ANY, MEASURES, PREDICTION, Family
from headrace.monitors.monitor import REFERENCE
from headrace.project.measured_quality import Late, estimates, late_of, late_seen
from headrace.project.measured_service import ages, request_shares, run_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from headrace.endpoints.log_lines import Prediction
    from headrace.ports.records import Version
    from headrace.project.measured_subject import Subject


@dataclass(slots=True)
class _Sum:
    """What has been measured so far."""

    overall: dict[str, Estimate] = field(default_factory=dict)
    slices: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    counts: dict[Family, int] = field(default_factory=dict)

    def add(self, seen: Seen) -> None:
        self.overall.update(seen.overall)
        self.counts.update(seen.counts)
        for column, parts in seen.slices.items():
            for value, found in parts.items():
                self.slices.setdefault(column, {}).setdefault(value, {}).update(found)


def measure(subject: Subject, families: Collection[Family]) -> tuple[Seen, Late | None]:
    """What is measured of some families; the quality, where that is among them and the endpoint has labels."""
    found = _Sum()
    if Family.ANSWERS in families:
        window = subject.answers(subject.since)
        found.add(_of_answers(subject, window))
        found.add(estimates(subject.monitor, subject.watch, window))
    late = None
    if Family.LABELS in families or Family.SETTLED in families:
        late = late_of(subject)
        found.add(late_seen(late))
    if Family.REQUESTS in families:
        found.add(request_shares(subject))
    if Family.AGE in families:
        found.add(Seen({name: Estimate(seconds) for name, seconds in ages(subject).items()}))
    if Family.RUNS in families:
        found.add(run_seconds(subject))
    return Seen(found.overall, found.slices, found.counts), late


def _of_answers(subject: Subject, window: Sequence[Prediction]) -> Seen:
    """The distances of the window, and how long and what was answered."""
    import numpy as np

    from headrace.monitors.counts import Profile
    from headrace.monitors.profiling import window_profile
    from headrace.monitors.shifts import compare, worst

    monitor = subject.monitor
    content = subject.workspace.stores.artefacts.get(monitor.manifest.outputs[REFERENCE])
    reference = Profile.from_json(json.loads(content))
    shifts = compare(reference, window_profile(answers_frame(monitor, window), reference), rows=1).columns
    overall: dict[str, float | None] = {"answers": float(len(window))}
    overall |= {f"{each}({name})": shift.measures.get(each) for name, shift in shifts.items() for each in MEASURES}
    overall |= {f"{each}({ANY})": value for each, value in worst(shifts).items()}
    millis = np.array([each.micros for each in window]) / 1000
    scores = np.array([each.prediction for each in window])
    overall["mean_ms"] = float(millis.mean()) if window else None
    overall["mean_score"] = float(scores.mean()) if window else None
    for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
        overall[name] = float(np.quantile(millis, share)) if window else None
    return Seen({name: Estimate(value) for name, value in overall.items()}, counts={Family.ANSWERS: len(window)})


def answers_frame(monitor: Version, window: Sequence[Prediction]) -> pl.DataFrame:
    """What the model saw and said, in columns of the types that it was evaluated on."""
    import polars as pl

    columns = {}
    for each in monitor.manifest.facts["inputs"]:
        number = pl.Boolean if each["dtype"] == "Boolean" else pl.Float64
        kind = pl.String if each["categories"] is not None else number
        values = [answer.features.get(each["name"]) for answer in window]
        columns[each["name"]] = pl.Series(each["name"], values, dtype=kind, strict=False)
    columns[PREDICTION] = pl.Series(PREDICTION, [each.prediction for each in window], dtype=pl.Float64)
    return pl.DataFrame(columns)

"""The report of a monitor: its answers read once, a batch at a time, and kept as the profiles of hours."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.endpoints.answers import Wanted, answers
from headrace.monitors.counts import Profile
from headrace.monitors.monitor import REFERENCE
from headrace.monitors.profiling import window_profile
from headrace.monitors.quality import labelled, quality
from headrace.monitors.report import (
    EPOCH,
    HOUR,
    Bucket,
    Every,
    Report,
    Told,
    Watched,
    every_of,
    starts,
    told,
    with_quality,
)
from headrace.monitors.sketches import Quantiles
from headrace.project.measured import answers_frame
from headrace.project.measured_quality import keyed_answers, label_names, label_rows
from headrace.project.measured_subject import Subject
from headrace.project.monitoring import look, state_of
from headrace.project.prediction_place import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from headrace.endpoints.log_lines import Prediction
    from headrace.ports.records import Version
    from headrace.project.monitoring import Looked
    from headrace.project.workspace import Workspace

MOST: Final = 500_000
"""Answers that are read for a report: the latest ones."""
_SHADOW: Final = "shadow"
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR: Final = HOUR // _MICROSECOND


def monitor_report(
    workspace: Workspace, environment: str, monitor: Version, every: Every | None = None, most: int = MOST
) -> Report:
    """What the last windows of a monitor tell: 24 hours, or 14 days. Changes nothing.

    Args:
        workspace: The project.
        environment: The environment whose answers are read.
        monitor: The version of the monitor. Only answers of its own model count, and none that a shadow gave.
        every: The length of the windows; None: days for a monitor that looks at half a day or more, else hours.
        most: How many answers are read: the latest ones.
    """
    looked = look(workspace, environment, monitor)
    now, every = workspace.clock.now(), every or every_of(looked.watch.over)
    content = workspace.stores.artefacts.get(monitor.manifest.outputs[REFERENCE])
    reference = Profile.from_json(json.loads(content))
    begins = starts(now, every)
    wanted = Wanted(monitor.manifest.facts["endpoint"], (begins[0] - EPOCH) // _MICROSECOND, most)
    kept = _Kept(monitor, reference)
    for batch in answers(place_of(workspace, environment), wanted):
        kept.add(batch)
    empty = Bucket(window_profile(pl.DataFrame(), reference), Quantiles.of(np.empty(0)), 0.0)
    against = (reference, looked.watch.rows)
    windows = [told(start, every, kept.within(start, every), empty, against) for start in begins]
    subject = Subject(workspace, environment, monitor, looked.watch, now)
    labelled_windows = _with_labels(subject, windows, kept.keyed)
    return Report(_watched(looked, environment), now, every, reference, labelled_windows, cut=kept.read >= most)


class _Kept:
    """What is kept of answers: `read` of them; hours since 1970; and what it takes to find their labels."""

    def __init__(self, monitor: Version, reference: Profile) -> None:
        self.read = 0
        self.keyed: list[pl.DataFrame] = []
        self._monitor, self._reference = monitor, reference
        self._hours: dict[int, Bucket] = {}

    def add(self, batch: Sequence[Prediction]) -> None:
        """Keep what there is to keep of some answers, and let them go."""
        facts, found = self._monitor.manifest.facts, defaultdict[int, "list[Prediction]"](list)
        self.read += len(batch)
        own = [each for each in batch if each.model == facts["model"] and each.stage != _SHADOW]
        if facts.get("labels") is not None:
            self.keyed.append(keyed_answers(own, facts["labels"]))
        for each in own:
            found[each.at // _HOUR].append(each)
        for hour, within in found.items():
            bucket = self._bucket(within)
            self._hours[hour] = self._hours[hour].merge(bucket) if hour in self._hours else bucket

    def within(self, start: datetime, every: Every) -> list[Bucket]:
        """The hours of a window, in their order."""
        first = (start - EPOCH) // HOUR
        return [self._hours[hour] for hour in range(first, first + every.length // HOUR) if hour in self._hours]

    def _bucket(self, found: Sequence[Prediction]) -> Bucket:
        millis = np.array([each.micros for each in found]) / 1000
        profile = window_profile(answers_frame(self._monitor, found), self._reference)
        return Bucket(profile, Quantiles.of(millis), float(millis.sum()))


def _with_labels(subject: Subject, windows: Sequence[Told], keyed: Sequence[pl.DataFrame]) -> tuple[Told, ...]:
    """Windows with the quality of their answers, by the labels that are known now."""
    facts = subject.monitor.manifest.facts
    if not keyed:
        return tuple(windows)
    names, asked = label_names(facts["labels"]), pl.concat(keyed)
    known = label_rows(subject, facts["labels"], asked)
    found = []
    for window in windows:
        rows = labelled(asked, known, (window.start, window.end), subject.now, names)
        part = quality(rows, task=facts["task"], names=names).overall if rows.height else None
        found.append(with_quality(window, part))
    return tuple(found)


def _watched(looked: Looked, environment: str) -> Watched:
    facts = looked.monitor.manifest.facts
    return Watched(
        monitor=looked.monitor.node,
        environment=environment,
        endpoint=facts["endpoint"],
        model=facts["model"],
        state=state_of(looked),
        bounds={each.metric.name: float(each.bound) for each in looked.watch.when if isinstance(each.bound, float)},
        outcomes=looked.outcomes,
        then=tuple(map(str, looked.watch.then)),
        notes=looked.notes,
    )

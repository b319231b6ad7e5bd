"""The report of a monitor: its answers read once, a batch at a time, and kept as the profiles of hours."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.endpoints.answers import Wanted, answers
from headrace.monitors.counts import Profile
from headrace.monitors.monitor import REFERENCE
from headrace.monitors.profiling import window_profile
from headrace.monitors.report import HOUR, Bucket, Every, Report, Told, Watched, every_of, starts, told, with_quality
from headrace.monitors.sketches import Quantiles
from headrace.monitors.windows import EPOCH
from headrace.project.measured import answers_frame
from headrace.project.measured_quality import late_of
from headrace.project.measured_subject import Subject
from headrace.project.monitoring import look, state_of
from headrace.project.prediction_place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from headrace.endpoints.log_lines import Prediction
    from headrace.ports.records import Version
    from headrace.project.monitoring import Looked
    from headrace.project.workspace import Workspace

MOST: Final = 500_000
"""Answers that are read for a report: the latest ones."""
_SHADOW: Final = "shadow"
_MICROSECOND: Final = timedelta(microseconds=1)


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
    hours, read = _hours(answers(place_of(workspace, environment), wanted), monitor, reference)
    empty = Bucket(window_profile(pl.DataFrame(), reference), Quantiles.of(np.empty(0)), 0.0)
    against = (reference, looked.watch.rows)
    windows = [told(start, every, _within(hours, start, every), empty, against) for start in begins]
    subject = Subject(workspace, environment, monitor, looked.watch, now)
    with_labels = tuple(_with_labels(subject, each) for each in windows)
    return Report(_watched(looked, environment), now, every, reference, with_labels, cut=read >= most)


def _hours(
    batches: Iterable[Sequence[Prediction]], monitor: Version, reference: Profile
) -> tuple[dict[int, Bucket], int]:
    """What is kept of each hour since 1970, and how many answers were read for it."""
    hours: dict[int, Bucket] = {}
    read, model = 0, monitor.manifest.facts["model"]
    for batch in batches:
        read += len(batch)
        found: dict[int, list[Prediction]] = defaultdict(list)
        for each in batch:
            if each.model == model and each.stage != _SHADOW:
                found[each.at * _MICROSECOND // HOUR].append(each)
        for hour, own in found.items():
            bucket = _bucket(own, monitor, reference)
            hours[hour] = hours[hour].merge(bucket) if hour in hours else bucket
    return hours, read


def _bucket(found: Sequence[Prediction], monitor: Version, reference: Profile) -> Bucket:
    millis = np.array([each.micros for each in found]) / 1000
    return Bucket(window_profile(answers_frame(monitor, found), reference), Quantiles.of(millis), float(millis.sum()))


def _within(hours: Mapping[int, Bucket], start: datetime, every: Every) -> list[Bucket]:
    """The hours of a window, in their order."""
    first = (start - EPOCH) // HOUR
    return [hours[hour] for hour in range(first, first + every.length // HOUR) if hour in hours]


def _with_labels(subject: Subject, window: Told) -> Told:
    """A window with the quality of its answers, by the labels that are known now."""
    if subject.monitor.manifest.facts.get("labels") is None or not window.answers:
        return window
    end = min(window.end, subject.now)
    over, settle = (end - window.start).total_seconds(), (subject.now - end).total_seconds()
    late = late_of(replace(subject, watch=replace(subject.watch, over=over, settle=settle)))
    return window if late is None else with_quality(window, late.quality.overall)


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

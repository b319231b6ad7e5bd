"""Service levels: how many requests failed, how old what is served is, and what the runs of the window took."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.features.moments import moment
from headrace.monitors.intervals import Estimate, wilson
from headrace.monitors.judging import Seen
from headrace.monitors.measures import RUN_SECONDS, Age, Family, node_of
from headrace.project.request_counts import folder_of_counts, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.ports.records import Run
    from headrace.project.measured_subject import Subject

_RUNS: Final = 50


def request_shares(subject: Subject) -> Seen:
    """The shares of the window's requests that were not answered (`failures`), or were refused besides (`errors`)."""
    folder = folder_of_counts(subject.workspace.settings.state, subject.environment)
    found = requests_of(folder, subject.monitor.manifest.facts["endpoint"], subject.since, subject.now)
    shares = {
        "errors": wilson(found.failures + found.refused, found.all),
        "failures": wilson(found.failures, found.all),
    }
    return Seen(shares, counts={Family.REQUESTS: found.all})


def ages(subject: Subject) -> dict[str, float | None]:
    """By metric, how many seconds ago the newest row of a node was known; None where it has no row, or is not there.

    Raises:
        HeadraceError: HR988 where the rows that the environment points to lack the column.
    """
    metrics = [each.metric for each in subject.watch.when if isinstance(each.metric, Age)]
    return {each.name: _age(subject, each) for each in metrics}


def _age(subject: Subject, metric: Age) -> float | None:
    import polars as pl

    workspace, name = subject.workspace, node_of(metric.name) or ""
    output, column = metric.place
    key = workspace.ledger.snapshot(subject.environment).pointers.get(name)
    version = None if key is None else workspace.ledger.live([key]).get(key)
    if version is None:
        return None
    rows = workspace.stores.tables.scan(version.manifest.outputs[output])
    schema = rows.collect_schema()
    if column not in schema:
        raise HeadraceError("HR988", f"{name} of {subject.environment} has no column {column!r}")
    known = rows.select(moment(column, schema[column], what="the column").alias("known"))
    newest = known.filter(pl.col("known") <= subject.now).max().collect().item()
    return None if newest is None else float((subject.now - newest).total_seconds())


def run_seconds(subject: Subject) -> Seen:
    """The seconds that the steps of this environment's runs took within the window, those of tries that failed too."""
    ledger = subject.workspace.ledger
    total = 0.0
    for run in _runs(subject):
        for each in ledger.attempts(run.id):
            began = max(datetime.fromisoformat(each.started_at), subject.since)
            ended = subject.now if each.ended_at is None else datetime.fromisoformat(each.ended_at)
            total += max(timedelta(0), min(ended, subject.now) - began).total_seconds()
    return Seen({RUN_SECONDS: Estimate(total)})


def _runs(subject: Subject) -> Iterator[Run]:
    """The runs that were under way in the window, newest first."""
    limit = _RUNS
    while True:
        found = subject.workspace.ledger.runs(subject.environment, limit=limit)
        oldest = found[-1].started_at if found else ""
        if len(found) < limit or datetime.fromisoformat(oldest) < subject.since:
            break
        limit *= 2
    for run in found:
        if run.ended_at is None or datetime.fromisoformat(run.ended_at) >= subject.since:
            yield run

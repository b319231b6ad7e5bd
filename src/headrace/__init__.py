"""Headrace: from raw files to a live model, as one declared graph of immutable versions.

Everything that a user needs is importable from here, and nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.endpoints.canary import canary
    from headrace.endpoints.endpoint import Endpoint
    from headrace.errors import HeadraceError
    from headrace.features.aggregates import count, latest, mean, total
    from headrace.features.view import Features, FeatureView
    from headrace.graph.conditions import Condition, champion, metric
    from headrace.graph.node import Options
    from headrace.models.model import Model
    from headrace.models.predictor import Predictor
    from headrace.models.split import time_split
    from headrace.models.training import TrainingSet
    from headrace.monitors.measures import drift, estimated, freshness
    from headrace.monitors.monitor import Monitor
    from headrace.monitors.reactions import pause, retrain, rollback, run
    from headrace.pipeline import Pipeline
    from headrace.project.opened import Environment, open  # noqa: A004 - read as `headrace.open`
    from headrace.runtime.schedule import cron, every
    from headrace.runtime.triggers import by_hand, event, new_data, published
    from headrace.sources.files import files
    from headrace.sources.source import Source
    from headrace.tables.contract import Contract, column
    from headrace.tables.table import Table
    from headrace.tables.task import Task

_HOME = {
    "Condition": "graph.conditions",
    "Contract": "tables.contract",
    "Endpoint": "endpoints.endpoint",
    "Environment": "project.opened",
    "FeatureView": "features.view",
    "Features": "features.view",
    "HeadraceError": "errors",
    "Model": "models.model",
    "Monitor": "monitors.monitor",
    "Options": "graph.node",
    "Pipeline": "pipeline",
    "Predictor": "models.predictor",
    "Source": "sources.source",
    "Table": "tables.table",
    "Task": "tables.task",
    "TrainingSet": "models.training",
    "by_hand": "runtime.triggers",
    "canary": "endpoints.canary",
    "champion": "graph.conditions",
    "column": "tables.contract",
    "count": "features.aggregates",
    "cron": "runtime.schedule",
    "drift": "monitors.measures",
    "estimated": "monitors.measures",
    "event": "runtime.triggers",
    "every": "runtime.schedule",
    "files": "sources.files",
    "freshness": "monitors.measures",
    "latest": "features.aggregates",
    "mean": "features.aggregates",
    "metric": "graph.conditions",
    "new_data": "runtime.triggers",
    "open": "project.opened",
    "pause": "monitors.reactions",
    "published": "runtime.triggers",
    "retrain": "monitors.reactions",
    "rollback": "monitors.reactions",
    "run": "monitors.reactions",
    "time_split": "models.split",
    "total": "features.aggregates",
}

__version__ = "0.1.0"
__all__ = [
    "Condition",
    "Contract",
    "Endpoint",
    "Environment",
    "FeatureView",
    "Features",
    "HeadraceError",
    "Model",
    "Monitor",
    "Options",
    "Pipeline",
    "Predictor",
    "Source",
    "Table",
    "Task",
    "TrainingSet",
    "by_hand",
    "canary",
    "champion",
    "column",
    "count",
    "cron",
    "drift",
    "estimated",
    "event",
    "every",
    "files",
    "freshness",
    "latest",
    "mean",
    "metric",
    "new_data",
    "open",
    "pause",
    "published",
    "retrain",
    "rollback",
    "run",
    "time_split",
    "total",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOME:
        message = f"module 'headrace' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"headrace.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Serving again, with a model that takes longer than HTTP does: see `benchmarks.serving.project`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.serving.bench import measure
from benchmarks.serving.project import Model

if TYPE_CHECKING:
    from benchmarks.support.figures import Options, Result


def run(options: Options) -> list[Result]:
    """One round of all, with a forest."""
    return measure(options, "forest", Model.FOREST)

# mypy: disable-error-code="import-not-found, untyped-decorator"
"""A deployment in Prefect, served until it is ended. Runs in Prefect's environment, with PREFECT_API_URL set."""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, task


@task
def begin() -> None:
    """Say so."""
    Path(os.environ["BENCH_PIPE"]).write_text("begun\n", encoding="utf-8")


@flow
def tell() -> None:
    """One step that says when it begins."""
    begin()


if __name__ == "__main__":
    tell.serve(name="bench")

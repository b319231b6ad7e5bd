"""Applies that wait for their orders: everything is loaded by then, so that the work begins at once.

`headrace up` starts it as `python -m headrace.cli.standby ENV RESULTS`, where RESULTS is a pipe for what was done.
An order is a line of JSON on standard input: {"only": [NODE, ...]}, where no node stands for all of them. A result is a
line of JSON: {"code": EXIT CODE, "done": what `headrace apply --json` tells}. What people are to read goes to standard
output before.

It ends with the exit code of an apply that failed, and with 0 when no order can come any more. Where code of the
project has changed since it was loaded, the process begins anew, with the order as an argument.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypedDict

from headrace.cli.applying import apply_and_tell
from headrace.cli.calling import perform
from headrace.cli.exits import Exit
from headrace.cli.output import Style
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.project.loadedfiles import LoadedFiles

if TYPE_CHECKING:
    from headrace.project.workspace import Workspace


class Order(TypedDict):
    """What to apply: these nodes and what they are made from; none means all."""

    only: list[str]


def main() -> None:
    """See the module."""
    environment, results, *order = sys.argv[1:]
    first: Order | None = json.loads(order[0]) if order else None
    sys.exit(
        perform(Session(Style(quiet=True)), partial(_serve, environment=environment, results=int(results), first=first))
    )


def _serve(cli: Session, environment: str, results: int, first: Order | None) -> int:
    """Load the project, then apply what is ordered, until an apply fails or no order comes."""
    files = _loaded(cli, environment)
    order = first or _next_order()
    while order is not None:
        if order is not first and (files is None or files.changed()):
            _begin_anew(cli, environment, results, order)
        code, done, lines = apply_and_tell(cli, cli.workspace.question(environment, only=order["only"]))
        cli.out.data(*lines)
        sys.stdout.flush()
        os.write(results, json.dumps({"code": code, "done": done}).encode() + b"\n")
        if code not in (Exit.DONE, Exit.REFUSED):
            return code
        order = _next_order()
    return Exit.DONE


def _next_order() -> Order | None:
    """The next one; None once whoever gives orders is done with it, or gone."""
    line = sys.stdin.readline()
    found: Order | None = json.loads(line) if line else None
    return found


def _begin_anew(cli: Session, environment: str, results: int, order: Order) -> NoReturn:
    cli.close()
    arguments = [sys.executable, "-m", "headrace.cli.standby", environment, str(results), json.dumps(order)]
    os.execv(sys.executable, arguments)  # noqa: S606 - ourselves, with the present code


def _loaded(cli: Session, environment: str) -> LoadedFiles | None:
    """Load everything that an apply needs; None where it cannot be: what is ordered then will say why."""
    try:
        cli.start_workers()
        workspace = cli.workspace
        files = LoadedFiles(workspace.settings.folder, workspace.settings.state)
        with files.watching():
            _ = workspace.coded
        _rehearse(workspace, environment)
        cli.have_a_worker()
    except HeadraceError:
        return None
    return files


def _rehearse(workspace: Workspace, environment: str) -> None:
    """Plan once, for what that imports and opens."""
    workspace.plan(workspace.question(environment))
    _ = workspace.stores.manifests, workspace.owners


if __name__ == "__main__":
    main()

"""An apply that waits for its order: everything is loaded by then, so that the work begins at once.

`headrace up` starts it as `python -m headrace.cli.standby ENV RESULT`, where RESULT is an open file for what was done,
as JSON. The order is one line of JSON on standard input: {"only": [NODE, ...]}, where no node stands for all of them.
Where code of the project has changed since it was loaded, the process begins anew, with the order as an argument.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, TypedDict

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
    """See the module. Ends with the exit code of the apply; without an order, with 0."""
    environment, result, *order = sys.argv[1:]
    session = Session(Style(quiet=True))
    if order:
        verb = partial(_begin, environment=environment, result=int(result), order=json.loads(order[0]))
    else:
        verb = partial(_stand_by, environment=environment, result=int(result))
    sys.exit(perform(session, verb))


def _begin(cli: Session, environment: str, result: int, order: Order) -> int:
    cli.start_workers()
    return _apply(cli, environment, result, order)


def _stand_by(cli: Session, environment: str, result: int) -> int:
    files = _loaded(cli, environment)
    line = sys.stdin.readline()
    if not line:
        return Exit.DONE  # who would have given the order is gone
    if files is None or files.changed():
        cli.close()
        arguments = [sys.executable, "-m", "headrace.cli.standby", environment, str(result), line.strip()]
        os.execv(sys.executable, arguments)  # noqa: S606 - ourselves, with the present code
    return _apply(cli, environment, result, json.loads(line))


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


def _apply(cli: Session, environment: str, result: int, order: Order) -> int:
    code, done, lines = apply_and_tell(cli, cli.workspace.question(environment, only=order["only"]))
    with os.fdopen(result, "w", encoding="utf-8") as file:
        json.dump(done, file)
    cli.out.data(*lines)
    return code


if __name__ == "__main__":
    main()

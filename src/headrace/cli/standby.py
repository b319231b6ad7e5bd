"""Applies that wait for their orders: everything is loaded by then, so that the work begins at once.

`headrace up` starts it as `python -m headrace.cli.standby ENV RESULTS HEART`, where RESULTS is a pipe for what was
done, and HEART one for signs of life (see `headrace.project.heartbeat`).
An order is a line of JSON on standard input: {"only": [NODE, ...]}, where no node stands for all of them. A result is a
line of JSON: {"code": EXIT CODE, "done": what `headrace apply --json` tells}. What people are to read goes to standard
output before. Where an apply came to no end, the result is {"error": the error}, and it is the last one.

It ends with the exit code of an apply that failed, and with 0 when no order can come any more. Where code of the
project has changed since it was loaded, the process begins anew, with the order as an argument.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypedDict

from headrace.adapters.clocks import SystemClock
from headrace.cli.applying import apply_and_tell
from headrace.cli.calling import perform
from headrace.cli.exits import Exit
from headrace.cli.output import Style
from headrace.cli.session import Session
from headrace.errors import HeadraceError
from headrace.project.heartbeat import Heart
from headrace.project.loadedfiles import LoadedFiles

if TYPE_CHECKING:
    from headrace.ports.records import Json
    from headrace.project.workspace import Workspace


class Order(TypedDict):
    """What to apply: these nodes and what they are made from; none means all."""

    only: list[str]


def main() -> None:
    """See the module."""
    environment, results, heart, *order = sys.argv[1:]
    first: Order | None = json.loads(order[0]) if order else None
    parent = _Parent(environment, int(results), int(heart))
    parent.heart.start()
    sys.exit(perform(Session(Style(quiet=True)), partial(_serve, parent=parent, first=first)))


class _Parent:
    """What `headrace up` has told this process, and how it is answered."""

    def __init__(self, environment: str, results: int, heart: int) -> None:
        self.environment = environment
        self._results = results
        self._beats = heart
        self.heart = Heart(heart, SystemClock())

    def tell(self, result: Json) -> None:
        """A result of an apply."""
        os.write(self._results, json.dumps(result).encode() + b"\n")

    def begin_anew(self, order: Order) -> NoReturn:
        """Be the same process with the present code."""
        self.heart.begin_anew()
        given = [self.environment, str(self._results), str(self._beats), json.dumps(order)]
        os.execv(sys.executable, [sys.executable, "-m", "headrace.cli.standby", *given])  # noqa: S606 - ourselves


def _serve(cli: Session, parent: _Parent, first: Order | None) -> int:
    """Load the project, then apply what is ordered, until an apply fails or no order comes."""
    files = _loaded(cli, parent)
    order = first or _next_order()
    while order is not None:
        if order is not first and (files is None or files.changed()):
            cli.close()
            parent.begin_anew(order)
        try:
            code, done, lines = apply_and_tell(cli, cli.workspace.question(parent.environment, only=order["only"]))
        except HeadraceError as error:
            parent.tell({"error": error.to_json()})
            raise
        cli.out.data(*lines)
        sys.stdout.flush()
        parent.tell({"code": code, "done": done})
        if code not in (Exit.DONE, Exit.REFUSED):
            return code
        order = _next_order()
    return Exit.DONE


def _next_order() -> Order | None:
    """The next one; None once whoever gives orders is done with it, or gone."""
    line = sys.stdin.readline()
    found: Order | None = json.loads(line) if line else None
    return found


def _loaded(cli: Session, parent: _Parent) -> LoadedFiles | None:
    """Load everything that an apply needs; None where it cannot be: what is ordered then will say why."""
    try:
        cli.start_workers()
        workspace = cli.workspace
        workspace.turned = parent.heart.turned
        files = LoadedFiles(workspace.settings.folder, workspace.settings.state)
        with files.watching():
            _ = workspace.coded
        _rehearse(workspace, parent.environment)
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

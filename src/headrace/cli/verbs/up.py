"""`up`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.session import Session
from headrace.errors import HeadraceError

_HIGHEST_PORT = 65_535
Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]


def up(  # noqa: PLR0913, PLR0917 - each option is one of the command line's
    cli: Session,
    environment: Env = None,
    host: Annotated[
        str, typer.Option("--host", help="The address to serve on; beyond this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port; 0 for any that is free.")] = 8000,
    processes: Annotated[int, typer.Option("--processes", min=1, help="How many processes answer.")] = 1,
    watch: Annotated[str, typer.Option("--watch", metavar="DURATION", help="How often to look at the sources.")] = "5s",
    control: Annotated[
        str | None,
        typer.Option("--control", metavar="HOST:PORT", help="Where events are taken; 127.0.0.1:8181, or a free port."),
    ] = None,
) -> None:
    """Look after an environment: apply new data, serve, and roll out, until told to stop.

    Everything is applied at the beginning, then whenever a source holds something new; what has a schedule or a trigger
    is applied when that fires. A second one stands by, and takes over when the first is gone. SIGTERM and Ctrl-C end it
    in good order; the next one goes on where it was.

    Example: headrace up prod
    """
    from headrace.ports.durations import duration
    from headrace.project.serving import Where
    from headrace.project.up import Ways, up

    where, seconds = Where(host, port, processes), duration(watch).total_seconds()
    ways = Ways(where, seconds) if control is None else Ways(where, seconds, *_address(control), fallback=False)
    up(cli.workspace, cli.environment(environment), ways, cli.out.say)


def _address(text: str) -> tuple[str, int]:
    """The host and the port of HOST:PORT. Raises HR979."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > _HIGHEST_PORT:
        raise HeadraceError("HR979", f"{text!r} is not HOST:PORT", fix="Write it like 127.0.0.1:8181.")
    return host.strip("[]"), int(port)

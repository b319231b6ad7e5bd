"""`up`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.session import Session

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]


def up(
    cli: Session,
    environment: Env = None,
    host: Annotated[
        str, typer.Option("--host", help="The address to serve on; beyond this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port; 0 for any that is free.")] = 8000,
    processes: Annotated[int, typer.Option("--processes", min=1, help="How many processes answer.")] = 1,
    watch: Annotated[str, typer.Option("--watch", metavar="DURATION", help="How often to look at the sources.")] = "5s",
) -> None:
    """Look after an environment: apply new data, serve, and roll out, until told to stop.

    Everything is applied at the beginning, then whenever a source holds something new. A second one stands by, and
    takes over when the first is gone. SIGTERM and Ctrl-C end it in good order; the next one goes on where it was.

    Example: headrace up prod
    """
    from headrace.ports.durations import duration
    from headrace.project.serving import Where
    from headrace.project.up import up

    name = environment or cli.workspace.settings.environment
    up(cli.workspace, name, Where(host, port, processes), duration(watch).total_seconds(), cli.out.say)

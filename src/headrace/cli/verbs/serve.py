"""`serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.session import Session

Env = Annotated[str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")]


def serve(  # noqa: PLR0913, PLR0917 - one parameter for each option
    cli: Session,
    environment: Env = None,
    host: Annotated[
        str, typer.Option("--host", help="The address; beyond this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port; 0 for any that is free.")] = 8000,
    processes: Annotated[int, typer.Option("--processes", min=1, help="How many processes answer.")] = 1,
    grpc: Annotated[
        int | None,
        typer.Option("--grpc", metavar="PORT", min=1, max=65_535, help="Answer over gRPC on this port."),
    ] = None,
    tls: Annotated[
        tuple[Path, Path] | None, typer.Option("--tls", metavar="CERT KEY", help="Certificate and key.")
    ] = None,
) -> None:
    """Answer requests with the models of an environment, and follow it from then on.

    What is promoted or rolled back answers from the next request on. SIGTERM and Ctrl-C end it in good order. With the
    variable HEADRACE_TOKEN set, callers must show that token; with HEADRACE_ADMIN_TOKEN too, metrics need that one.
    HEADRACE_ACCESS_LOG names a file for a line of JSON about each request (-: standard output).

    Example: headrace serve prod
    """
    from headrace.project.serving import ACCESS_LOG, Where, serve

    certificate, key = (None, None) if tls is None else map(str, tls)
    where = Where(host, port, processes, certificate, key, grpc, os.environ.get(ACCESS_LOG))
    serve(cli.workspace, environment or cli.workspace.settings.environment, where, cli.out.say)

"""`diff` and `profile`: how two environments differ, and what the columns of a node hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.exits import Exit
from headrace.cli.pages import write_page
from headrace.cli.session import Session

Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the profile as an HTML file.")]


def diff(
    cli: Session,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="An environment, ENV@KEY, or the key of a version.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="What it is compared with, spelled in the same way.")],
    nodes: Annotated[list[str] | None, typer.Argument(metavar="NODE", help="Only these nodes.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many rows of each kind are shown.")] = 3,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 5 when something differs.")] = False,  # noqa: FBT002
) -> int:
    """How two environments, or two versions, differ: node by node and row by row.

    Nodes with the same version are the same; nothing is read of them. Rows of a table are compared by the key of its
    contract, or as whole rows. ENV@KEY is a version that an environment once had; a key may be cut to its beginning.

    Signs: + only in the second, - only in the first, ~ changed, = the same.

    Example: headrace diff prod dev orders
    """
    from headrace.cli.difference_lines import difference_lines
    from headrace.project.difference import difference

    found = difference(cli.workspace, before, after, nodes or (), limit=limit)
    if cli.out.as_json:
        cli.out.json(found.to_json())
    else:
        cli.out.data(*difference_lines(found))
    return Exit.FOUND if exit_code and found.differs else Exit.DONE


def profile(
    cli: Session,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A source, a table or a feature view.")],
    environment: Annotated[
        str | None, typer.Argument(metavar="ENV", help="The environment; the main one if left out.")
    ] = None,
    html: Html = None,
) -> None:
    """What the columns of a node hold: types, nulls, quantiles, top values, histograms.

    Counts, extremes, means and deviations are exact. Different values and top values are exact up to 10,000 different
    values, quantiles up to 200 values; beyond, they are close.

    Example: headrace profile orders
    """
    from headrace.cli.profile_lines import profile_lines
    from headrace.project.opened import Environment
    from headrace.project.profile_page import page
    from headrace.project.table_profile import profile_of

    found = profile_of(Environment(cli.workspace, cli.environment(environment)), node)
    if html is not None:
        write_page(cli.out, html, page(found))
    if cli.out.as_json:
        cli.out.json(found.to_json())
    elif html is None:
        cli.out.data(*profile_lines(found))

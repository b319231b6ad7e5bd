"""`notify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from headrace.cli.output import columns
from headrace.cli.session import Session

if TYPE_CHECKING:
    from headrace.project.settings import Channel

Name = Annotated[str | None, typer.Argument(metavar="CHANNEL", help="Send a test to this one.")]


def notify(cli: Session, channel: Name = None) -> None:
    """List who is told of what happens, or send a test.

    Channels are declared in headrace.toml. `headrace up` tells them of failures and recoveries, refused gates,
    quarantined rows, roll-outs, monitors, and nodes that are held.

    Example: headrace notify team
    """
    from headrace.project.announcing import try_channel

    if channel is not None:
        try_channel(cli.workspace, channel)
        cli.out.say(f"The test has reached {channel}.")
        return
    found = cli.workspace.settings.notify
    if cli.out.as_json:
        cli.out.json([{**asdict(each), "to": _shown(each)} for each in found])
    elif not found:
        cli.out.data("Nobody is told. Declare a channel in headrace.toml: [notify.team], to = ...")
    else:
        rows = [(each.name, _shown(each), each.at_least, ", ".join(each.only) or "everything") for each in found]
        cli.out.data(*columns(rows, ("CHANNEL", "TO", "AT LEAST", "ONLY")))


def _shown(channel: Channel) -> str:
    """An address without what may be a secret in it: the scheme, and of a webhook the host."""
    parts = urlsplit(channel.to)
    if parts.scheme == "log":
        return channel.to
    return f"{parts.scheme}://{parts.hostname}" if parts.scheme in ("http", "https") else f"{parts.scheme}://..."

"""`gc`, `doctor`, `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.diagnosis import diagnose
from headrace.cli.exits import Exit
from headrace.cli.output import columns, counted, moment, short, size
from headrace.cli.session import Session
from headrace.ports.durations import duration, spell
from headrace.ports.failpoints import FAILPOINTS

if TYPE_CHECKING:
    from headrace.runtime.collect import Garbage


def gc(
    cli: Session,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="TIME", help="Keep what was made or in use within this time; else as set."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,  # noqa: FBT002
) -> None:
    """Show what nothing needs any more; remove it with --yes.

    Kept is what an environment points to or started from, what it pointed to within the time, what was made within
    it, and whatever all of that was made from. With --yes, tables that lie in several small files are laid into fewer
    ones first.

    Example: headrace gc --keep 7d
    """
    kept = None if keep is None else duration(keep)
    compacted = cli.workspace.compact() if yes else []
    garbage = cli.workspace.collect(kept) if yes else cli.workspace.garbage(kept)
    if cli.out.as_json:
        told = [{"node": each.node, "key": each.key, "outputs": list(each.outputs)} for each in compacted]
        cli.out.json({**garbage.to_json(), "removed": yes, "compacted": told})
        return
    cli.out.data(*(f"  ~ {each.node}: its rows lie in fewer files" for each in compacted))
    rows = [(each.node, short(each.key), moment(each.made_at)) for each in garbage.versions]
    cli.out.data(*(f"  - {line}" for line in columns(rows)), _told(garbage, removed=yes))
    if garbage.size and not yes:
        within = "" if kept is None else f" --keep {spell(kept)}"
        cli.out.say(f"Nothing is removed yet: headrace gc{within} --yes")


def _told(garbage: Garbage, *, removed: bool) -> str:
    places = len(garbage.tables) + len(garbage.artefacts) + len(garbage.generations)
    if not places and not garbage.versions and not garbage.manifests:
        return "Nothing to remove."
    verb = "Removed" if removed else "Not needed"
    things = f"{counted(len(garbage.tables), 'table')}, {counted(len(garbage.artefacts), 'file')}"
    if garbage.generations:
        things += f", {counted(len(garbage.generations), 'generation')} of the online store"
    return f"{verb}: {counted(len(garbage.versions), 'version')}, {things}, {size(garbage.size)}."


def doctor(
    cli: Session,
    failpoints: Annotated[  # noqa: FBT002
        bool, typer.Option("--failpoints", help="List the points at which HEADRACE_FAILPOINT can end a process.")
    ] = False,
) -> int:
    """Check the installation, the ledger and the stored data.

    Verifies the hash chain of the ledger and every file that an environment points to, and looks for what crashes
    left behind. Changes nothing.

    Example: headrace doctor
    """
    if failpoints:
        _list_failpoints(cli)
        return Exit.DONE
    findings = diagnose(cli.workspace)
    healthy = all(finding.fine for finding in findings)
    if cli.out.as_json:
        cli.out.json({"healthy": healthy, "findings": [finding.to_json() for finding in findings]})
        return Exit.DONE if healthy else Exit.FOUND
    signs = {True: "=", False: "x"}
    lines = columns([(signs[finding.fine], finding.about, finding.text) for finding in findings])
    for line, finding in zip(lines, findings, strict=True):
        cli.out.data(f"  {line[:1]} {line[3:]}", *([f"      fix: {finding.fix}"] if finding.fix else []))
    cli.out.data("All is well." if healthy else "Something is wrong: see the lines with x.")
    return Exit.DONE if healthy else Exit.FOUND


def _list_failpoints(cli: Session) -> None:
    if cli.out.as_json:
        cli.out.json(list(FAILPOINTS))
    else:
        cli.out.data(*FAILPOINTS)


def backup(
    cli: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the copy of the ledger.")],
) -> None:
    """Write a copy of the ledger while others go on working.

    Copy the folder `store` after it: everything that a ledger refers to exists by the time it is recorded.

    Example: headrace backup ledger.backup
    """
    cli.workspace.ledger.backup(file)
    if cli.out.as_json:
        cli.out.json({"file": str(file), "bytes": file.stat().st_size})
    else:
        cli.out.data(f"{file}: {size(file.stat().st_size)}. Copy {cli.workspace.settings.store} after it.")


def restore(
    cli: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `headrace backup` wrote.")],
) -> None:
    """Fill an empty ledger from a backup, of the same or of another kind of database.

    Example: headrace restore ledger.backup
    """
    entries = cli.workspace.restore(file)
    if cli.out.as_json:
        cli.out.json({"file": str(file), "entries": entries})
    else:
        cli.out.data(f"Restored: {entries:,} entries, the hash chain holds.")

"""Reports that are written as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.cli.output import Output


def write_page(out: Output, file: Path, text: str) -> None:
    """Write a page, and tell where it is. Raises HR929 where it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HeadraceError("HR929", f"{file}: {error.strerror}") from error
    out.say(f"Written to {file}")

"""Names and references as paths below a store's root, never outside of it."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from headrace.errors import HeadraceError
from headrace.ports.records import Ref

_LONGEST = 120  # bytes; file systems take 255, and temporary names are longer than lasting ones


def place_of(root: Path, ref: Ref | str, store: str | None = None) -> Path:
    """Where a reference, or a `Ref.path`, lies.

    Raises:
        HeadraceError: HR639 for a reference to another store, and for a path that leads out of the root.
    """
    path = ref.path if isinstance(ref, Ref) else ref
    if isinstance(ref, Ref) and ref.store != store:
        raise HeadraceError("HR639", f"{path} lies in the store {ref.store!r}, not in {store!r}")
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or any(part.startswith(".") for part in parts):
        raise HeadraceError("HR639", f"{path!r} is no path of a store")
    return Path(root, *parts)


def safe_name(name: str) -> str:
    """A name of one folder or file for any text: equal for equal texts, different for different ones."""
    text = quote(name, safe=" +,=@")
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return text or "%"

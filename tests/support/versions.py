"""Versions of very many batches, which the stores keep in pieces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.ports import pieces
from headrace.ports.mappings import listed, pieced
from headrace.ports.records import REFS, Manifest, Ref
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    import pytest

    from headrace.ports.records import Version


def large_version_of(number: int, batches: int = 200, **changes: object) -> Version:
    """A version of so many batches; those that two have in common lie in the same pieces."""
    names = [f"data/{batch:06}.csv" for batch in range(batches)]
    plain = version_of(number)
    manifest = Manifest(
        plain.key,
        pieced({name: Ref("artefact", f"ab/{name}", "d" * 64) for name in names}, REFS),
        {
            "rows": batches,
            "batches": pieced({name: {"rows": 1, "text": "é"} for name in names}),
            "layout": listed([[name, 1] for name in names]),
        },
    )
    version = replace(plain, manifest=manifest, batches=pieced(dict.fromkeys(names, "digest")))
    return replace(version, **changes)  # type: ignore[arg-type]


def forget_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this were another process: no piece is at hand."""
    monkeypatch.setattr(pieces, "_KEPT_PIECES", type(pieces._KEPT_PIECES)())  # noqa: SLF001

"""Checks a ledger: that its chain is whole, and that its tables hold what follows from the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ledger.chain import GENESIS, decoded, hash_of
from headrace.ledger.replay import TABLES, Entry, Replay
from headrace.ports.pieces import below, checked, is_piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.ports.ledger import Connection
    from headrace.ports.records import Json

_SHOWN = 3


def verify(connection: Connection, statements: Mapping[str, str]) -> int:
    """Check all of it; answers the number of entries.

    Raises:
        HeadraceError: HR605 with the entry at which the chain breaks, HR606 with the rows that do not follow from it,
            or the piece of a version that is missing or damaged.
    """
    replay = Replay()
    head = (0, GENESIS)
    named: set[str] = set()
    for seq, at, kind, body, previous, digest in connection.stream(statements["all_entries"]):
        if seq != head[0] + 1:
            raise HeadraceError("HR605", f"entry {head[0] + 1} is missing")
        if previous != head[1] or digest != hash_of(head, at, kind, body):
            raise HeadraceError("HR605", f"entry {seq} ({kind}, {at}) was changed, or one before it")
        data = decoded(body)
        replay.apply(Entry(seq, at, kind, data))
        if kind in ("version", "relocate"):
            named.update(_roots(data))
        head = (seq, digest)
    _verify_pieces(named, connection.stream(statements["all_pieces"]))
    for table, columns in TABLES.items():
        present = set(connection.rows(f"SELECT {', '.join(columns)} FROM {table}"))  # noqa: S608 - names from this package
        _compare(table, present, replay.rows(table))
    return head[0]


def _roots(version: Json) -> Iterator[str]:
    """The digests of the pieces that the entry of a version names."""
    for of in (version, version["manifest"]):
        for _, _, digest, _ in of.get("pieces", {}).values():
            yield digest


def _verify_pieces(named: set[str], pieces: Iterator[tuple[str, str]]) -> None:
    """Every piece must be what its digest says, and each that is named must be there."""
    present: set[str] = set()
    damaged: dict[str, str | None] = {}
    for digest, body in pieces:
        present.add(digest)
        if is_piece(digest, body):
            named.update(below(body))
        else:
            damaged[digest] = body
    damaged.update(dict.fromkeys(sorted(named - present)))
    for digest, found in damaged.items():
        checked(digest, found)


def _compare(table: str, present: set[tuple[object, ...]], expected: set[tuple[object, ...]]) -> None:
    if present == expected:
        return
    extra, missing = present - expected, expected - present
    said = [f"has {_spell(extra)}" if extra else "", f"lacks {_spell(missing)}" if missing else ""]
    raise HeadraceError("HR606", f"the table {table} {' and '.join(filter(None, said))}")


def _spell(rows: set[tuple[object, ...]]) -> str:
    shown = sorted(" ".join(str(value)[:40] for value in row) for row in rows)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return "; ".join(f"({row})" for row in shown[:_SHOWN]) + more

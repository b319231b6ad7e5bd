"""The hash chain: each entry's hash covers the entry and the hash of the one before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.ports.records import Json

GENESIS = "0" * 64
"""What the first entry has instead of a hash before it."""


class RefusalError(HeadraceError):
    """An item that the ledger refuses: it leaves no trace, and the other items are not affected."""


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    if isinstance(value, Mapping):
        return dict(value)
    message = f"{value!r:.80} of type {type(value).__name__} is no JSON"
    raise TypeError(message)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode


def decoded(text: str) -> Json:
    """Data from canonical JSON. Raises HR606 for what the ledger cannot have written."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise HeadraceError("HR606", f"a row holds what is no JSON: {error}") from error


def encoded(data: Json) -> str:
    """Canonical JSON: sorted names, no white space, ASCII. Refuses with HR601 what is not JSON."""
    try:
        return _encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise RefusalError("HR601", f"not plain data: {error}") from error


def hash_of(head: tuple[int, str], at: str, kind: str, body: str) -> str:
    """The hash of the entry that follows `head` (sequence number and hash): SHA-256 of its fields as a JSON list."""
    seq, previous = head
    return sha256(f'[{seq + 1},"{at}","{kind}",{body},"{previous}"]'.encode()).hexdigest()

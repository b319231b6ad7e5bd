"""What tells two contents of an object apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_SETTLED = timedelta(seconds=2)
"""An object that was changed less than this ago may change again with the same time."""


def mark_of(etag: object, changed: object) -> str:
    """The ETag; else the time of the last change, where it is long enough ago; else nothing."""
    if etag:
        return str(etag).strip('"')
    if isinstance(changed, int | float):
        changed = datetime.fromtimestamp(changed, UTC)
    if not isinstance(changed, datetime):
        return str(changed) if changed else ""
    at = changed if changed.tzinfo is not None else changed.replace(tzinfo=UTC)
    return at.isoformat() if at + _SETTLED < datetime.now(UTC) else ""

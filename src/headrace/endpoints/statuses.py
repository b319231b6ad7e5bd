"""Which HTTP status an error has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headrace.errors import HeadraceError

STATUSES: Final = {
    "HR456": 422,
    "HR470": 503,
    "HR471": 503,
    "HR472": 503,
    "HR475": 422,
    "HR476": 422,
    "HR518": 422,
    "HR901": 404,
    "HR902": 503,
    "HR903": 404,
    "HR904": 400,
    "HR905": 415,
    "HR906": 413,
    "HR907": 413,
    "HR908": 422,
    "HR909": 422,
    "HR910": 422,
    "HR911": 401,
    "HR912": 403,
    "HR913": 429,
    "HR914": 503,
    "HR915": 400,
    "HR916": 404,
    "HR917": 405,
    "HR918": 422,
    "HR919": 503,
    "HR920": 400,
    "HR921": 400,
    "HR922": 400,
    "HR923": 400,
    "HR926": 400,
    "HR932": 422,
}


def status_of(error: HeadraceError) -> int:
    """The status; 503 for an error that no caller can do anything about."""
    return STATUSES.get(error.code, 503)

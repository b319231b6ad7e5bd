"""Who may ask what: a token to predict, and one to see and steer the server besides."""

from __future__ import annotations

import hmac
from hashlib import sha256

from headrace.errors import HeadraceError


class Access:
    """The tokens of a server. None or empty: no such token.

    Whoever shows the `admin` token may do everything. Where there is none, the `predict` token is enough for that;
    where there is neither, everyone may.
    """

    def __init__(self, predict: str | None = None, admin: str | None = None) -> None:
        self._predict = _digest(predict)
        self._admin = _digest(admin or predict)

    @property
    def asks(self) -> bool:
        """Whether anybody has to show a token."""
        return self._admin is not None

    def check(self, authorization: bytes, *, admin: bool = False) -> None:
        """Refuse a caller by the header Authorization; how long it takes tells nothing about the tokens.

        Raises:
            HeadraceError: HR911 without a token that is known, HR912 where the admin token is needed.
        """
        if self._admin is None:
            return
        scheme, _, token = authorization.partition(b" ")
        shown = sha256(token.strip()).digest()
        is_admin = hmac.compare_digest(shown, self._admin)
        predicts = hmac.compare_digest(shown, self._predict or self._admin)
        if scheme.lower() != b"bearer" or not (is_admin or predicts):
            raise HeadraceError("HR911", "the request shows no token, or a wrong one")
        if admin and not is_admin:
            raise HeadraceError("HR912", "the token that the request shows is for predictions only")


def _digest(token: str | None) -> bytes | None:
    return sha256(token.encode()).digest() if token else None

"""Tokens: who may predict, who may see and steer the server, and that comparing them tells nothing about them."""

from __future__ import annotations

import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import access
from headrace.endpoints.access import Access
from headrace.errors import HeadraceError

TOKENS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=9)


def refusal(guard: Access, token: str | None, *, admin: bool) -> str | None:
    """The code that a caller is refused with."""
    try:
        guard.check(b"" if token is None else f"Bearer {token}".encode(), admin=admin)
    except HeadraceError as error:
        return error.code
    return None


@given(predict=TOKENS, admin=TOKENS, shown=st.none() | TOKENS)
def test_each_token_opens_what_it_is_for(predict: str, admin: str, shown: str | None) -> None:
    guard = Access(predict, admin)
    assert refusal(guard, shown, admin=True) == (None if shown == admin else "HR912" if shown == predict else "HR911")
    assert refusal(guard, shown, admin=False) == (None if shown in (admin, predict) else "HR911")
    assert refusal(guard, predict, admin=False) is refusal(guard, admin, admin=True) is None


@pytest.mark.parametrize("nothing", [None, ""])
def test_one_token_is_for_everything(nothing: str | None) -> None:
    for guard in (Access("a", nothing), Access(nothing, "a")):
        assert refusal(guard, "a", admin=True) is refusal(guard, "a", admin=False) is None
        assert refusal(guard, "b", admin=True) == refusal(guard, None, admin=False) == "HR911"
    assert refusal(Access(nothing, nothing), None, admin=True) is None


@pytest.mark.parametrize("header", [b"a", b"Basic a", b"Bearer", b"Bearer: a", b"\xff a"])
def test_another_scheme_is_refused(header: bytes) -> None:
    with pytest.raises(HeadraceError, match="HR911"):
        Access("a").check(header)


def test_comparing_takes_as_long_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the first wrong byte stands and however long a token is, digests of one length are compared, both."""
    compared: list[int] = []

    def compare(shown: bytes, kept: bytes) -> bool:
        compared.append(len(shown) + len(kept))
        return hmac.compare_digest(shown, kept)

    monkeypatch.setattr(access, "hmac", type("Spy", (), {"compare_digest": staticmethod(compare)}))
    guard = Access("predict", "admin")
    for token in ("predict", "admin", "predicT", "x" * 9_999, ""):
        refusal(guard, token, admin=False)
    assert compared == [64] * 10


def test_an_error_holds_no_token() -> None:
    with pytest.raises(HeadraceError) as refused:
        Access("s3cret").check(b"Bearer guess")
    assert not re.search("s3cret|guess", str(refused.value))

"""Plain HTTP to a server that a benchmark has started on 127.0.0.1."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = 30.0


def call(url: str, token: str | None = None, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
    """GET, or POST when there is a body. Returns the answer, which is JSON.

    Raises:
        urllib.error.URLError: The server is not there, or its answer is an error.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - only ever our own http:// address
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
        return json.load(answer)


def answers(url: str, token: str | None = None) -> bool:
    """Whether the server is there and has what is asked for."""
    try:
        call(url, token)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True

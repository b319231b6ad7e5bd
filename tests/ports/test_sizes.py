"""Sizes as users write them."""

from __future__ import annotations

import pytest

from headrace.ports.sizes import size


@pytest.mark.parametrize(
    ("text", "bytes_"), [("512MiB", 512 * 2**20), ("2GiB", 2**31), ("1.5GB", 1_500_000_000), ("7", 7), (" 3 kB ", 3000)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "2 gib", "-1GiB", "1 GiB 2 MiB", "GiB", "1PB"])
def test_texts_that_are_no_size(text: str) -> None:
    assert size(text) is None

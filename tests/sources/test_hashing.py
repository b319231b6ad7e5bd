"""A digest is the same however the bytes come, and that of a file of one block is its SHA-256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.sources import hashing
from headrace.sources.hashing import Hashing, digest_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "BLOCK", 7)
    monkeypatch.setattr(hashing, "_READ", 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=20), max_size=5))
def test_it_does_not_matter_in_which_pieces_a_file_is_read(tmp_path: Path, pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    (tmp_path / "file").write_bytes(content)
    counted = Hashing()
    for piece in pieces:
        counted.update(piece)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert digest_of(file) == counted.hexdigest()
    plain = hashlib.sha256(content).hexdigest()
    assert (counted.hexdigest() == plain) == (len(content) <= 7)


def test_a_byte_in_any_block_tells_files_apart(tmp_path: Path) -> None:
    found = set()
    for place in range(30):
        content = bytearray(30)
        content[place] = 1
        (tmp_path / "file").write_bytes(content)
        with (tmp_path / "file").open("rb", buffering=0) as file:
            found.add(digest_of(file))
    assert len(found) == 30

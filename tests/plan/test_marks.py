"""Marks: which batches are not simply what the present code makes, and how a plan carries them over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.plan.marks import carried, digest_of, is_kept, mark_of, seen
from headrace.ports.records import Manifest, Version

MARKS = st.sampled_from(["", "#1", "#27", f"@{'a' * 16}", f"@{'0' * 16}"])
DIGESTS = st.text("0123456789abcdef", min_size=1, max_size=64)


def version(fingerprint: str, **batches: str) -> Version:
    return Version("0123456789abcdef" * 4, "t", "table", fingerprint, (), Manifest("k"), batches=batches)


@given(DIGESTS, MARKS)
def test_an_identity_is_a_digest_and_a_mark(digest: str, mark: str) -> None:
    identity = f"{digest}{mark}"
    assert (digest_of(identity), mark_of(identity), is_kept(identity)) == (digest, mark, mark.startswith("@"))


@pytest.mark.parametrize("identity", ["", "#", "@", "a#b", "a@"])
def test_what_is_no_mark(identity: str) -> None:
    assert mark_of(identity) == ""


def test_marks_are_carried_over_and_a_changed_batch_loses_its_own() -> None:
    pointed = version("f", a="1", b="2#1", c="3@x", d="4")
    plain = {"a": "1", "b": "2", "c": "9", "e": "5"}
    assert carried(plain, pointed, moved=False) == {"b": "#1"}
    assert carried(plain, pointed, moved=True) == {"a": "@0123456789abcdef", "b": "@0123456789abcdef"}
    assert carried({"c": "3"}, pointed, moved=True) == {"c": "@x"}, "it stays as still earlier code made it"


def test_earlier_code_is_seen_as_what_stays_of_it() -> None:
    earlier = version("old", a="1", b="2#1", c="3@x")
    kept = {"a": "1@0123456789abcdef", "b": "2@0123456789abcdef", "c": "3@x"}
    assert seen(earlier, kept, "new").batches == kept
    assert seen(earlier, {"a": "1"}, "new").batches == {}, "nothing of it is to stay"
    assert seen(earlier, kept, "old") is earlier

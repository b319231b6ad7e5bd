"""The identity of an observation depends on its batches, whatever was observed before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.ports.identities import identity
from headrace.ports.mappings import pieced
from headrace.ports.records import Batch, Observation

CHANGES = st.lists(st.dictionaries(st.integers(0, 90), st.sampled_from(["", "a", "b"]), max_size=60), max_size=6)


@given(CHANGES)
def test_the_identity_is_that_of_the_batches(changes: list[dict[int, str]]) -> None:
    there: dict[str, Batch] = {}  # batches that stay the same stay the same objects, as an observation has them
    for change in changes:
        for number, digest in change.items():
            name = f"{number:03}"
            if digest:
                there[name] = Batch(name, digest, 1)
            else:
                there.pop(name, None)
        batches = [there[name] for name in sorted(there)]
        wanted = pieced({batch.id: batch.digest for batch in batches})
        assert identity("node", batches) == wanted
        assert Observation("node", tuple(batches)).identity() == wanted

"""What crosses the pipe to a worker: everything once, and of mappings in pieces only what did not cross before."""

from __future__ import annotations

from contextlib import contextmanager
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from headrace.ports.mappings import changed, pieced
from headrace.runtime import link
from headrace.runtime.link import Link
from tests.support.versions import forget_pieces, large_version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@contextmanager
def pair() -> Iterator[tuple[Link, Link]]:
    ours, theirs = Pipe()
    with ours, theirs:
        yield Link(ours), Link(theirs)


def sent(one: Link, other: Link, value: object, monkeypatch: pytest.MonkeyPatch, *, anew: bool = False) -> int:
    """Send an object, compare what arrives; answers how many pieces crossed."""
    before = len(one._crossed)  # noqa: SLF001
    one.send(value, anew=anew)
    forget_pieces(monkeypatch)  # the other end is another process
    assert other.recv() == value
    assert one._crossed == other._crossed  # noqa: SLF001
    return len(one._crossed) - before  # noqa: SLF001


def test_a_version_arrives_and_its_pieces_cross_once(monkeypatch: pytest.MonkeyPatch) -> None:
    version = large_version_of(1)
    with pair() as (engine, worker):
        assert sent(engine, worker, version, monkeypatch) > 40
        assert sent(engine, worker, {"again": version}, monkeypatch) == 0
        assert sent(worker, engine, version.manifest, monkeypatch) == 0
        more = changed(version.batches, {"data/000200.csv": "digest"})
        assert 1 <= sent(worker, engine, more, monkeypatch) <= 3
        assert sent(engine, worker, more, monkeypatch) == 0


def test_both_ends_begin_anew_when_much_has_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_MOST", 20_000)
    with pair() as (engine, worker):
        held = []
        for number in range(20):
            value = pieced({f"{number}-{name}": name for name in range(300)})
            sent(engine, worker, value, monkeypatch, anew=True)
            engine.send(value)
            held.append((worker.recv(), value))
            assert engine._bytes < 40_000  # noqa: SLF001
        forget_pieces(monkeypatch)
        assert all(mine == theirs for mine, theirs in held), "what was received is whole all the same"

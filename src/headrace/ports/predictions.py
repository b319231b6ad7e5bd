"""Where answered predictions are written down: segments, each appended to by one process until it is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ENDING: Final = ".predictions"


def predictions_name(endpoint: str) -> str:
    """The name of the table that holds what an endpoint answered. No node of a pipeline can take it: it has a dot."""
    return endpoint + _ENDING


def is_predictions(node: str) -> bool:
    """Whether a pointer is to answered predictions: records of one environment, which no pipeline declares."""
    return node.endswith(_ENDING)


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment that nobody writes any more, with its size in bytes."""

    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """What dead writers left: how many segments, and how many of them ended in half a line, which was cut off."""

    segments: int = 0
    torn: int = 0


class Segment(Protocol):
    """A segment under construction. It belongs to the process that began it; one thread writes at a time."""

    @property
    def id(self) -> str:
        """The name of the segment."""

    @property
    def size(self) -> int:
        """Bytes written."""

    def write(self, line: bytes) -> None:
        """Append a whole line by one write; the death of the process does not undo it. Raises OSError: nothing is."""

    def sync(self) -> None:
        """Have what was written survive a power cut. Raises OSError."""

    def seal(self) -> None:
        """Sync, and let nobody write any more. An empty segment vanishes. Raises OSError: then it is an orphan."""


class Segments(Protocol):
    """The segments of one environment. Every method may be called from any process."""

    def begin(self, segment: str) -> Segment:
        """Begin a segment. Raises HR636 where the disk is full, HR637 where it cannot be written, else OSError."""

    def seal_orphans(self) -> Orphans:
        """Seal the segments whose writers are dead."""

    def sealed(self) -> Sequence[SealedSegment]:
        """The sealed segments, oldest first."""

    def all(self) -> Sequence[str]:
        """The ids of all segments, those under construction first."""

    def content(self, segment: str) -> bytes | None:
        """The whole lines of a segment, sealed or not; None where there is none of this id."""

    def remove(self, segments: Iterable[str]) -> None:
        """Remove sealed segments, durably; removing what is not there is no error."""

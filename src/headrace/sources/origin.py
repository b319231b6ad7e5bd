"""What a source needs to know of the thing that its rows come from: files, a database, a function, another project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.ports.outside import Outlook, Outside
    from headrace.ports.records import Batch, Facts, Observation, Ref, Version
    from headrace.ports.work import Context
    from headrace.sources.peeking import Peek


@dataclass(frozen=True, slots=True)
class Landing:
    """A batch that lies in the store as Parquet: where, its columns in order with their types, and how many rows.

    `facts` are kept with the batch in every version that has it.
    """

    ref: Ref
    schema: Mapping[str, str]
    rows: int
    facts: Facts = field(default_factory=dict)


class Origin(Protocol):
    """Where rows come from. It holds what was declared, and nothing else: it is pickled, and made again at will."""

    def settings(self) -> Mapping[str, object]:
        """What of the declaration decides the rows that are made of a batch."""

    def functions(self) -> Sequence[Callable[..., object]]:
        """The user's code that decides the rows."""
        return ()

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """Every batch that there is now, with the digest of its content, sorted by id.

        What may have changed when it is landed is put into the store here, and the location of the batch tells where.
        """

    def settled(
        self,
        observation: Observation,
        before: Version | None,  # noqa: ARG002 - the rule by default needs nothing of it
        excluded: frozenset[str],  # noqa: ARG002 - the same
    ) -> Observation:
        """What to make a version of, where `before` is published: by default just what was observed."""
        return observation

    @property
    def grows(self) -> bool:
        """Whether each batch only adds rows to those of the others."""
        return True

    def whole(self, frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        """The rows of a version, out of those of its batches in order."""
        import polars as pl

        return pl.concat(frames)

    def land(self, batch: Batch, context: Context) -> Landing:
        """Put the rows of an observed batch into the store. Called in a worker."""


@runtime_checkable
class Peeking(Protocol):
    """An origin whose batches can be looked at cheaply before they are landed."""

    def peek(self, batch: Batch, outside: Outside) -> Peek | None:
        """What can be seen of an observed batch; None where that is nothing."""


@runtime_checkable
class Placed(Protocol):
    """An origin that knows where a landed row stands in what people can look at, such as a line of a file."""

    def placing(self, batch: Batch, outside: Outside) -> Callable[[int], str]:
        """What tells that place, such as "line 17"; just the number of the row where it is not to be had any more."""

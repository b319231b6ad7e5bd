"""What every node of the graph is: a name, its inputs, its settings, and how it behaves.

The planner and the runtime see only this class; each stage derives its kinds of node from it (a table, a model).
Making a new kind of node needs no change outside of the stage that defines it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headrace.errors import HeadraceError
from headrace.ports.canonical import texts_in
from headrace.ports.durations import duration
from headrace.ports.mappings import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    import polars as pl

    from headrace.ports.outside import Foreseen, Outlook, Outside
    from headrace.ports.records import Decision, Manifest, Observation, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step


@dataclass(frozen=True, slots=True)
class Options:
    """How the runtime treats a node. None of it changes what is made, so none of it is part of the fingerprint.

    `retries` further tries after a failure, `backoff` before the first of them (doubled for each next one, one hour at
    most), `timeout` for one try (None: no limit). Durations are spelled "90s", "5m", "1h30m", or are a `timedelta`.
    """

    retries: int = 0
    backoff: str | timedelta = "1s"
    timeout: str | timedelta | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise HeadraceError("HR105", f"retries is {self.retries}")
        duration(self.backoff)
        if self.timeout is not None:
            duration(self.timeout)

    def pause(self, tried: int) -> float:
        """Seconds to wait before the next try, after `tried` tries."""
        return min(duration(self.backoff).total_seconds() * 2.0 ** (tried - 1), 3600.0)

    def limit(self) -> float | None:
        """Seconds that one try may take."""
        return None if self.timeout is None else duration(self.timeout).total_seconds()


class Node(ABC):
    """One node. `name` is unique in its pipeline; `inputs` are the nodes that it is made from, in order."""

    kind: ClassVar[str]
    verb: ClassVar[str] = "rebuild"
    semantics: ClassVar[int] = 1
    """Raised when this kind of node makes something else of the same code and settings: part of every key."""
    gated: bool = False
    goes_forward: bool = False
    """Whether rows can stay, batch by batch, that code made before it changed."""
    """Whether publishing a version may need a decision."""
    apart: bool = False
    """Whether it is then published in a wave of its own, with what is made from it: deciding takes long."""

    def __init__(self, name: str, inputs: Sequence[Node] = (), options: Options | None = None) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.options = options or Options()
        self.companions: tuple[Node, ...] = ()  # nodes that are wanted whenever this one is, and not made into it
        self.register: Callable[[Node], Node] | None = None  # set by the pipeline that the node is declared on

    @property
    def __headrace_node__(self) -> str:
        """Marks a handle in a user's code, so that the fingerprint takes its name and does not look inside."""
        return self.name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    @property
    def observes(self) -> bool:
        """Whether the node looks at the outside world before anything is planned."""
        return not self.inputs

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The user's code that decides what is made."""
        return ()

    def settings(self) -> Mapping[str, object]:
        """The settings that decide what is made: plain values (see `headrace.ports.canonical`)."""
        return {}

    def check(self) -> Sequence[HeadraceError]:
        """Mistakes that can be seen without data, beyond those that the constructor refuses."""
        return ()

    def check_sample(self, inputs: Mapping[str, Version], stores: Stores) -> Sequence[HeadraceError]:
        """Mistakes that a sample of data shows; `inputs` are the newest versions of the inputs, by name."""
        return ()

    def consequences(self) -> Sequence[str]:
        """What follows when a new version is published, for people who read a plan."""
        return ()

    def observe(self, outlook: Outlook) -> Observation | None:
        """What the outside world holds now; None for nodes that do not read it."""
        return None

    def foresee(self, observation: Observation, before: Version, outside: Outside) -> Sequence[Foreseen]:
        """What can be told cheaply of new batches, compared with a version made by the same code."""
        return ()

    def touched(self, columns: Mapping[str, frozenset[str]], versions: Mapping[str, Version]) -> frozenset[str]:
        """Which own columns may follow from columns of the inputs ("*": any); empty where none does.

        By default any, where the settings name one of them or the user's code may.
        """
        wanted = frozenset[str]().union(*columns.values())
        named = set(texts_in(dict(self.settings())))
        return frozenset({"*"}) if self.functions() or "*" in wanted or wanted & named else frozenset()

    def settled(self, observation: Observation, before: Version | None, excluded: frozenset[str]) -> Observation:
        """What to make a version of, where `before` is published: by default just what was observed."""
        return observation

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """The set of source batches that a version covers, from those of its inputs; empty unless incremental."""
        return {}

    def handed(self, step: Step) -> Step:
        """A step as its worker gets it: without what making it does not need."""
        return step

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The version to build on, out of the live ones of the same fingerprint; None to start afresh."""
        return None

    def decision_key(self, candidate: Version, champion: Version | None) -> str:
        """The key of the decision whether the candidate may replace the champion. Only called when gated."""
        message = f"{self!r} is not gated"
        raise TypeError(message)

    def decision_keys(self, candidate: Version, champion: Version | None) -> Sequence[str]:
        """The decisions that count here, the first that there is before the others; empty where none is needed."""
        return (self.decision_key(candidate, champion),)

    def decide(self, candidate: Version, champion: Version | None, context: Context) -> Decision:
        """Decide whether the candidate may replace the champion. Only called when gated."""
        message = f"{self!r} is not gated"
        raise TypeError(message)

    @abstractmethod
    def make(self, step: Step, context: Context) -> Manifest:
        """Make the version, durably, outputs first. The runtime stores the manifest that is returned."""


class RowsNode(Node):
    """A node whose versions are rows: a source, a table, a feature view."""

    def columns(self) -> Sequence[str] | None:
        """The column names where the declaration tells them; None where only the data does."""
        return None

    @abstractmethod
    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """The rows of a version."""

    def lies_in(self, version: Version) -> Ref | None:
        """The stored table that holds just these rows; None where reading them takes more than that."""
        return None


def nearest(wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
    """The live version from which the fewest batches have to be added or taken away, the newest one of equals.

    One of which less than half is wanted is none to build on. Of equals, one to which batches are only added is first.
    """
    best, least = None, None
    for version in live:
        there = shared(version.batches, wanted)
        gone = len(version.batches) - there
        cost = (len(wanted) - there + gone, gone)
        if there and there >= gone and (least is None or cost <= least):
            best, least = version, cost
    return best

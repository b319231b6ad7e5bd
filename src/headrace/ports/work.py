"""What the planner hands to the runtime (a step), and what the runtime hands to a node (a context)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from headrace.errors import HeadraceError
    from headrace.ports.outside import Outlook
    from headrace.ports.records import Decision, Manifest, Observation, Version
    from headrace.ports.stores import Stores


MEMORY: Final = 2 * 2**30
"""Bytes that the rows of one step may take at a time, where nothing else is set."""


class Action(StrEnum):
    """What a plan does with a node."""

    MAKE = "make"
    REUSE = "reuse"  # the version exists already (another environment made it): only the pointer moves
    DECIDE = "decide"  # the version exists; whether it may be published is not decided yet
    KEEP = "keep"
    HELD = "held"
    REFUSED = "refused"
    UNOBSERVED = "unobserved"  # what it is made of could not be looked at
    BLOCKED = "blocked"  # an input is refused or unobserved, so that nothing new can be made from it


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan: the key it must have, what it is made from, and why.

    `previous` is where the environment points now, `base` a version to build on, `batches` the set of source batches
    that the version covers, `seconds` and `rows` what past runs cost (None: never run). `error` is why the node could
    not be observed; `waits_for` are the nodes with an error that it is made from.
    """

    node: str
    key: str
    fingerprint: str
    inputs: tuple[tuple[str, str], ...]
    action: Action
    reason: str
    previous: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    batches: Mapping[str, str] = field(default_factory=dict)
    observation: Observation | None = None
    base: Version | None = None
    generation: int = 0
    champion: str | None = None
    seconds: float | None = None
    rows: int | None = None
    details: Sequence[str] = ()
    error: HeadraceError | None = None
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a node may use while it makes a version.

    `versions` are the pinned inputs by node name; `seed` derives from the key; `log` takes a line for `headrace logs`;
    `progress` takes (done, total). `memory` is how many bytes the rows of one step may take at a time.
    """

    key: str
    seed: int
    project: Path
    stores: Stores
    versions: Mapping[str, Version]
    log: Callable[[str], None]
    progress: Callable[[int, int], None]
    memory: int = MEMORY


class Body(Protocol):
    """How a node behaves. Stages implement it, the planner and the runtime call it; neither asks what kind it is."""

    @property
    def verb(self) -> str:
        """What making a version is called: "rebuild", "retrain". Printed, never tested."""

    @property
    def gated(self) -> bool:
        """Whether a version of this node may need a decision before it is published."""

    @property
    def apart(self) -> bool:
        """Whether what its gate lets through is published later than what needs no gate, in a wave of its own."""

    def observe(self, outlook: Outlook) -> Observation | None:
        """What the outside world holds now, for nodes that read it; None for nodes that do not."""

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The version to build on, out of the live ones of the same fingerprint."""

    def make(self, step: Step, context: Context) -> Manifest:
        """Make the version, durably, outputs first. Runs in a worker process."""

    def decide(self, candidate: Version, champion: Version | None, context: Context) -> Decision:
        """Whether the candidate may replace the champion. Runs in a worker process. Only called when gated."""

    def decision_key(self, candidate: Version, champion: Version | None) -> str:
        """The key of that decision, without making it. Pure."""

    def decision_keys(self, candidate: Version, champion: Version | None) -> Sequence[str]:
        """The decisions that count, that of a person before that one; empty where there is nothing to decide. Pure."""

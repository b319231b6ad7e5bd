"""What the tables of a ledger must hold, computed from its entries alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.ports.records import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.ports.records import Facts

Row = tuple[Any, ...]

TABLES: dict[str, tuple[str, ...]] = {
    "versions": ("key", "node", "entry", "collected"),
    "decisions": ("key", "candidate", "entry"),
    "environments": ("name", "base", "entry"),
    "pointers": ("environment", "node", "key"),
    "starts": ("environment", "node", "key"),
    "pointer_changes": ("entry", "environment", "node", "previous", "key", "reason", "run"),
    "holds": ("environment", "node", "reason", "since"),
    "exclusions": ("environment", "node", "batch"),
    "runs": ("id", "environment", "owner", "state", "started_at", "ended_at", "entry"),
    "signals": ("id", "kind", "subject", "at", "consumed"),
}
"""The tables that follow from the chain, with the columns that do. Attempts, leases and bodies are not among them."""


class Replay:
    """Applies entries in order, in memory."""

    def __init__(self) -> None:
        # Rows by their key, which is all columns that identify a row; the value is the rest of it.
        self._tables: dict[str, dict[Row, Row]] = defaultdict(dict)

    def apply(self, seq: int, at: str, kind: str, body: Facts) -> None:
        """Apply one entry. Raises HR606 for a kind that this program does not know."""
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise HeadraceError("HR606", f"entry {seq} is of the unknown kind {kind!r}")
        handler(self, seq, at, body)

    def rows(self, table: str) -> set[Row]:
        """The rows that a table must hold, in the columns of `TABLES`."""
        return {key + rest for key, rest in self._tables[table].items()}

    def _version(self, seq: int, _: str, body: Facts) -> None:
        self._tables["versions"][(body["key"],)] = (body["node"], seq, 0)

    def _decision(self, seq: int, _: str, body: Facts) -> None:
        self._tables["decisions"][(body["key"],)] = (body["candidate"], seq)

    def _collect(self, _: int, __: str, body: Facts) -> None:
        versions = self._tables["versions"]
        for key in body["keys"]:
            node, entry, _collected = versions.get((key,), (None, None, 0))
            versions[(key,)] = (node, entry, 1)

    def _environment(self, seq: int, _: str, body: Facts) -> None:
        name, base = body["environment"], body["base"]
        self._tables["environments"][(name,)] = (base, seq)
        for source, target in (
            ("pointers", "pointers"),
            ("pointers", "starts"),
            ("holds", "holds"),
            ("exclusions", "exclusions"),
        ):
            copied = {
                (name, *key[1:]): rest for key, rest in self._tables[source].items() if base is not None and key[0] == base
            }
            self._tables[target].update(copied)

    def _pointers(self, seq: int, at: str, body: Facts) -> None:
        environment = body["environment"]
        for node, previous, key in body["moves"]:
            self._set("pointers", environment, node, key)
            change = (previous, key, body["reason"], body["run"])
            self._tables["pointer_changes"][(seq, environment, node)] = change
        for node in body.get("held", ()):
            self._tables["holds"][(environment, node)] = (body["hold"], at)
        for node, key in body.get("starts", {}).items():
            self._set("starts", body["source"], node, key)
        if "started" in body:
            starts = self._tables["starts"]
            self._tables["starts"] = {row: rest for row, rest in starts.items() if row[0] != environment}
            for node, key in body["started"].items():
                self._set("starts", environment, node, key)

    def _set(self, table: str, environment: str, node: str, key: str | None) -> None:
        if key is None:
            self._tables[table].pop((environment, node), None)
        else:
            self._tables[table][environment, node] = (key,)

    def _release(self, _: int, __: str, body: Facts) -> None:
        for node in body["nodes"]:
            self._tables["holds"].pop((body["environment"], node), None)

    def _exclude(self, _: int, __: str, body: Facts) -> None:
        for batch in body["batches"]:
            row = (body["environment"], body["node"], batch)
            if body["include"]:
                self._tables["exclusions"].pop(row, None)
            else:
                self._tables["exclusions"][row] = ()

    def _run(self, seq: int, _: str, body: Facts) -> None:
        fixed = (body["environment"], body["owner"])
        self._tables["runs"][(body["id"],)] = (*fixed, body["state"], body["started_at"], body["ended_at"], seq)

    def _run_ended(self, seq: int, at: str, body: Facts) -> None:
        runs = self._tables["runs"]
        row = runs.get((body["run"],), (None, None, RunState.RUNNING.value, None, None, seq))
        runs[(body["run"],)] = (*row[:2], body["state"], row[3], at, row[5])

    def _signal(self, _: int, at: str, body: Facts) -> None:
        self._tables["signals"][(body["id"],)] = (body["kind"], body["subject"], at, 0)

    def _signal_consumed(self, _: int, __: str, body: Facts) -> None:
        signals = self._tables["signals"]
        signals[(body["id"],)] = (*signals.get((body["id"],), (None, None, None, 0))[:3], 1)


_HANDLERS: dict[str, Callable[[Replay, int, str, Facts], None]] = {
    "collect": Replay._collect,  # noqa: SLF001 - its own table of methods
    "decision": Replay._decision,  # noqa: SLF001
    "environment": Replay._environment,  # noqa: SLF001
    "exclude": Replay._exclude,  # noqa: SLF001
    "pointers": Replay._pointers,  # noqa: SLF001
    "release": Replay._release,  # noqa: SLF001
    "run": Replay._run,  # noqa: SLF001
    "run ended": Replay._run_ended,  # noqa: SLF001
    "signal": Replay._signal,  # noqa: SLF001
    "signal consumed": Replay._signal_consumed,  # noqa: SLF001
    "version": Replay._version,  # noqa: SLF001
}

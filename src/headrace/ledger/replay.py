"""What the tables of a ledger must hold, computed from its entries alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.errors import HeadraceError
from headrace.ports.records import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.ports.records import Facts

Row: TypeAlias = tuple[Any, ...]
Tables: TypeAlias = dict[str, dict[Row, Row]]
"""Rows by table and by the columns that identify them; the value is the rest of the row."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the chain, its body decoded."""

    seq: int
    at: str
    kind: str
    body: Facts


class Replay:
    """Applies entries in order, in memory."""

    def __init__(self) -> None:
        self._tables: Tables = defaultdict(dict)

    def apply(self, entry: Entry) -> None:
        """Apply one entry. Raises HR606 for a kind that this program does not know."""
        handler = _HANDLERS.get(entry.kind)
        if handler is None:
            raise HeadraceError("HR606", f"entry {entry.seq} is of the unknown kind {entry.kind!r}")
        handler(self._tables, entry)

    def rows(self, table: str) -> set[Row]:
        """The rows that a table must hold, in the columns of `TABLES`."""
        return {key + rest for key, rest in self._tables[table].items()}


def _version(tables: Tables, entry: Entry) -> None:
    tables["versions"][(entry.body["key"],)] = (entry.body["node"], entry.seq, 0)


def _decision(tables: Tables, entry: Entry) -> None:
    tables["decisions"][(entry.body["key"],)] = (entry.body["candidate"], entry.seq)


def _collect(tables: Tables, entry: Entry) -> None:
    versions = tables["versions"]
    for key in entry.body["keys"]:
        versions[(key,)] = (*versions.get((key,), (None, None, 0))[:2], 1)


def _environment(tables: Tables, entry: Entry) -> None:
    name, base = entry.body["environment"], entry.body["base"]
    tables["environments"][(name,)] = (base, entry.seq)
    if base is None:
        return
    for source, target in (("pointers", "starts"), *((each, each) for each in ("pointers", "holds", "exclusions"))):
        copied = {(name, *row[1:]): rest for row, rest in tables[source].items() if row[0] == base}
        tables[target].update(copied)


def _pointers(tables: Tables, entry: Entry) -> None:
    body = entry.body
    environment = body["environment"]
    for node, previous, key in body["moves"]:
        _set(tables["pointers"], environment, node, key)
        change = (previous, key, body["reason"], body["run"])
        tables["pointer_changes"][entry.seq, environment, node] = change
    for node in body.get("held", ()):
        tables["holds"][environment, node] = (body["hold"], entry.at)
    for node, key in body.get("starts", {}).items():
        _set(tables["starts"], body["source"], node, key)
    if "started" in body:
        others = {row: rest for row, rest in tables["starts"].items() if row[0] != environment}
        tables["starts"] = others | {(environment, node): (key,) for node, key in body["started"].items()}


def _set(table: dict[Row, Row], environment: str, node: str, key: str | None) -> None:
    if key is None:
        table.pop((environment, node), None)
    else:
        table[environment, node] = (key,)


def _release(tables: Tables, entry: Entry) -> None:
    for node in entry.body["nodes"]:
        tables["holds"].pop((entry.body["environment"], node), None)


def _exclude(tables: Tables, entry: Entry) -> None:
    body = entry.body
    for batch in body["batches"]:
        row = (body["environment"], body["node"], batch)
        if body["include"]:
            tables["exclusions"].pop(row, None)
        else:
            tables["exclusions"][row] = ()


def _run(tables: Tables, entry: Entry) -> None:
    body = entry.body
    rest = (*(body[name] for name in ("environment", "owner", "state", "started_at", "ended_at")), entry.seq)
    tables["runs"][(body["id"],)] = rest


def _run_ended(tables: Tables, entry: Entry) -> None:
    row = tables["runs"].get((entry.body["run"],), (None, None, RunState.RUNNING.value, None, None, None))
    tables["runs"][(entry.body["run"],)] = (*row[:2], entry.body["state"], row[3], entry.at, row[5])


def _signal(tables: Tables, entry: Entry) -> None:
    tables["signals"][(entry.body["id"],)] = (entry.body["kind"], entry.body["subject"], entry.at, 0)


def _signal_consumed(tables: Tables, entry: Entry) -> None:
    signals = tables["signals"]
    key = (entry.body["id"],)
    signals[key] = (*signals.get(key, (None, None, None, 0))[:3], 1)


_HANDLERS: dict[str, Callable[[Tables, Entry], None]] = {
    "collect": _collect,
    "decision": _decision,
    "environment": _environment,
    "exclude": _exclude,
    "pointers": _pointers,
    "release": _release,
    "relocate": _version,
    "run": _run,
    "run ended": _run_ended,
    "signal": _signal,
    "signal consumed": _signal_consumed,
    "version": _version,
}

"""Items about what was made and decided: versions, decisions, collection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.ledger.chain import RefusalError, encoded
from headrace.ledger.records import decision_of, version_of

if TYPE_CHECKING:
    from headrace.ledger.transaction import Transaction
    from headrace.ports.ledger import AddDecision, AddVersion, Collect, Relocate
    from headrace.ports.records import Decision, Lease, Version


def add_version(transaction: Transaction, item: AddVersion) -> Version:
    """Append a version unless its key has a live one; answers the one that the ledger holds."""
    version = item.version
    if item.lease is not None:
        require_lease(transaction, item.lease)
    body = encoded(version.to_json())
    values = {"key": version.key, "node": version.node, "entry": transaction.next_entry()}
    if not transaction.run("add_version", values):
        stored, collected = transaction.rows("version", {"key": version.key})[0]
        if not collected:
            return version_of((stored,), transaction.pieces_of)
        transaction.run("revive_version", values)
    transaction.keep(version.trees())
    transaction.append_text("version", body)
    return version


def relocate(transaction: Transaction, item: Relocate) -> bool:
    """Append a version anew, with its outputs where they are now; answers whether it was where it is expected."""
    found = transaction.rows("version", {"key": item.key})
    if not found or found[0][1]:
        return False
    version = version_of(found[0], transaction.pieces_of)
    if version.manifest.outputs != item.expected:
        return False
    left = {name: ref.to_json() for name, ref in item.expected.items() if item.outputs[name] != ref}
    facts = {**version.manifest.facts, "moved": {"at": transaction.at, "from": left}}
    moved = replace(version, manifest=replace(version.manifest, outputs=item.outputs, facts=facts))
    values = {"key": version.key, "node": version.node, "entry": transaction.next_entry()}
    transaction.run("revive_version", values)
    transaction.keep(moved.trees())
    transaction.append("relocate", moved.to_json())
    return True


def require_lease(transaction: Transaction, lease: Lease) -> None:
    """Refuse with HR603 unless exactly this lease is held now."""
    held = transaction.rows("lease", {"environment": lease.environment, "node": lease.node})
    if held and held[0][2] == lease.owner and held[0][4] == lease.fence:
        return
    now = f"run {held[0][3]} holds it" if held else "nobody holds it"
    where = f"{lease.node} in {lease.environment}"
    raise RefusalError("HR603", f"run {lease.run} no longer holds the lease of {where}: {now}")


def add_decision(transaction: Transaction, item: AddDecision) -> Decision:
    """Append a decision unless its key has one; answers the one that the ledger holds."""
    decision = item.decision
    body = encoded(decision.to_json())
    values = {"key": decision.key, "candidate": decision.candidate, "entry": transaction.next_entry()}
    if not transaction.run("add_decision", values):
        return decision_of(transaction.rows("decision", {"key": decision.key})[0])
    transaction.append_text("decision", body)
    return decision


def collect(transaction: Transaction, item: Collect) -> tuple[str, ...]:
    """Mark live versions as collected; answers the keys of those that were live."""
    keys = tuple(key for key in dict.fromkeys(item.keys) if transaction.run("collect_version", {"key": key}))
    if keys:
        transaction.append("collect", {"keys": keys})
    return keys

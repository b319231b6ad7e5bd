"""Which function applies which item."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.errors import HeadraceError
from headrace.ledger import making, moving, running
from headrace.ledger.chain import RefusalError
from headrace.ports import ledger as items
from headrace.ports.ledger import Answer

if TYPE_CHECKING:
    from headrace.ledger.transaction import Transaction
    from headrace.ports.ledger import Item

Handler: TypeAlias = Callable[["Transaction", Any], Any]

HANDLERS: dict[type, Handler] = {
    items.AddDecision: making.add_decision,
    items.AddVersion: making.add_version,
    items.Collect: making.collect,
    items.ConsumeSignal: running.consume_signal,
    items.CreateEnvironment: moving.create_environment,
    items.DropLease: running.drop_lease,
    items.EndAttempt: running.end_attempt,
    items.EndRun: running.end_run,
    items.Exclude: moving.exclude,
    items.MovePointers: moving.move_pointers,
    items.Promote: moving.promote,
    items.Rebase: moving.rebase,
    items.Release: moving.release,
    items.Relocate: making.relocate,
    items.SendSignal: running.send_signal,
    items.StartAttempt: running.start_attempt,
    items.StartRun: running.start_run,
    items.TakeLease: running.take_lease,
}


class DirtyError(Exception):
    """An item failed after it had written something: the transaction must be undone and done again with savepoints."""


def apply_fast(transaction: Transaction, item: Item) -> Answer:
    """Apply an item without a savepoint. Raises DirtyError where only a savepoint can undo what the item did."""
    touched = transaction.touched
    try:
        return Answer(HANDLERS[type(item)](transaction, item))
    except RefusalError as error:
        if transaction.touched != touched:
            raise DirtyError from error
        return Answer(error=error)
    except HeadraceError:
        raise  # the database cannot go on: the whole group fails
    except Exception as error:
        raise DirtyError from error


def apply_safely(transaction: Transaction, item: Item) -> Answer:
    """Apply an item inside a savepoint, so that whatever stops it leaves no trace; that is its answer."""
    try:
        with transaction.connection.savepoint():
            return Answer(HANDLERS[type(item)](transaction, item))
    except RefusalError as error:
        transaction.forget_head()
        return Answer(error=error)
    except HeadraceError:
        raise  # the database cannot go on: the whole group fails
    except Exception as error:  # noqa: BLE001 - whatever it is, the other items of the group are to go on
        transaction.forget_head()
        return Answer(error=_unrecordable(item, error))


def _unrecordable(item: Item, error: Exception) -> RefusalError:
    refusal = RefusalError("HR601", f"{type(item).__name__}: {type(error).__name__}: {error}")
    refusal.__cause__ = error
    return refusal

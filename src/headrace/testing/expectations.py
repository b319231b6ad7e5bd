"""What the conformance suites check with. It loads nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.ports.ledger import Answer


def expect(holds: bool, what: str) -> None:  # noqa: FBT001 - the condition is what the function is about
    """Fail the test with a sentence unless the condition holds; unlike `assert` it also works outside test modules."""
    if not holds:
        raise AssertionError(what)


def expect_coded(act: Callable[[], object], what: str) -> None:
    """Fail the test unless the action raises an error with a code."""
    try:
        act()
    except HeadraceError:
        return
    raise AssertionError(what)


def expect_code(answer: Answer, code: str) -> None:
    """Fail the test unless the answer is a refusal with this code."""
    expect(answer.error is not None and answer.error.code == code, f"refused with {code}, not {answer}")

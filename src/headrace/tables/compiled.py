"""Expressions of rules for an engine: as expressions of Polars, or of Narwhals for every other engine.

Both spell them alike, so that one translation serves both and a rule means the same everywhere.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from headrace.tables.expressions import COLUMN, VALUE
from headrace.tables.rules import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from headrace.tables.expressions import Expression

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "&": operator.and_,
    "|": operator.or_,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


def compiled(expression: Expression, engine: Any, floats: Collection[str]) -> Any:  # noqa: ANN401 - of either library
    """An expression for `engine`, which is the module `polars` or `narwhals`.

    What depends on a value that is not there is null. NaN in one of the columns `floats` is no value.
    """
    operation, parts = expression.operation, expression.parts
    if operation == COLUMN:
        found = engine.col(parts[0])
        return found.fill_nan(None) if parts[0] in floats else found
    if operation == VALUE:
        return engine.lit(parts[0])
    first = compiled(parts[0], engine, floats)
    if operation in _SINGLE:
        return _SINGLE[operation](first, *parts[1:])
    second = compiled(parts[1], engine, floats)
    if operation == "/":
        return first / engine.when(second != 0).then(second)
    return _OPERATORS[operation](first, second)


_SINGLE: Final[Mapping[str, Callable[..., Any]]] = {
    "in": lambda value, members: value.is_in(list(members)),
    "matches": lambda value, pattern: value.str.contains(whole(pattern)),
    "~": operator.invert,
    "is null": lambda value: value.is_null(),
    "is not null": lambda value: ~value.is_null(),
    "length": lambda value: value.str.len_chars(),
    "abs": lambda value: value.abs(),
}


def broken(expression: Expression, engine: Any, floats: Collection[str]) -> Any:  # noqa: ANN401 - of either library
    """Where what must hold does not; never null. What is not known holds."""
    if expression.operation == "is not null":  # the commonest rule by far: nothing to turn round
        return compiled(expression.parts[0], engine, floats).is_null()
    return (~compiled(expression, engine, floats)).fill_null(False)  # noqa: FBT003 - positional in both libraries

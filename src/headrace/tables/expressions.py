"""What a rule says of one row: `col("arrived_at") >= col("departed_at")`.

Expressions are plain data: they can be printed, compared and fingerprinted, and mean the same on every engine. A value
that is not there makes what is said of it unknown, and what is unknown breaks no rule. `is_null` asks for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from headrace.errors import HeadraceError, suggestion
from headrace.ports.durations import spell
from headrace.tables.measures import Measure
from headrace.tables.rules import check_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Value: TypeAlias = "str | int | float | bool | datetime | date | timedelta"

COLUMN, VALUE = "column", "value"
COMPARED = ("==", "!=", "<", "<=", ">", ">=")
_JOINED = ("&", "|")
_COUNTED = ("+", "-", "*", "/")
_KINDS: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    datetime: "a moment",
    date: "a day",
    timedelta: "a duration",
}
_OF_TYPES: Mapping[str, str] = {
    "String": "a text",
    "Int64": "a number",
    "Float64": "a number",
    "Boolean": "true or false",
    "Datetime": "a moment",
    "Date": "a day",
}
TEXT, NUMBER, TRUTH, MOMENT, SPAN = "a text", "a number", "true or false", "a moment", "a duration"
_ARITHMETIC: Mapping[tuple[str, str, str], str] = {
    **{(NUMBER, sign, NUMBER): NUMBER for sign in _COUNTED},
    (MOMENT, "-", MOMENT): SPAN,
    (MOMENT, "+", SPAN): MOMENT,
    (MOMENT, "-", SPAN): MOMENT,
    (SPAN, "+", SPAN): SPAN,
    (SPAN, "-", SPAN): SPAN,
}


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """Something that is computed of one row: a column, a value, or an operation on others.

    Compare with `==`, `<` and the like, count with `+ - * /` (division by zero is unknown), join what is true or false
    with `&`, `|` and `~`.
    """

    operation: str
    parts: tuple[Any, ...]

    __array_ufunc__ = None  # NumPy scalars leave comparisons to the methods below

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _both("==", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _both("!=", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Expression | Value) -> Expression:
        return _both("<", self, other)

    def __le__(self, other: Expression | Value) -> Expression:
        return _both("<=", self, other)

    def __gt__(self, other: Expression | Value) -> Expression:
        return _both(">", self, other)

    def __ge__(self, other: Expression | Value) -> Expression:
        return _both(">=", self, other)

    def __and__(self, other: Expression | bool) -> Expression:
        return _both("&", self, other)

    def __or__(self, other: Expression | bool) -> Expression:
        return _both("|", self, other)

    def __invert__(self) -> Expression:
        return Expression("~", (self,))

    def __add__(self, other: Expression | float | timedelta) -> Expression:
        return _both("+", self, other)

    def __radd__(self, other: float | timedelta) -> Expression:
        return _both("+", _operand(other), self)

    def __sub__(self, other: Expression | float | timedelta | datetime) -> Expression:
        return _both("-", self, other)

    def __rsub__(self, other: float | timedelta | datetime) -> Expression:
        return _both("-", _operand(other), self)

    def __mul__(self, other: Expression | float) -> Expression:
        return _both("*", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Expression | float) -> Expression:
        return _both("/", self, other)

    def __rtruediv__(self, other: float) -> Expression:
        return _both("/", _operand(other), self)

    def __bool__(self) -> NoReturn:
        raise HeadraceError("HR428", f"the truth of {self} was asked for")

    def is_null(self) -> Expression:
        """Whether there is no value (NaN is none either)."""
        return Expression("is null", (self,))

    def is_not_null(self) -> Expression:
        """Whether there is a value."""
        return Expression("is not null", (self,))

    def is_in(self, values: Iterable[Value]) -> Expression:
        """Whether it is one of these."""
        return Expression("in", (self, tuple(_value(each) for each in values)))

    def matches(self, pattern: str) -> Expression:
        """Whether the whole text fits a regular expression (in Rust's dialect: no look-around)."""
        return Expression("matches", (self, pattern))

    def length(self) -> Expression:
        """How many characters a text has."""
        return Expression("length", (self,))

    def abs(self) -> Expression:
        """A number without its sign."""
        return Expression("abs", (self,))

    def __str__(self) -> str:
        return _text(self)

    __repr__ = __str__

    def plain(self) -> list[object]:
        """The expression as plain data, for the fingerprint."""
        return [self.operation, *(each.plain() if isinstance(each, Expression) else each for each in self.parts)]

    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at, in the order in which they are named."""
        found = [self.parts[0]] if self.operation == COLUMN else []
        found += [name for each in self.parts if isinstance(each, Expression) for name in each.columns()]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ColumnOf(Expression):
    """A column of the row; its methods `mean`, `nulls` and the like measure the whole table."""

    def _measure(self, kind: str, argument: object = None) -> Measure:
        return Measure.named(kind, self.parts[0], argument)

    def nulls(self) -> Measure:
        """The share of rows without a value, from 0 to 1."""
        return self._measure("nulls")

    def mean(self) -> Measure:
        """The mean."""
        return self._measure("mean")

    def std(self) -> Measure:
        """The standard deviation (of a sample)."""
        return self._measure("std")

    def min(self) -> Measure:
        """The smallest value; of a moment, compared with a `datetime`."""
        return self._measure("min")

    def max(self) -> Measure:
        """The largest value; of a moment, compared with a `datetime`."""
        return self._measure("max")

    def distinct(self) -> Measure:
        """How many different values there are, nulls aside."""
        return self._measure("distinct")

    def quantile(self, level: float) -> Measure:
        """The value that this share of the values, from 0 to 1, does not exceed (the next lower one that is there)."""
        return self._measure("quantile", level)

    def share(self, value: Value) -> Measure:
        """The share of rows with this value, from 0 to 1."""
        return self._measure("share", value)

    def age(self, behind: ColumnOf | datetime) -> Measure:
        """How far the newest value lies behind the newest value of another column, or behind a declared moment.

        Compared with a duration: ``col("at").age(behind=col("loaded_at")) <= "2h"``. No clock is asked: what a version
        holds does not depend on when it is looked at. `freshness` watches a table by the clock.
        """
        return self._measure("age", behind.parts[0] if isinstance(behind, ColumnOf) else behind)

    def psi(self) -> Measure:
        """The population stability index against the last good version: 0.1 is a little, 0.25 is much."""
        return self._measure("psi")


def col(name: str) -> ColumnOf:
    """A column, to say something of: it is compared, counted with or measured. Raises HR428 for an empty name."""
    if not isinstance(name, str) or not name:
        raise HeadraceError("HR428", f"col({name!r}) names no column")
    return ColumnOf(COLUMN, (name,))


def typed(where: str, expression: Expression, types: Mapping[str, str]) -> str:
    """What kind of value an expression comes to, given the type of each column.

    Raises HR428 for what cannot be compared or counted, HR429 for a column that is not there, HR405 for a pattern that
    is none.
    """
    operation, parts = expression.operation, expression.parts
    if operation == COLUMN:
        if parts[0] not in types:
            raise HeadraceError("HR429", f"{where} names the column {parts[0]!r}", fix=suggestion(parts[0], types))
        return _OF_TYPES[types[parts[0]]]
    if operation == VALUE:
        return _KINDS[type(parts[0])]
    kinds = [typed(where, each, types) for each in parts if isinstance(each, Expression)]
    found = _kind(operation, kinds, parts)
    if found is None:
        told = f" of {' and '.join(kinds)}" if kinds else ""
        raise HeadraceError("HR428", f"{where}: {expression} asks for {operation!r}{told}")
    if operation == "matches":
        check_pattern(where, parts[1])
    return found


def _kind(operation: str, kinds: list[str], parts: tuple[Any, ...]) -> str | None:
    """The kind of the result; None where the operation does not fit."""
    first = kinds[0]
    if operation in ("is null", "is not null"):
        return TRUTH
    if operation in _JOINED or operation == "~":
        return TRUTH if set(kinds) == {TRUTH} else None
    if operation in COMPARED:
        ordered = operation in ("==", "!=") or first not in (TRUTH, TEXT)
        return TRUTH if kinds[0] == kinds[1] and ordered else None
    if operation in _COUNTED:
        return _ARITHMETIC.get((first, operation, kinds[1]))
    if operation == "in":
        return TRUTH if parts[1] and {_KINDS[type(each)] for each in parts[1]} == {first} else None
    fits = first == (NUMBER if operation == "abs" else TEXT)
    return {"matches": TRUTH, "length": NUMBER, "abs": NUMBER}[operation] if fits else None


def _both(operation: str, left: Expression, right: object) -> Expression:
    return Expression(operation, (left, _operand(right)))


def _operand(value: object) -> Expression:
    """An expression as it is; a plain value as one. Raises HR428 for anything else."""
    if isinstance(value, Expression):
        return value
    if type(value) not in _KINDS:
        raise HeadraceError("HR428", f"{value!r:.60} is of type {type(value).__name__}")
    if isinstance(value, datetime):
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN
        raise HeadraceError("HR428", "NaN is no value to compare with")
    return Expression(VALUE, (value,))


def _value(value: object) -> Value:
    """A plain value. Raises HR428 for anything else, an expression included."""
    if isinstance(value, Expression):
        raise HeadraceError("HR428", f"is_in takes plain values, not {value}")
    found: Value = _operand(value).parts[0]
    return found


def _text(expression: Expression) -> str:
    operation, parts = expression.operation, expression.parts
    if operation in (COLUMN, VALUE):
        return str(parts[0]) if operation == COLUMN else spelled(parts[0])
    if operation in ("length", "abs"):
        return f"{operation}({parts[0]})"
    first = _inner(parts[0])
    if len(parts) == 1:
        return f"~{first}" if operation == "~" else f"{first} {operation}"
    if operation == "in":
        return f"{first} in ({', '.join(spelled(each) for each in parts[1])})"
    return f"{first} {operation} {parts[1] if operation == 'matches' else _inner(parts[1])}"


def _inner(part: Expression) -> str:
    """An expression within another one: in brackets where it is not a single word."""
    single = part.operation in (COLUMN, VALUE, "length", "abs")
    return str(part) if single else f"({part})"


def spelled(value: object) -> str:
    """A value as the user wrote it: the limit 0 of a float is 0, not 0.0."""
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, timedelta):
        return spell(value)
    return f"{value:.0f}" if isinstance(value, float) and value == value // 1 else str(value)

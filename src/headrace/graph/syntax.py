"""The syntax of user code as bytes: our own versioned writer, the same on every Python.

What a writer of bytes must not see is left out here, and only here: comments, layout, quotes and redundant parentheses
(which the parser drops), docstrings and other statements that are bare constants, `pass`, line numbers, `ctx`,
`kind`, `type_comment`, and annotations that have no effect: of local variables, of return values, and of arguments
(except where a decorator can read them: `functools.singledispatch` does). The annotations of a class body stay: they
decide what a data class or a contract is.

A field that is absent, None or empty is skipped, so that a field which a later Python adds changes nothing until
somebody uses it. The table of fields is pinned; `SCHEME` is raised when the writing changes.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SCHEME = 1

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

_PINNED = """
Module body; Expression body
FunctionDef name args body type_params; AsyncFunctionDef name args body type_params
ClassDef name bases keywords body type_params
Return value; Delete targets; Assign targets value; AugAssign target op value
For target iter body orelse; AsyncFor target iter body orelse; While test body orelse; If test body orelse
With items body; AsyncWith items body; Match subject cases; Raise exc cause
Try body handlers orelse finalbody; TryStar body handlers orelse finalbody; Assert test msg
Import names; ImportFrom module names level; Global names; Nonlocal names; Expr value; Break; Continue; Pass
TypeAlias name type_params value; TypeVar name bound default_value; ParamSpec name default_value
TypeVarTuple name default_value
BoolOp op values; NamedExpr target value; BinOp left op right; UnaryOp op operand; Lambda args body
IfExp test body orelse; Dict keys values; Set elts; ListComp elt generators; SetComp elt generators
DictComp key value generators; GeneratorExp elt generators; Await value; Yield value; YieldFrom value
Compare left ops comparators; Call func args keywords; FormattedValue value conversion format_spec
TemplateStr values; Interpolation value str conversion format_spec; Attribute value attr; Subscript value slice
Starred value; Name id; List elts; Tuple elts; Slice lower upper step
comprehension target iter ifs is_async; ExceptHandler type name body; keyword arg value; alias name asname
arguments posonlyargs args vararg kwonlyargs kw_defaults kwarg defaults; arg arg
withitem context_expr optional_vars; match_case pattern guard body
MatchValue value; MatchSequence patterns; MatchMapping keys patterns rest
MatchClass cls patterns kwd_attrs kwd_patterns; MatchStar name; MatchAs pattern name; MatchOr patterns
And; Or; Add; Sub; Mult; MatMult; Div; Mod; Pow; LShift; RShift; BitOr; BitXor; BitAnd; FloorDiv
Invert; Not; UAdd; USub; Eq; NotEq; Lt; LtE; Gt; GtE; Is; IsNot; In; NotIn
"""


def _pinned() -> dict[type[ast.AST], tuple[str, tuple[str, ...]]]:
    table = {}
    for entry in _PINNED.replace("\n", ";").split(";"):
        name, *fields = entry.split() or [""]
        kind = getattr(ast, name, None)  # absent in a Python that lacks the syntax
        if kind is not None:
            table[kind] = (f"({name}", tuple(fields))
    return table


_FIELDS = _pinned()
_IDLE = (ast.Pass, ast.Expr)
_DEFAULTS: dict[str, object] = {"conversion": -1, "is_async": 0, "level": 0}

_BLIND = {
    "abstractmethod",
    "cache",
    "cached_property",
    "classmethod",
    "contextmanager",
    "final",
    "lru_cache",
    "overload",
    "override",
    "property",
    "setter",
    "staticmethod",
    "wraps",
}


def written(node: ast.AST) -> bytes:
    """The canonical bytes of a definition, an expression or a statement, without its own decorators.

    Raises:
        HeadraceError: HR205 for syntax that a newer Python has and this writer does not know.
    """
    writer = _Writer()
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        writer.definition(node)
    else:
        writer.node(node)
    return "".join(writer.out).encode("utf-8", "surrogatepass")


def written_annotations(node: FunctionNode) -> dict[str, bytes]:
    """The canonical bytes of each annotation of an argument; text in quotes is what it would be without them."""
    arguments = node.args
    every = (*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg)
    return {arg.arg: written(unquoted(arg.annotation)) for arg in every if arg is not None and arg.annotation}


def unquoted(annotation: ast.expr) -> ast.expr:
    """The expression that a quoted annotation holds; any other annotation as it is."""
    if not (isinstance(annotation, ast.Constant) and isinstance(annotation.value, str)):
        return annotation
    try:
        return ast.parse(annotation.value.strip(), mode="eval").body
    except SyntaxError:  # text with another meaning, as in Annotated: it stands for itself
        return annotation


def reads_annotations(decorator: ast.expr) -> bool:
    """Whether a decorator may act on annotations; the usual ones of the standard library do not."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name not in _BLIND


def has_no_effect(statement: ast.AST) -> bool:
    """Whether a statement is `pass` or a bare constant, such as a docstring or an ellipsis."""
    kind = type(statement)
    return kind is ast.Pass or (kind is ast.Expr and type(getattr(statement, "value", None)) is ast.Constant)


class _Writer:
    """Appends the pieces of a tree to `out`. A string is written with its length, so that no two trees agree."""

    __slots__ = ("_in_class", "out")

    def __init__(self) -> None:
        self.out: list[str] = []
        self._in_class = False

    def node(self, node: ast.AST) -> None:
        kind = type(node)
        special = _SPECIAL.get(kind)
        if special is not None:
            special(self, node)
            return
        self._open(node)
        self.out.append(")")

    def definition(self, node: FunctionNode | ast.ClassDef) -> None:
        """A function, a lambda or a class without its decorators, and without annotations of arguments."""
        outer, self._in_class = self._in_class, isinstance(node, ast.ClassDef)
        self._open(node)
        self.out.append(")")
        self._in_class = outer

    def decorated(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """A definition inside of another one: with its decorators, and with annotations if one may read them."""
        self.definition(node)
        if node.decorator_list:
            self._field("decorator_list", node.decorator_list)
        if not isinstance(node, ast.ClassDef) and any(map(reads_annotations, node.decorator_list)):
            for name, data in written_annotations(node).items():
                self._text(name)
                self.out.append(data.decode("utf-8", "surrogatepass"))

    def annotated(self, node: ast.AnnAssign) -> None:
        """In a class the annotation says something; in a function `x: int = 3` is `x = 3`, and `x: int` is nothing."""
        if self._in_class:
            self.out.append("(AnnAssign")
            self._field("target", node.target)
            self._field("annotation", unquoted(node.annotation))
            if node.value is not None:
                self._field("value", node.value)
            self.out.append(")")
        elif node.value is not None:
            self.node(ast.Assign(targets=[node.target], value=node.value))

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str):
            self.out.append("(s")
            self._text(value)
        elif type(value) is int:
            self.out.append(f"(i{value:x}")  # in base 16, which has no limit of digits
        else:
            self.out.append(f"({type(value).__name__} {value!r}")
        self.out.append(")")

    def singleton(self, node: ast.MatchSingleton) -> None:
        self.out.append(f"(MatchSingleton {node.value!r})")

    def joined(self, node: ast.JoinedStr) -> None:
        """An f-string, with neighbouring pieces of text joined, as they are in no fixed way across Pythons."""
        pieces = _joined_pieces(node)
        if not any(isinstance(piece, ast.AST) for piece in pieces):
            self.constant(ast.Constant("".join(str(piece) for piece in pieces)))
            return
        self.out.append("(JoinedStr")
        for piece in pieces:
            if isinstance(piece, str):
                self._text(piece)
            else:
                self.node(piece)
        self.out.append(")")

    def formatted(self, node: ast.FormattedValue) -> None:
        self.out.append("(FormattedValue")
        self._field("value", node.value)
        if node.conversion != -1:
            self._field("conversion", node.conversion)
        if isinstance(node.format_spec, ast.JoinedStr) and _joined_pieces(node.format_spec):
            self._field("format_spec", node.format_spec)
        self.out.append(")")

    def _open(self, node: ast.AST) -> None:
        known = _FIELDS.get(type(node))
        if known is None:
            raise HeadraceError("HR205", f"line {getattr(node, 'lineno', '?')}: {type(node).__name__}")
        name, fields = known
        self.out.append(name)
        for field in fields:
            value = getattr(node, field, None)
            if type(value) is list:
                value = [item for item in value if item.__class__ not in _IDLE or not has_no_effect(item)]
            if value is not None and value != [] and _DEFAULTS.get(field) != value:
                self._field(field, value)

    def _field(self, name: str, value: object) -> None:
        out = self.out
        out.append(f".{name}")
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            out.append("[")
            for item in value:
                self._item(item)
            out.append("]")
        elif isinstance(value, str):
            self._text(value)
        else:
            out.append(f"={value!r}")

    def _item(self, item: object) -> None:
        if item is None:  # `**mapping` in a dictionary, a keyword argument without a default
            self.out.append("_")
        elif isinstance(item, str):
            self._text(item)
        elif isinstance(item, ast.AST):
            self.node(item)

    def _text(self, value: str) -> None:
        self.out.append(f"{len(value)}:{value}")


def _joined_pieces(node: ast.JoinedStr) -> list[str | ast.expr]:
    pieces: list[str | ast.expr] = []
    for value in _flat(node.values):
        if not isinstance(value, str):
            pieces.append(value)
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += value
        elif value:
            pieces.append(value)
    return pieces


def _flat(values: Sequence[ast.expr]) -> Iterable[str | ast.expr]:
    for value in values:
        if isinstance(value, ast.JoinedStr):
            yield from _flat(value.values)
        else:
            yield str(value.value) if isinstance(value, ast.Constant) else value


_SPECIAL: dict[type[ast.AST], Callable[..., None]] = {
    ast.FunctionDef: _Writer.decorated,
    ast.AsyncFunctionDef: _Writer.decorated,
    ast.ClassDef: _Writer.decorated,
    ast.AnnAssign: _Writer.annotated,
    ast.Constant: _Writer.constant,
    ast.MatchSingleton: _Writer.singleton,
    ast.JoinedStr: _Writer.joined,
    ast.FormattedValue: _Writer.formatted,
}

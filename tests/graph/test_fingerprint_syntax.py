"""The writer of syntax: blind to spelling, and to nothing else; the same on every Python."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from pathlib import Path

import pytest

from headrace.errors import HeadraceError
from headrace.graph import syntax
from headrace.graph.syntax import unquoted, written
from headrace.graph.syntax_bindings import Kind, module_bindings, module_mutations
from headrace.graph.syntax_names import body_references

LIBRARY = Path(inspect.getfile(ast)).parent
SAMPLES = [
    "argparse",
    "ast",
    "dataclasses",
    "enum",
    "functools",
    "inspect",
    "statistics",
    "tarfile",
    "typing",
    "zipfile",
]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def one(text: str) -> bytes:
    return written(ast.parse(textwrap.dedent(text)).body[0])


def definitions(name: str) -> list[Definition]:
    tree = ast.parse((LIBRARY / f"{name}.py").read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, Definition)]


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_does_not_depend_on_the_spelling(name: str) -> None:
    for node in definitions(name):
        again = ast.parse(ast.unparse(node)).body[0]
        assert written(again) == written(node), f"{name}.py:{node.lineno}"


class Stripped(ast.NodeTransformer):
    """The tree without what the writer leaves out, made in another way than the writer makes it."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        del node


@pytest.mark.parametrize("name", SAMPLES)
def test_definitions_that_differ_are_written_differently(name: str) -> None:
    seen: dict[bytes, str] = {}
    for node in definitions(name):
        data = written(node)
        node.decorator_list = []
        text = ast.dump(Stripped().visit(node))
        assert seen.setdefault(data, text) == text, f"{name}.py:{node.lineno}"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x = 'a'", 'x = "a"'),
        ("x = 'a' 'b'", "x = ('ab')"),
        ("x = u'a'", "x = r'a'"),
        ("x = 1_000", "x = 0x3e8"),
        ("x = (a + b) * c", "x = ((a) + (b)) * (c)"),
        ("x = (1, 2)", "x = 1, 2,"),
        ("x = f'a' f'b{c}'", "x = 'a' f'b{c!s:}'".replace("!s", "")),
        ("x = f'abc'", "x = 'abc'"),
        ("x = f'{a:{b}}' ''", 'x = f"{a:{b}}"'),
        ("def f(): pass", "def f(): ..."),
        ("def f(): 'doc'", "def f():\n    # why\n    pass"),
        ("def f():\n  'doc'\n  return 1", "def f(): return 1"),
        ("def f(a: int) -> str: return a", "def f(a): return a"),
        ("def f():\n  a: int\n  b: str = 3", "def f(): b = 3"),
        ("class A:\n  'doc'\n  def f(self):\n    'doc'\n    x = 1", "class A:\n  def f(self): x = 1"),
        ("class A:\n  x: 'int' = 3", "class A:\n  x: int = 3"),
        ("if a: b\nelse:\n  if c: d", "if a:\n  b\nelif c:\n  d"),
        ("if a: b\nelse: pass", "if a: b"),
        ("def f():\n  @property\n  def g(self: int): return 1", "def f():\n  @property\n  def g(self): return 1"),
        ("with (a as b, c): d", "with a as b, c: d"),
    ],
)
def test_spelling_is_left_out(text: str, same: str) -> None:
    assert one(text) == one(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = ''", "x = None"),
        ("x = 0.0", "x = -0.0"),
        ("x = a, b", "x = [a, b]"),
        ("x = f'{a}'", "x = f'{a!r}'"),
        ("x = f'{a}'", "x = f'{a:x}'"),
        ("x = f'a{b}'", "x = f'{b}a'"),
        ("x = {**a, 'b': c}", "x = {'b': c, **a}"),
        ("x = {**a}", "x = {None: a}"),
        ("def f(a, /, b): pass", "def f(a, b, /): pass"),
        ("def f(a, *, b): pass", "def f(a, b): pass"),
        ("def f(*, a=1, b): pass", "def f(*, a, b=1): pass"),
        ("def f(*a): pass", "def f(**a): pass"),
        ("async def f(): pass", "def f(): pass"),
        ("def f(): return", "def f(): pass"),
        ("class A:\n  x: int", "class A:\n  x: str"),
        ("class A(B): pass", "class A(metaclass=B): pass"),
        ("def f():\n  @d\n  def g(a: int): pass", "def f():\n  @d\n  def g(a: str): pass"),
        ("from . import a", "from .. import a"),
        ("from .a import b", "from a import b"),
        ("import a as b", "import a"),
        ("try: a\nexcept b: c", "try: a\nexcept* b: c"),
        ("x = [a async for a in b]", "x = [a for a in b]"),
        ("match a:\n  case None: b", "match a:\n  case True: b"),
        ("match a:\n  case b: c", "match a:\n  case _: c"),
        ("match a:\n  case [*b]: c", "match a:\n  case [*_]: c"),
        ("global a, b", "nonlocal a, b"),
        ("global ab", "global a, b"),
        ("for a in b: c\nelse: d", "for a in b:\n  c\n  d"),
        ("x = a[b:c]", "x = a[b:c:d]"),
        ("x = lambda: a", "x = lambda a: a"),
        ("x = not a", "x = ~a"),
        ("x = a < b < c", "x = a < (b < c)"),
    ],
)
def test_meaning_is_not_left_out(text: str, other: str) -> None:
    assert one(text) != one(other)


EVERYTHING = '''
@decorator(1)
async def f(a, /, b=2, *c, d, e=None, **g):
    """Doc."""
    global h
    from .. import i as j
    import k.l, m as n
    x: int = 1
    y = [p async for p in q if p if not p]
    z = {**r, "s": {t for t in u}, -1.5e300: 2j, "é\\ud800": b"\\xff", 10 ** 400: ...}
    if (w := yield_(x)) is not None and w in z or w <= 3 != 4:
        return f"a{b!r:>{c}.{d}}b" "c" f"{{}}{e=}"
    elif x @ y: raise A(*B, **C) from D
    while True:
        try: await v
        except (E, F) as err: continue
        except G: break
        else: del x[1:2, ..., ::3], y.z
        finally: assert x, "y"
    try: pass
    except* H: pass
    async with aa as (bb, *cc), dd: x @= y; x **= 2; x //= 3; x >>= 1
    match x:
        case {"k": [1, *rest], **more} if rest: pass
        case Point(x=0, y=None) | -1 | "a" | b.c as whole: pass
        case _: return lambda *args, k=1: (yield args)
    class Inner(Base, metaclass=Meta):
        n: "int" = 3
        @property
        def p(self: "Inner") -> int: return self.n if self else -self.n
    @other
    def nested(a: int): nonlocal x; yield from (i for i in a)
'''


def test_bytes_are_pinned_and_the_same_on_every_python() -> None:
    """They stand behind the keys of ledgers: a change of the writer has to be meant, and raises SCHEME."""
    assert syntax.SCHEME == 1
    assert (
        hashlib.sha256(one(EVERYTHING)).hexdigest()
        == "829435c3df02084ff93d2445ad19797702e7ffba517c7f3a6d114aec1bcc38cf"
    )


def test_unknown_syntax_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(ast.expr):
        _fields = ()

    monkeypatch.setattr(ast, "Later", Later, raising=False)
    with pytest.raises(HeadraceError, match="HR205"):
        written(ast.Expr(Later()))


def test_every_kind_of_node_of_this_python_is_known() -> None:
    helpers = {"AST", "mod", "stmt", "expr", "expr_context", "boolop", "operator", "unaryop", "cmpop", "excepthandler"}
    helpers |= {"pattern", "type_ignore", "type_param", "slice", "Load", "Store", "Del", "AugLoad", "AugStore", "Param"}
    helpers |= {"Interactive", "FunctionType", "Suite", "TypeIgnore", "Index", "ExtSlice"}
    helpers |= {"Num", "Str", "Bytes", "NameConstant", "Ellipsis"}
    kinds = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
    known = set(syntax._FIELDS) | set(syntax._SPECIAL)  # noqa: SLF001 - the table is what is tested
    assert {kind.__name__ for kind in kinds if kind not in known} <= helpers


def test_quoted_annotations() -> None:
    def unparsed(text: str) -> str:
        return ast.unparse(unquoted(ast.parse(text, mode="eval").body))

    assert unparsed("'pl.DataFrame'") == "pl.DataFrame"
    assert unparsed("pl.DataFrame") == "pl.DataFrame"
    assert unparsed("'no expression!'") == "'no expression!'"


def outside(text: str) -> list[str]:
    node = ast.parse(textwrap.dedent(text)).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return [".".join(reference.chain) for reference in body_references(node)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(a, b=B): return a + c.d.e(b).f", ["c.d.e"]),
        ("def f(): return [x for x in xs if y]", ["xs", "y"]),
        ("def f(): return [y := x for x in xs], y", ["xs"]),
        ("def f(): return {k: v for k, vs in a for v in vs}", ["a"]),
        ("def f():\n  def g(x=d): return x + h + i\n  h = 1", ["d", "i"]),
        ("def f():\n  x = lambda y=z: y + w", ["z", "w"]),
        ("def f():\n  try: a\n  except E as e: e\n  with c as d: d\n  for i in j: i", ["a", "E", "c", "j"]),
        ("def f(x):\n  match x:\n    case A(b, c=[*d]) | {'k': b, **d}: b, d, g", ["A", "g"]),
        ("def f():\n  del x\n  import a.b, c as d\n  return x, a.b.c, d", ["a", "d", "a.b.c", "d"]),
        ("def f():\n  class C:\n    x = 1\n    def g(self): return x\n  return C", ["x"]),
        ("class C(B, metaclass=M):\n  x: T = d\n  def f(self, a: A) -> R: return self.x, y", ["B", "M", "T", "d", "y"]),
        ("def f():\n  x: T = y\n  return x", ["y"]),
        ("def f():\n  global x\n  def g(): return x\n  return g", ["x"]),
        ("def f():\n  x = 1\n  def g():\n    nonlocal x\n    x = 2\n  return g", []),
        ("def f():\n  x = 1\n  def g():\n    global x\n    return x\n  return g", ["x"]),
    ],
)  # fmt: skip
def test_names_from_outside(text: str, names: list[str]) -> None:
    assert outside(text) == names


def test_bindings_of_a_module() -> None:
    tree = ast.parse(
        textwrap.dedent("""
        import a.b, c as d
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from e import f
        try:
            import g
        except ImportError as h:
            g = None
        i = j = 1
        k, [l, *m] = x
        n: int = 2
        o: int
        i += 1
        def p(): q = 1
        class r: s = 1
        for t in x:
            with u as v, w: y = (z := 1)
        if __name__ == "__main__":
            aa = 1
        del n
        """)
    )
    found = {
        name: [(binding.kind.name, binding.top) for binding in bindings]
        for name, bindings in module_bindings(tree).items()
    }
    assert found == {
        "a": [("IMPORT", True)],
        "d": [("IMPORT", True)],
        "TYPE_CHECKING": [("IMPORT", True)],
        "f": [("TYPING", False)],
        "g": [("IMPORT", False), ("ASSIGNMENT", False)],
        "h": [("OTHER", False)],
        "i": [("ASSIGNMENT", True), ("OTHER", True)],
        "j": [("ASSIGNMENT", True)],
        "k": [("OTHER", True)],
        "l": [("OTHER", True)],
        "m": [("OTHER", True)],
        "n": [("ASSIGNMENT", True), ("OTHER", True)],
        "p": [("DEFINITION", True)],
        "r": [("DEFINITION", True)],
        "t": [("OTHER", True)],
        "v": [("OTHER", False)],
        "y": [("ASSIGNMENT", False)],
        "z": [("OTHER", False)],
    }


def test_mutations_of_a_module() -> None:
    tree = ast.parse("a.b = 1\nc[0].d = 1\nif x:\n  e.f()\n  del g[1]\nh = i.j()\nk()\nl.m += 1\ndef n(): o.p = 1\n")
    found = {name: [mutation.kind for mutation in mutations] for name, mutations in module_mutations(tree).items()}
    assert found == {"a": [Kind.STORE], "c": [Kind.STORE], "e": [Kind.CALL], "g": [Kind.STORE], "l": [Kind.STORE]}

"""What a fingerprint covers, what it names, and what it leaves out."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.graph.fingerprint import fingerprint
from tests.support.usercode import UserCode, user_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.graph.fingerprint import Fingerprint


@pytest.fixture
def code(tmp_path: Path) -> Iterator[UserCode]:
    with user_code(tmp_path) as project:
        yield project


def changed(one: Fingerprint, other: Fingerprint) -> set[str]:
    """The parts that differ. The digest differs exactly when one of them does."""
    names = {name for name in {*one.parts, *other.parts} if one.parts.get(name) != other.parts.get(name)}
    assert (one.digest != other.digest) == bool(names)
    return names


def edited(modules: str | Mapping[str, str], old: str, new: str) -> dict[str, str]:
    table = {"pipeline.py": modules} if isinstance(modules, str) else dict(modules)
    assert sum(text.count(old) for text in table.values()) == 1
    return {path: text.replace(old, new) for path, text in table.items()}


SMALL = """
    import polars as pl

    LIMIT = 15

    def late(delay):
        return delay > LIMIT

    def node(rows: pl.LazyFrame, n=3):
        return late(rows) + n
"""


def test_parts_are_named_and_digested(code: UserCode) -> None:
    taken = code.take(SMALL)
    assert sorted(taken.parts) == ["pipeline.LIMIT", "pipeline.late", "pipeline.node", "pipeline.node: arguments"]
    assert all(len(digest) == 64 for digest in (taken.digest, *taken.parts.values()))
    assert taken.libraries == ()


def test_digest_is_pinned(code: UserCode) -> None:
    """It stands in ledgers: a change of the writer would make everything again, so it must be meant."""
    assert code.take(SMALL).digest == "20eaf87b59d710fea0de16b5c65d81ea534a390fc418349be64c74c62d2544ad"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("LIMIT = 15", "LIMIT = 16", {"pipeline.LIMIT"}),
        ("LIMIT = 15", "LIMIT = 15.0", {"pipeline.LIMIT"}),
        ("delay > LIMIT", "delay >= LIMIT", {"pipeline.late"}),
        ("late(rows) + n", "late(rows) - n", {"pipeline.node"}),
        ("n=3", "n=4", {"pipeline.node"}),
        ("rows: pl.LazyFrame", "rows: pl.DataFrame", {"pipeline.node: arguments"}),
        ("LIMIT = 15", "LIMIT = 15  # minutes", set()),
        ("LIMIT = 15", "LIMIT: int = 5 * 3", set()),
        ("def late(delay)", "def late(delay: float) -> bool", set()),
        ("rows: pl.LazyFrame", 'rows: "pl.LazyFrame"', set()),
        ("return late(rows) + n", 'r"""Doc."""\n        pass\n        return (late(rows)\n            + n)', set()),
        ("return delay > LIMIT", "result: bool\n        return delay > LIMIT", set()),
    ],
)
def test_only_what_counts_changes_it(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(SMALL), code.take(edited(SMALL, old, new))) == parts


def test_a_local_variable_with_an_annotation_is_one_without(code: UserCode) -> None:
    one = code.take("def node(x):\n    y: int = x + 1\n    return y\n")
    assert not changed(one, code.take("def node(x):\n    y = x + 1\n    return y\n"))


def test_it_does_not_depend_on_where_the_project_lies(code: UserCode, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = """
        from pathlib import Path
        HERE = Path(__file__).parent
        DATA = str(HERE / "data")
        def node(x):
            return x, HERE / "a", DATA, __file__, __name__
    """
    with user_code(tmp_path_factory.mktemp("elsewhere")) as other:
        one = code.take(text)
        code.forget()
        two = other.take(text)
        other.forget()
    assert not changed(one, two)
    assert changed(one, code.take(edited(text, '/ "data"', '/ "other"'))) == {"pipeline.DATA"}


def test_a_module_is_named_by_its_path(code: UserCode) -> None:
    code.write(
        {"src/flights/__init__.py": "def node():\n    return 1\n", "src/flights/jobs.py": "def node(): return 1\n"}
    )
    sys.path.insert(0, str(code.folder / "src"))
    try:
        package = code.load("flights")
        jobs = importlib.import_module("flights.jobs")
    finally:
        sys.path.remove(str(code.folder / "src"))
    assert [*code.of(package.node).parts, *code.of(jobs.node).parts] == ["flights.node", "flights.jobs.node"]


PACKAGE = {
    "pipeline.py": """
        import pkg.deep.maths
        from pkg import tools
        from pkg.tools import scale as by, LIMIT
        def node(x):
            return by(x) + tools.shift(x) + pkg.deep.maths.half(x) + LIMIT
    """,
    "pkg/__init__.py": "from .deep import DEEP\n",
    "pkg/tools.py": """
        from . import DEEP
        from .deep.maths import half as halve
        LIMIT = 3
        UNUSED = 4
        def scale(x): return x * DEEP
        def shift(x): return halve(x) + 1
        def unused(x): return x
    """,
    "pkg/deep/__init__.py": "DEEP = 5\n",
    "pkg/deep/maths.py": "def half(x): return x / 2\n",
}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("LIMIT = 3", "LIMIT = 4", {"pkg.tools.LIMIT"}),
        ("x * DEEP", "DEEP * x", {"pkg.tools.scale"}),
        ("halve(x) + 1", "halve(x) + 2", {"pkg.tools.shift"}),
        ("x / 2", "x // 2", {"pkg.deep.maths.half"}),
        ("DEEP = 5", "DEEP = 6", {"pkg.deep.DEEP"}),
        ("UNUSED = 4", "UNUSED = 5", set()),
        ("def unused(x): return x", "def unused(x): return 0", set()),
    ],
)
def test_helpers_in_packages_and_relative_imports(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(PACKAGE), code.take(edited(PACKAGE, old, new))) == parts


LAZY = {
    "pipeline.py": """
        def node(x):
            import json
            import pkg.one
            from pkg import two as second
            from pkg.three import three, THREE
            try:
                from pkg.fast import run
            except ImportError:
                run = None
            return json.dumps(x), pkg.one.one(x), second.two(x), three(x) + THREE, run
    """,
    "pkg/__init__.py": "",
    "pkg/one.py": "def one(x): return x + 1\n",
    "pkg/two.py": "def two(x): return x + 2\n",
    "pkg/three.py": "THREE = 3\ndef three(x):\n    from . import four\n    return four.four(x)\n",
    "pkg/four.py": "def four(x): return x + 4\n",
}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("x + 1", "x - 1", {"pkg.one.one"}),
        ("x + 2", "x - 2", {"pkg.two.two"}),
        ("THREE = 3", "THREE = 4", {"pkg.three.THREE"}),
        ("x + 4", "x - 4", {"pkg.four.four"}),
    ],
)
def test_imports_inside_of_functions(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(LAZY), code.take(edited(LAZY, old, new))) == parts


def test_a_package_without_init(code: UserCode) -> None:
    modules = {
        "pipeline.py": "import space.tools\nimport space\ndef node(x):\n    return space.tools.f(x)\n",
        "space/tools.py": "def f(x): return x + 1\n",
    }
    assert changed(code.take(modules), code.take(edited(modules, "x + 1", "x + 2"))) == {"space.tools.f"}


CLOSURES = """
    import functools
    def scaled(factor, *, offset=1):
        def inner(x):
            return x * factor + offset
        return inner
    def add(x, y): return x + y
    double = scaled(2)
    plus = functools.partial(add, y=3)
    square = lambda x: x ** 2; cube = lambda x: x ** 3
    STEPS = [double, {"plus": plus}, lambda x: x - 1]
    def node(x, extra=scaled(7)):
        return STEPS[0](x) + plus(x) + square(x) + extra(x)
"""


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("scaled(2)", "scaled(3)", {"pipeline.scaled.<locals>.inner#2"}),
        ("scaled(7)", "scaled(8)", {"pipeline.node", "pipeline.scaled.<locals>.inner"}),
        ("offset=1", "offset=2", {"pipeline.scaled.<locals>.inner", "pipeline.scaled.<locals>.inner#2"}),
        ("y=3", "y=4", {"pipeline.plus", "pipeline.STEPS"}),
        ("x + y", "y + x", {"pipeline.add"}),
        ("x ** 2", "x ** 4", {"pipeline.square"}),
        ("x ** 3", "x ** 5", set()),
        ("x - 1", "x - 2", {"pipeline.<lambda>"}),
        ("[double, {", "[double, double, {", {"pipeline.STEPS"}),
    ],
)
def test_closures_partials_and_lambdas(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(CLOSURES), code.take(edited(CLOSURES, old, new))) == parts


CLASSES = """
    import dataclasses, enum, collections
    from typing import NamedTuple
    class Colour(enum.Enum):
        RED = 1
        def code(self): return self.value + 10
    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float = 0.5
        colour: Colour = Colour.RED
        @property
        def double(self): return self.rate * 2
    class Pair(NamedTuple):
        a: int
        b: int
    Point = collections.namedtuple("Point", "x y")
    class Base:
        def shared(self): return helper(3)
    def helper(n): return n + 7
    class Model(Base):
        '''Doc.'''
        size = 4
        def fit(self, rows):
            '''Doc.'''
            return super().shared() + self.size
        @staticmethod
        def make(): return Model()
    class Plain:
        def __init__(self, n): self.n = n
    CONFIG = Config(rate=0.25)
    PAIR = Pair(1, 2)
    PLAIN = Plain(9)
    fit = Config().double
    def node(rows):
        return Model.make().fit(rows), CONFIG, PAIR, PLAIN, Point(1, 2), fit
"""


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("n + 7", "n + 8", {"pipeline.helper"}),
        ("size = 4", "size = 5", {"pipeline.Model"}),
        ("helper(3)", "helper(4)", {"pipeline.Base"}),
        ("self.rate * 2", "self.rate + self.rate", {"pipeline.Config"}),
        ("rate=0.25", "rate=0.75", {"pipeline.CONFIG"}),
        ("self.value + 10", "self.value + 11", {"pipeline.Colour"}),
        ("a: int", "a: float", {"pipeline.Pair"}),
        ("Pair(1, 2)", "Pair(1, 3)", {"pipeline.PAIR"}),
        ("self.n = n", "self.n = n + 1", {"pipeline.Plain"}),
        ("Plain(9)", "Plain(8)", {"pipeline.PLAIN"}),
        ('"x y"', '"x z y"', {"pipeline.Point"}),
        ("frozen=True", "frozen=False", {"pipeline.Config"}),
        ("        '''Doc.'''\n        size", "        size", set()),
        ("def fit(self, rows)", "def fit(self, rows: list) -> int", set()),
    ],
)
def test_classes_are_covered_whole(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(CLASSES), code.take(edited(CLASSES, old, new))) == parts


def test_a_class_made_in_a_function_is_covered_with_what_it_captured(code: UserCode) -> None:
    text = """
        def make(k):
            class Scaler:
                def run(self, x): return x * k
            return Scaler
        Scaler = make(3)
        def node(x): return Scaler().run(x)
    """
    one = code.take(text)
    assert changed(one, code.take(edited(text, "make(3)", "make(4)"))) == {"pipeline.make.<locals>.Scaler"}
    assert changed(one, code.take(edited(text, "x * k", "k * x"))) == {"pipeline.make.<locals>.Scaler"}


DECORATORS = {
    "pipeline.py": """
        import contextlib, functools
        from toolbox import times, Memo
        @times(2)
        def helper(x): return x + 1
        @functools.lru_cache(maxsize=8)
        def cached(x): return x + 2
        @contextlib.contextmanager
        def context(x): yield x + 3
        @Memo
        def memo(x): return x + 4
        @functools.singledispatch
        def kind(x): return x + 5
        @kind.register
        def _(x: int): return x + 6
        @times(3)
        def node(x):
            with context(x) as y:
                return helper(x) + cached(x) + y + memo(x) + kind(x)
    """,
    "toolbox.py": """
        import functools
        def times(n):
            def decorate(function):
                @functools.wraps(function)
                def wrapper(*args): return function(*args) * n
                return wrapper
            return decorate
        class Memo:
            def __init__(self, function): self.function = function
            def __call__(self, x): return self.function(x)
    """,
}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("x + 1", "x - 1", {"pipeline.helper"}),
        ("x + 2", "x - 2", {"pipeline.cached"}),
        ("maxsize=8", "maxsize=9", {"pipeline.cached"}),
        ("x + 3", "x - 3", {"pipeline.context"}),
        ("x + 4", "x - 4", {"pipeline.memo"}),
        ("x + 5", "x - 5", {"pipeline.kind"}),
        ("x + 6", "x - 6", {"pipeline._"}),
        ("x: int", "x: str", {"pipeline._", "pipeline.node"}),
        ("self.function(x)", "self.function(x) + 0", {"toolbox.Memo"}),
        ("times(2)", "times(5)", {"pipeline.helper", "toolbox.times.<locals>.decorate.<locals>.wrapper#2"}),
        ("times(3)", "times(5)", {"pipeline.node", "toolbox.times.<locals>.decorate.<locals>.wrapper"}),
    ],
)
def test_decorators(code: UserCode, old: str, new: str, parts: set[str]) -> None:
    assert changed(code.take(DECORATORS), code.take(edited(DECORATORS, old, new))) == parts


def test_expressions_at_module_level_are_covered_by_their_statement(code: UserCode) -> None:
    text = """
        import polars as pl
        LIMIT = 15
        def floor(x): return pl.col(x).floor()
        LATE = pl.col("delay") > LIMIT
        TYPES = {"a": pl.Int64, "b": pl.List(pl.String)}
        LINES = [floor("x").alias("y")]
        def node(rows):
            return rows.filter(LATE).select(LINES).cast(TYPES)
    """
    one = code.take(text)
    assert one.libraries == ("polars",)
    assert changed(one, code.take(edited(text, "> LIMIT", ">= LIMIT"))) == {"pipeline.LATE"}
    assert changed(one, code.take(edited(text, "LIMIT = 15", "LIMIT = 16"))) == {"pipeline.LIMIT"}
    assert changed(one, code.take(edited(text, ".floor()", ".ceil()"))) == {"pipeline.floor"}
    assert changed(one, code.take(edited(text, "pl.String", "pl.Int8"))) == {"pipeline.TYPES"}


def test_cycles_end_and_do_not_depend_on_the_order_of_definitions(code: UserCode) -> None:
    odd = "def odd(n): return n != 0 and even(n - 1)\n"
    even = "def even(n): return n == 0 or odd(n - 1)\n"
    tree = "class Tree:\n    def child(self): return Tree(), odd(3)\n"
    node = "def node(n): return even(n), Tree, node\n"
    one = code.take(odd + even + tree + node)
    assert sorted(one.parts) == ["pipeline.Tree", "pipeline.even", "pipeline.node", "pipeline.odd"]
    assert code.take(node + tree + even + odd) == one
    assert changed(one, code.take(odd.replace("n != 0", "n > 0") + even + tree + node)) == {"pipeline.odd"}


def test_nodes_are_named_and_not_looked_into(code: UserCode) -> None:
    text = """
        class Handle:
            def __init__(self, function): self.function, self.__headrace_node__ = function, function.__name__
        class Pipeline:
            def table(self, *inputs, **options): return Handle
        Pipeline.__module__ = "headrace.pipeline"
        flights = Pipeline()
        flights.monitor = None
        @flights.table()
        def departures(rows): return rows + 1
        @flights.table(departures, retries=3)
        def node(rows): return rows, departures, node
    """
    one = code.take(text)
    assert set(one.parts) == {"pipeline.node"}
    assert not changed(one, code.take(edited(text, "rows + 1", "rows + 2")))
    assert not changed(one, code.take(edited(text, "retries=3", "retries=4")))
    assert changed(one, code.take(edited(text, "return rows, departures", "return departures"))) == {"pipeline.node"}


def test_a_class_that_is_a_node_is_covered_when_it_is_the_node_itself(code: UserCode) -> None:
    text = "class node:\n    __headrace_node__ = 'history'\n    rate = 3\n"
    assert changed(code.take(text), code.take(edited(text, "rate = 3", "rate = 4"))) == {"pipeline.node"}


def test_libraries_are_named(code: UserCode) -> None:
    text = """
        import json, os.path
        from collections import *
        import numpy as np
        import polars
        from sklearn.linear_model import LogisticRegression as Model
        from headrace import errors
        def node(x):
            import duckdb.typing
            return np.add(x, 1), polars.col, Model(), duckdb, json.dumps(x), os.path.join("a"), Counter(x), errors
    """
    assert code.take(text).libraries == ("duckdb", "numpy", "polars", "sklearn")


def test_site_packages_inside_of_the_project_are_libraries(code: UserCode) -> None:
    code.write({"env/lib/site-packages/outside.py": "def f(x): return x + 1\n"})
    sys.path.append(str(code.folder / "env/lib/site-packages"))
    try:
        taken = code.take("from outside import f\nimport outside\ndef node(x): return f(x), outside.f(x)\n")
    finally:
        sys.path.pop()
    assert taken.libraries == ("outside",)
    assert list(taken.parts) == ["pipeline.node"]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("import a as m\n", "def node(x): return m.f(x)\n"),
        ("try:\n    from a import f\nexcept ImportError:\n    f = None\n", "def node(x): return f(x)\n"),
        ("from a import *\n", "def node(x): return f(x)\n"),
        ("from a import f\ng = f\n", "def node(x): return g(x)\n"),
        ("from b import f\n", "def node(x): return f(x)\n"),
    ],
)
def test_a_helper_is_found_however_it_is_imported(code: UserCode, text: str, rest: str) -> None:
    modules = {"pipeline.py": text + rest, "a.py": "def f(x): return x + 1\n", "b.py": "from a import f\n"}
    assert changed(code.take(modules), code.take(edited(modules, "x + 1", "x + 2"))) == {"a.f"}


VALUES = """
    import collections, functools, logging, random, re, enum
    from dataclasses import dataclass
    from datetime import date, timedelta
    from http import HTTPStatus
    import numpy as np
    import polars as pl
    class Own:
        def __init__(self, n): self.n = n
        def __headrace_canonical__(self): return self.n
    class Level(enum.IntEnum):
        LOW = 1
    class Handle:
        __headrace_node__ = "other"
        function = None
    def outer(kept):
        def inner(x): return kept, again
        def again(x): return x
        return inner
    def later():
        def inner(x): return value if x else x
        if False:
            value = 1
        return inner
    CAPTURED = {value}
    node = outer(CAPTURED)
"""


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("date(2013, 1, 1)", "date(2013, 1, 2)"),
        ("timedelta(1)", "timedelta(2)"),
        ("re.compile('a')", "re.compile('b')"),
        ("np.float64(0.5)", "np.float32(0.5)"),
        ("Own(1)", "Own(2)"),
        ("Level.LOW", "1"),
        ("HTTPStatus.OK", "HTTPStatus.CREATED"),
        ("len", "max"),
        ("np.add", "np.subtract"),
        ("str.lower", "str.upper"),
        ("pl.Int64", "pl.Int8"),
        ("np", "pl"),
        ("functools.partial(max, 1)", "functools.partial(max, 2)"),
        ("collections.OrderedDict(a=1)", "collections.OrderedDict(a=2)"),
        ("Handle()", "None"),
        ("logging.getLogger('a')", "None"),
        ("later()", "None"),
        ("Own", "Level"),
        ("Own(1).__headrace_canonical__", "Own(2).__headrace_canonical__"),
        ("{'f': lambda x: x}", "{'f': lambda x: x + 1}"),
    ],
)
def test_kinds_of_captured_values(code: UserCode, value: str, other: str) -> None:
    one, two = (code.take(VALUES.format(value=text)) for text in (value, other))
    assert one == code.take(VALUES.format(value=value))
    if value != "np":  # a module is covered by what is used of it
        assert one.digest != two.digest


def test_what_is_used_of_a_captured_module_counts(code: UserCode) -> None:
    modules = {
        "pipeline.py": """
            def outer():
                import helpers
                import json
                def inner(x): return helpers.f(x), json.dumps(x), helpers.missing
                return inner
            node = outer()
        """,
        "helpers.py": "def f(x): return x + 1\n",
    }
    assert changed(code.take(modules), code.take(edited(modules, "x + 1", "x + 2"))) == {"helpers.f"}


def test_a_default_that_is_not_plain_is_covered_by_its_syntax(code: UserCode) -> None:
    text = """
        import polars as pl
        def late(x): return pl.col("delay") > x
        def node(x, by=late(15), *, more=pl.col("a")): return x, by, more
    """
    one = code.take(text)
    assert changed(one, code.take(edited(text, "late(15)", "late(16)"))) == {"pipeline.node"}
    assert changed(one, code.take(edited(text, "> x", ">= x"))) == {"pipeline.late"}


def test_lambdas_on_one_line_are_told_apart(code: UserCode) -> None:
    text = "node = (lambda f, g: lambda x: (f(x), g(x)))(lambda x: x + 1, lambda x: x * 2)\n"
    one = code.take(text)
    assert changed(one, code.take(edited(text, "x + 1", "x + 3"))) == {"pipeline.<lambda>"}
    assert changed(one, code.take(edited(text, "x * 2", "x * 3"))) == {"pipeline.<lambda>#2"}
    assert changed(one, code.take(edited(text, "(f(x), g(x))", "(g(x), f(x))"))) == {
        "pipeline.<lambda>.<locals>.<lambda>"
    }


def test_a_subclass_of_a_library_and_typing_imports(code: UserCode) -> None:
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING, Generic, TypeVar
        import collections
        if TYPE_CHECKING:
            from helpers import Frame
        T = TypeVar("T")
        class Model(collections.UserDict, Generic[T]):
            rows: Frame
            def fit(self, frame: Frame) -> Frame: return frame
        def node(x: Frame) -> Model: return Model(), Frame
    """
    one = code.take(text)
    assert changed(one, code.take(edited(text, 'TypeVar("T")', 'TypeVar("T", bound=int)'))) == {"pipeline.T"}
    assert changed(one, code.take(edited(text, "rows: Frame", "rows: list[Frame]"))) == {"pipeline.Model"}


def test_settings_are_covered_and_told_apart(code: UserCode) -> None:
    code.take(SMALL)
    node = code.load().node
    one = code.of(node, delay="5m", keys=["a"])
    other = code.of(node, keys=["a"], delay="6m")
    assert one.digest != other.digest
    assert [name for name in one.settings if one.settings[name] != other.settings[name]] == ["delay"]
    assert code.of(node, keys=["a"], delay="5m") == one


def test_partial_and_method_as_the_node_itself(code: UserCode) -> None:
    text = """
        import dataclasses
        def run(x, n): return x + n
        @dataclasses.dataclass
        class Job:
            n: int
            def run(self, x: list): return x + self.n
    """
    code.take(text, "run")
    module = code.load()
    partials = [code.of(functools.partial(module.run, n=n)) for n in (1, 2, 2)]
    assert partials[0].digest != partials[1].digest
    assert partials[1] == partials[2]
    methods = [code.of(module.Job(n).run) for n in (1, 2, 2)]
    assert methods[0].digest != methods[1].digest
    assert methods[1] == methods[2]
    assert set(methods[0].parts) == {"pipeline.Job", "pipeline.Job.run", "pipeline.Job.run: arguments"}


def test_a_process_describes_the_code_that_it_runs(code: UserCode) -> None:
    code.write({"pipeline.py": SMALL})
    module = code.load()
    one = code.of(module.node)
    code.write({"pipeline.py": "\n\n" + SMALL.replace("LIMIT = 15", "LIMIT = 16")})
    assert code.of(module.node) == one
    assert changed(one, code.of(code.load().node)) == {"pipeline.LIMIT"}
    code.write({"pipeline.py": SMALL.replace("delay > LIMIT", "delay < LIMIT")})
    assert changed(one, code.of(importlib.reload(sys.modules["pipeline"]).node)) == {"pipeline.late"}


def test_each_text_is_parsed_once(code: UserCode) -> None:
    code.take(PACKAGE)
    parsed = code.cache.parsed
    assert parsed == 5
    for _ in range(3):
        code.take(PACKAGE)
    assert code.cache.parsed == parsed


def test_the_cache_of_the_process_is_used_by_default(code: UserCode) -> None:
    code.write({"pipeline.py": SMALL})
    node = code.load().node
    assert fingerprint([node], {}, project=code.folder) == code.of(node)


def test_project_may_be_a_relative_path(code: UserCode, monkeypatch: pytest.MonkeyPatch) -> None:
    code.write({"pipeline.py": SMALL})
    node = code.load().node
    monkeypatch.chdir(code.folder.parent)
    assert code.of(node, project=Path(code.folder.name)) == code.of(node)


def test_what_lies_outside_of_the_project_is_no_function_of_it(code: UserCode, tmp_path: Path) -> None:
    code.write({"pipeline.py": SMALL})
    with pytest.raises(HeadraceError, match="HR206"):
        code.of(code.load().node, project=tmp_path / "elsewhere")

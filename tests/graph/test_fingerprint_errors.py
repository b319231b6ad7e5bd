"""What cannot be part of a fingerprint is refused, with a code, the file and the line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from tests.support.usercode import UserCode, user_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@pytest.fixture
def code(tmp_path: Path) -> Iterator[UserCode]:
    with user_code(tmp_path) as project:
        yield project


def refused(code: UserCode, modules: str | Mapping[str, str]) -> tuple[str, str]:
    with pytest.raises(HeadraceError) as caught:
        code.take(modules)
    return caught.value.code, caught.value.what


CLOCK = [
    ("from datetime import datetime", "datetime.now()", "datetime.datetime.now"),
    ("from datetime import datetime as dt, UTC", "dt.now(UTC)", "datetime.datetime.now"),
    ("import datetime as dt", "dt.datetime.utcnow()", "datetime.datetime.utcnow"),
    ("import datetime", "datetime.date.today()", "datetime.date.today"),
    ("from datetime import date", "list(map(lambda _: date.today(), x))", "datetime.date.today"),
    ("import time", "time.time()", "time.time"),
    ("from time import time as t", "t()", "time.time"),
    ("from time import *", "time()", "time.time"),
    ("import time", "[time.monotonic() for _ in x]", "time.monotonic"),
    ("import time", "time.time_ns", "time.time_ns"),
    ("import time", "time.strftime('%Y')", "time.strftime"),
    ("import time", "time.localtime()", "time.localtime"),
    ("import pandas as pd", "pd.Timestamp.now()", "pandas.Timestamp.now"),
    ("import pandas as pd", "pd.to_datetime('now')", "pandas.to_datetime"),
    ("import numpy as np", "np.datetime64('now')", "numpy.datetime64"),
    ("import datetime\nclock = datetime.datetime", "clock.now()", "datetime.datetime.now"),
    ("import datetime\nnow = datetime.datetime.now", "now()", "datetime.datetime.now"),
    ("import datetime\nclass Day(datetime.date):\n    pass", "Day.today()", "datetime.date.today"),
    ("from time import time\nCLOCKS = [time]", "CLOCKS[0]()", "time.time"),
    ("import functools, time\nnow = functools.partial(time.time)", "now()", "time.time"),
]
RANDOM = [
    ("import random", "random.random()", "random.random"),
    ("from random import choice as pick", "pick(x)", "random.choice"),
    ("import random", "random.shuffle(x)", "random.shuffle"),
    ("import random", "random.seed(3)", "random.seed"),
    ("import random", "random.Random()", "random.Random"),
    ("import random", "random.SystemRandom().random()", "random.SystemRandom"),
    ("import numpy as np", "np.random.rand(3)", "numpy.random.rand"),
    ("from numpy import random as r", "r.normal()", "numpy.random.normal"),
    ("from numpy.random import permutation", "permutation(x)", "numpy.random.permutation"),
    ("import numpy.random", "numpy.random.default_rng()", "numpy.random.default_rng"),
    ("import numpy as np", "np.random.default_rng(None)", "numpy.random.default_rng"),
    ("import numpy as np", "np.random.default_rng(seed=None)", "numpy.random.default_rng"),
    ("import numpy as np", "np.random.RandomState()", "numpy.random.RandomState"),
    ("import uuid", "uuid.uuid4().hex", "uuid.uuid4"),
    ("import uuid", "uuid.uuid1()", "uuid.uuid1"),
    ("import os", "os.urandom(3)", "os.urandom"),
    ("import secrets", "secrets.token_hex()", "secrets.token_hex"),
    ("from secrets import choice", "choice(x)", "secrets.choice"),
    ("import numpy as np\nRNG = np.random.default_rng()", "RNG.normal()", "numpy.random.default_rng"),
    ("import random\npick = random.choice", "pick(x)", "random.choice"),
]


@pytest.mark.parametrize(("imports", "call", "name"), CLOCK)
def test_the_clock_is_refused(code: UserCode, imports: str, call: str, name: str) -> None:
    text = f"{imports}\ndef node(x):\n    return x, {call}\n"
    assert refused(code, text)[0] == "HR220"
    assert refused(code, text)[1].endswith(f": {name}")


@pytest.mark.parametrize(("imports", "call", "name"), RANDOM)
def test_randomness_without_a_seed_is_refused(code: UserCode, imports: str, call: str, name: str) -> None:
    text = f"{imports}\ndef node(x):\n    return x, {call}\n"
    assert refused(code, text)[0] == "HR221"
    assert refused(code, text)[1].endswith(f": {name}")


@pytest.mark.parametrize(
    ("imports", "call", "name"), [case for case in CLOCK + RANDOM if "\n" not in case[0] and "*" not in case[0]]
)
def test_an_import_inside_of_the_function_hides_nothing(code: UserCode, imports: str, call: str, name: str) -> None:
    found, what = refused(code, f"def node(x):\n    {imports}\n    return x, {call}\n")
    assert found in ("HR220", "HR221")
    assert what in (f"pipeline.py:2: {name}", f"pipeline.py:3: {name}")  # the import itself may be refused


@pytest.mark.parametrize(
    "text",
    [
        "def helper(x): return {call}\ndef node(x): return helper(x)\n",
        "class Model:\n    def fit(self): return {call}\ndef node(x): return Model().fit()\n",
        "class Model:\n    made = {call}\ndef node(x): return Model().made\n",
        "def node(x, at={call}): return at\n",
        "NOW = {call}\ndef node(x): return NOW\n",
        "def node(x):\n    def inner(): return {call}\n    return inner()\n",
        "def outer():\n    def inner(x): return {call}\n    return inner\nnode = outer()\n",
        "from helpers import helper\ndef node(x): return helper(x)\n",
        "def node(x):\n    from helpers import helper\n    return helper(x)\n",
    ],
)
def test_the_clock_is_refused_wherever_it_stands(code: UserCode, text: str) -> None:
    call = "datetime.now()"
    head = "from datetime import datetime\n"
    modules = {"pipeline.py": head + text.format(call=call), "helpers.py": f"{head}def helper(x): return {call}\n"}
    found, what = refused(code, modules)
    assert (found, what.partition(": ")[2]) == ("HR220", "datetime.datetime.now")
    line = next(
        line
        for line, part in enumerate(modules["pipeline.py"].splitlines() or [], 1)
        if call in part or "helper" in part
    )
    assert what.startswith(("helpers.py:2", f"pipeline.py:{line}"))


@pytest.mark.parametrize(
    ("imports", "use"),
    [
        ("import numpy as np", "np.random.default_rng(x.seed).normal()"),
        ("import numpy as np", "np.random.default_rng(seed=3)"),
        ("import numpy as np", "isinstance(x, np.random.Generator)"),
        ("import numpy as np", "np.random.default_rng(*x)"),
        ("import random", "random.Random(x.seed).random()"),
        ("import time", "time.sleep(0), time.strftime('%Y', x), time.gmtime(3)"),
        ("import pandas as pd", "pd.Timestamp('2013-01-01'), pd.to_datetime(x)"),
        ("from datetime import datetime, date", "datetime.fromisoformat(x), date(2013, 1, 1)"),
        ("import secrets, uuid", "secrets.compare_digest(x, x), uuid.uuid5(x, 'a')"),
        ("import datetime", "x.clock.now(), x.random()"),
        ("def time(): return 3", "time()"),
        ("class datetime:\n    def now(): return 3", "datetime.now()"),
        ("from datetime import datetime", "(lambda datetime: datetime.now())(x)"),
    ],
)
def test_what_only_looks_like_it_is_accepted(code: UserCode, imports: str, use: str) -> None:
    assert "pipeline.node" in code.take(f"{imports}\ndef node(x):\n    return {use}\n").parts


def test_a_module_of_the_project_may_have_the_name_of_a_clock(code: UserCode) -> None:
    modules = {
        "pipeline.py": """
            import pendulum
            from arrow import utcnow, now as start, Span
            BEGIN = start(3)
            def node(x): return pendulum.now(x), utcnow(x), BEGIN, Span, Span.now()
        """,
        "pendulum.py": "def now(x): return x + 1\n",
        "arrow.py": "def now(x): return x\ndef utcnow(x): return x + 2\nclass Span:\n    def now(): return 3\n",
    }
    parts = {"arrow.Span", "arrow.utcnow", "pendulum.now", "pipeline.BEGIN", "pipeline.node"}
    assert set(code.take(modules).parts) == parts


@pytest.mark.parametrize(
    ("head", "body", "name"),
    [
        ("", "eval('x')", "eval"),
        ("", "exec('x')", "exec"),
        ("", "globals()['helper'](x)", "globals"),
        ("", "__import__('time')", "__import__"),
        ("import importlib", "importlib.import_module('a')", "importlib.import_module"),
        ("import sys", "sys.modules['a']", "sys.modules"),
    ],
)
def test_code_that_cannot_be_seen_is_refused(code: UserCode, head: str, body: str, name: str) -> None:
    assert refused(code, f"{head}\ndef node(x):\n    return {body}\n") == ("HR214", f"pipeline.py:3: {name}")


def test_a_method_or_a_local_of_such_a_name_is_accepted(code: UserCode) -> None:
    assert code.take("def node(frame, eval):\n    return frame.eval('a + b'), eval(3)\n").parts


@pytest.mark.parametrize(
    "text",
    [
        "def outer(x):\n    def inner(y): return y, x\n    return inner\nnode = outer({value})\n",
        "def outer(x):\n    def inner(y, z=x): return y, z\n    return inner\nnode = outer({value})\n",
        "def outer(x):\n    class A:\n        def f(self): return x\n    return A\nnode = outer({value})\n",
    ],
)
@pytest.mark.parametrize(
    "value", ["io.StringIO()", "sqlite3.connect(':memory:')", "pl.col('a')", "object()", "[object()]"]
)
def test_a_captured_object_is_refused(code: UserCode, text: str, value: str) -> None:
    found, what = refused(code, "import io, sqlite3\nimport polars as pl\n" + text.format(value=value))
    assert found == "HR210"
    assert what.startswith("pipeline.py:4: ")


def test_a_class_body_that_captures_a_variable_is_refused(code: UserCode) -> None:
    text = "def outer(n):\n    class A:\n        size = n\n    return A\nA = outer(3)\ndef node(x): return A\n"
    assert refused(code, text) == ("HR210", "pipeline.py:3: n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A = object()\nA = object()\n", "lines: 1, 2"),
        ("if True:\n    A = object()\n", "lines: 2"),
        ("A, B = object(), object()\n", "lines: 1"),
        ("for A in [object()]:\n    pass\n", "lines: 1"),
        ("with open(__file__) as A:\n    pass\n", "lines: 1"),
        ("try:\n    A = object()\nfinally:\n    pass\n", "lines: 2"),
        ("A = [object()]\nA += [object()]\n", "lines: 1, 2"),
        ("vars()['A'] = object()\n", "lines: none"),
        ("(A := object())\n", "lines: 1"),
    ],
)
def test_an_object_that_no_single_statement_makes_is_refused(code: UserCode, text: str, told: str) -> None:
    found, what = refused(code, f"{text}def node(x):\n    return A\n")
    assert found == "HR211"
    assert what.startswith(f"pipeline.py:{text.count(chr(10)) + 2}: A holds a ")
    assert what.endswith(told)


@pytest.mark.parametrize("change", ["A.x = 3", "A.x.y = 3", "A['x'] = 3", "A.update(x=3)", "del A.x", "A.n += 1"])
def test_an_object_that_is_changed_at_module_level_is_refused(code: UserCode, change: str) -> None:
    text = f"""
        class Thing(dict):
            def __init__(self): self.x, self.n = type("X", (), {{}}), 1
        A = Thing()
        if True:
            {change}
        def node(x): return A
    """
    assert refused(code, text) == ("HR212", "pipeline.py:6: A")


@pytest.mark.parametrize("made", ["def A(): pass\n", "class A: pass\n"])
def test_a_function_or_class_with_an_attribute_set_from_outside_is_refused(code: UserCode, made: str) -> None:
    assert refused(code, f"{made}A.x = 3\ndef node(x): return A\n") == ("HR212", "pipeline.py:2: A")


def test_plain_data_may_be_assembled_at_module_level(code: UserCode) -> None:
    text = "A = {}\nfor name in 'ab':\n    A[name] = len(A)\nA.update(c=3)\nB = 1\nB += 1\ndef node(x): return A, B\n"
    one = code.take(text)
    assert one.digest == code.take("A = {'a': 0, 'b': 1, 'c': 3}\nB = 2\ndef node(x): return A, B\n").digest
    assert one.digest != code.take(text.replace("c=3", "c=4")).digest


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        ("N = 0", "global N\n    N += 1", "N"),
        ("", "global LATER\n    LATER = 1", "LATER"),
        ("T = {}", "T['a'] = x", "T"),
        ("T = {}", "del T['a']", "T"),
        ("T = {'a': {}}", "T['a']['b'] = x", "T"),
        ("T = []", "T.append(x)", "T.append"),
        ("T = set()", "T.add(x)", "T.add"),
        ("class C: pass", "C.n = x", "C.n"),
        ("import polars as pl", "pl.setting = x", "pl.setting"),
        ("", "import json\n    json.setting = x", "json.setting"),
        ("import helpers", "helpers.T = x", "helpers.T"),
        ("import helpers", "helpers.T['a'] = x", "helpers"),
        ("import helpers", "helpers.T.update(a=x)", "helpers.T.update"),
    ],
)
def test_state_between_calls_is_refused(code: UserCode, head: str, body: str, told: str) -> None:
    modules = {"pipeline.py": f"{head}\ndef node(x):\n    {body}\n    return x\n", "helpers.py": "T = {}\n"}
    found, what = refused(code, modules)
    assert found == "HR213"
    assert what.partition(": ")[2] == told


def test_state_in_a_closure_is_refused(code: UserCode) -> None:
    text = (
        "def outer():\n    n = 0\n    seen = []\n    def inner(x):\n        {body}\n    return inner\nnode = outer()\n"
    )
    assert refused(code, text.format(body="nonlocal n; n += 1")) == ("HR213", "pipeline.py:5: n")
    assert refused(code, text.format(body="seen.append(x)")) == ("HR213", "pipeline.py:5: seen.append")


@pytest.mark.parametrize(
    "body",
    [
        "t = {}\n    t['a'] = x\n    t.update(x)",
        "self = x\n    self.n = 3",
        "t = T.copy()\n    t['a'] = T.get('a')\n    t.pop('a')",
        "class C:\n        n = 3\n        m = n\n        table = {}\n        table['a'] = 3",
        "try:\n        import json\n    except ImportError:\n        json = None",
    ],
)
def test_local_state_is_accepted(code: UserCode, body: str) -> None:
    assert code.take(f"T = {{'a': 1}}\ndef node(x):\n    {body}\n    return x\n").parts


def test_a_module_as_a_value_is_refused(code: UserCode) -> None:
    modules = {"pipeline.py": "import helpers\ndef node(x):\n    return getattr(helpers, x)\n", "helpers.py": ""}
    assert refused(code, modules) == ("HR215", "pipeline.py:3: helpers")
    modules["pipeline.py"] = "import helpers\nALL = [helpers]\ndef node(x):\n    return ALL\n"
    assert refused(code, modules) == ("HR215", "pipeline.py:4: helpers")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0\n", "pipeline.py:2: broken: ZeroDivisionError: division by zero"),
        ("import not_there\n", "pipeline.py:2: broken: No module named 'not_there'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(code: UserCode, text: str, told: str) -> None:
    modules = {"pipeline.py": "def node(x):\n    import broken\n    return broken.f(x)\n", "broken.py": text}
    assert refused(code, modules) == ("HR216", told)


def test_a_relative_import_without_a_package_is_refused(code: UserCode) -> None:
    found, _ = refused(code, "def node(x):\n    from . import helpers\n    return helpers.f(x)\n")
    assert found == "HR216"


def test_code_without_a_source_is_refused(code: UserCode) -> None:
    made = (
        "space = {}\nexec('def helper(x): return x', space)\nhelper = space['helper']\ndef node(x): return helper(x)\n"
    )
    found, what = refused(code, made)
    assert found == "HR202"
    assert what.startswith("pipeline.py:4: helper")
    within = "exec('def helper(x): return x')\ndef node(x): return helper(x)\n"
    assert refused(code, within) == ("HR202", "helper (<string>, line 1)")
    assert refused(code, "exec('def node(x): return x')\n")[0] == "HR202"


def test_a_class_without_a_source_is_refused(code: UserCode) -> None:
    made = "exec('class Model:\\n    def fit(self): pass')\ndef node(x): return Model\n"
    assert refused(code, made)[0] in ("HR202", "HR211")


def test_a_module_without_a_python_file_is_refused(code: UserCode) -> None:
    code.write({"pipeline.py": "def node(x): return x\n"})
    node = code.load().node
    node.__globals__["__file__"] = str(code.folder / "pipeline.so")
    with pytest.raises(HeadraceError, match="HR202"):
        code.of(node)


def test_a_file_that_is_gone_is_refused(code: UserCode) -> None:
    code.write({"pipeline.py": "def node(x): return x\n"})
    node = code.load().node
    (code.folder / "pipeline.py").unlink()
    with pytest.raises(HeadraceError, match="HR202"):
        code.of(node)


@pytest.mark.parametrize(
    "text",
    [
        "\ndef node(x):\n    return x + 1\n",
        "def node(x):\n    return x + 2\n",
        "def node(x): return x + 1\n",
        "def other(x):\n    return x + 1\n",
    ],
)
def test_a_file_that_was_edited_after_the_import_is_refused(code: UserCode, text: str) -> None:
    code.write({"pipeline.py": "def node(x):\n    return x + 1\n"})
    node = code.load().node
    code.write({"pipeline.py": text})
    with pytest.raises(HeadraceError) as caught:
        code.of(node)
    assert caught.value.code == "HR203"


def test_a_file_that_no_longer_parses_is_refused(code: UserCode) -> None:
    code.write({"pipeline.py": "def node(x):\n    return x + 1\n"})
    node = code.load().node
    code.write({"pipeline.py": "def node(x:\n"})
    with pytest.raises(HeadraceError, match="HR204"):
        code.of(node)


def test_a_function_that_ran_often_is_still_the_one_in_the_file(code: UserCode) -> None:
    code.write({"pipeline.py": "def node(x):\n    return sum(i * x.real for i in range(3)) + len('a')\n"})
    node = code.load().node
    for number in range(1000):
        node(number)
    assert code.of(node).parts


def test_definitions_that_cannot_be_told_apart_are_refused(code: UserCode) -> None:
    text = """
        import sys
        if len(sys.argv) > 100:
            class Model:
                size = 1
        else:
            class Model:
                size = 2
        def node(x): return Model
    """
    assert refused(code, text)[0] == "HR204"
    assert code.take(text.replace("size = 1", "def a(self): pass").replace("size = 2", "def b(self): pass")).parts


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("random.choice", "HR221"),
        ("random.SystemRandom().choice", "HR221"),
        ("numpy.random.rand", "HR221"),
        ("uuid.uuid4", "HR221"),
        ("[datetime.datetime.now]", "HR220"),
        ("{'t': time.time}", "HR220"),
        ("collections.namedtuple('P', 'x')", "HR210"),
        ("urllib.parse.urlsplit('a')", "HR210"),
        ("numpy.zeros(2)", "HR210"),
    ],
)
def test_captured_values_that_are_refused(code: UserCode, value: str, error: str) -> None:
    imports = "import collections, datetime, numpy, random, time, urllib.parse, uuid\n"
    text = f"{imports}def outer(kept):\n    def inner(x): return kept\n    return inner\nnode = outer({value})\n"
    assert refused(code, text)[0] == error


def test_a_function_of_an_extension_module_of_the_project_is_refused(code: UserCode) -> None:
    """The extension is a module object with a file in the project, whose function is built in."""
    text = """
        import sys, types
        fast = types.ModuleType("fast")
        fast.__file__ = __file__.replace("pipeline.py", "fast.so")
        fast.f = len
        sys.modules["fast"] = fast
        def node(x): return fast.f(x)
    """
    assert refused(code, text) == ("HR202", f"fast ({code.folder / 'fast.so'})")


def test_a_library_function_is_no_node(code: UserCode) -> None:
    for text in (
        "from json import loads as node\n",
        "import json\nnode = json.JSONDecoder\n",
        "node = len\n",
        "node = 3\n",
    ):
        assert refused(code, text)[0] == "HR206"


def test_a_setting_that_is_not_plain_is_refused(code: UserCode) -> None:
    code.write({"pipeline.py": "def node(x): return x\n"})
    with pytest.raises(HeadraceError, match="HR200 the setting 'model'"):
        code.of(code.load().node, model=object())


def test_a_class_of_a_module_that_is_not_loaded_is_refused(code: UserCode) -> None:
    code.write(
        {
            "pipeline.py": "import other\nMODELS = [other.Model]\ndef node(x): return MODELS\n",
            "other.py": "class Model: pass\n",
        }
    )
    node = code.load().node
    del sys.modules["other"]
    with pytest.raises(HeadraceError) as caught:
        code.of(node)
    assert (caught.value.code, caught.value.what) == ("HR202", "pipeline.py:3: other.Model")

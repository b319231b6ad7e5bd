"""The task node: a plain step with an external effect."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import Node, RowsNode
from headrace.ports.records import Manifest
from headrace.tables.frames import call, convert, frame_kinds, input_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.graph.node import Options
    from headrace.ports.records import Json
    from headrace.ports.work import Context, Step

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that a task may return: references belong into the ledger, data does not."""
_KEY = "idempotency_key"
_BESIDE = frozenset({_KEY})


class Task(Node):
    """A function that does something outside. It runs at least once; it can be called like the plain function.

    For each input that has rows it gets a frame, by annotation; for any other input the record of its version. With an
    argument `idempotency_key` it gets a text that is the same each time the same step is tried, after a crash as well.
    What it returns is recorded: None, or plain JSON data of at most 64 KiB.
    """

    kind: ClassVar[str] = "task"
    verb: ClassVar[str] = "run"

    def __init__(
        self, name: str, inputs: Sequence[Node], function: Callable[..., Any], *, options: Options | None = None
    ) -> None:
        super().__init__(name, inputs, options)
        self.function = function
        names = list(inspect.signature(function).parameters)
        self._with_key = _KEY in names
        self._key_at = names.index(_KEY) if self._with_key else 0
        self._frames = self._wanted()

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        """The plain function, for a unit test."""
        return self.function(*arguments, **named)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The function that does it."""
        return (self.function,)

    def make(self, step: Step, context: Context) -> Manifest:
        """Run the function. Raises HR423 for what it raises, HR424 for a result that cannot be recorded."""
        arguments = [self._argument(node, kind, context) for node, kind in zip(self.inputs, self._frames, strict=True)]
        named = {}
        if self._key_at < len(arguments) and self._with_key:
            arguments.insert(self._key_at, step.key)
        elif self._with_key:
            named[_KEY] = step.key
        result = call(self.function, arguments, self.name, **named)
        return Manifest(step.key, {}, {} if result is None else {"result": self._recorded(result)})

    def _wanted(self) -> list[str | None]:
        """The kind of frame that each input is passed as; None where it is passed as a version."""
        parameters = input_parameters(self.function, len(self.inputs), self.name, _BESIDE)
        pairs = list(zip(self.inputs, parameters, strict=True))
        with_rows = [parameter for node, parameter in pairs if isinstance(node, RowsNode)]
        kinds = iter(frame_kinds(self.function, with_rows, self.name) if with_rows else [])
        return [next(kinds) if isinstance(node, RowsNode) else None for node, _ in pairs]

    def _argument(self, node: Node, kind: str | None, context: Context) -> object:
        version = context.versions[node.name]
        if kind is None or not isinstance(node, RowsNode):
            return version
        return convert(node.read(version, context.stores), kind)

    def _recorded(self, result: object) -> Json:
        """The result as it will be read back."""
        try:
            text = json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise HeadraceError("HR424", f"{self.name} returned {type(result).__name__}: {error}") from None
        if len(text) > RESULT_LIMIT:
            raise HeadraceError("HR424", f"{self.name} returned {len(text)} bytes, and {RESULT_LIMIT} are allowed")
        return json.loads(text)

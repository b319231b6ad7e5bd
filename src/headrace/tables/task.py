"""The task node: a plain step with an external effect."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import Node, RowsNode
from headrace.ports.records import Manifest
from headrace.tables.frames import call, convert, wanted_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.graph.node import Options
    from headrace.ports.work import Context, Step

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that a task may return: references belong into the ledger, data does not."""
_KEY = "idempotency_key"


class Task(Node):
    """A function that does something outside. It runs at least once; it can be called like the plain function.

    For each input that has rows it gets a frame, by annotation; for any other input the record of its version. With a
    parameter `idempotency_key` it gets a text that is the same at each repetition of the same step.
    """

    kind: ClassVar[str] = "task"
    verb: ClassVar[str] = "run"

    def __init__(
        self, name: str, inputs: Sequence[Node], function: Callable[..., Any], *, options: Options | None = None
    ) -> None:
        super().__init__(name, inputs, options)
        self.function = function
        self._with_key = _KEY in inspect.signature(function).parameters
        self._frames = self._wanted()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The plain function, for a unit test."""
        return self.function(*arguments, **named)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The function that does it."""
        return (self.function,)

    def make(self, step: Step, context: Context) -> Manifest:
        """Run the function. Raises HR423 for what it raises, HR424 for a result that is no small plain data."""
        arguments = [self._argument(node, kind, context) for node, kind in zip(self.inputs, self._frames, strict=True)]
        named = {_KEY: step.key} if self._with_key else {}
        result = call(self.function, arguments, self.name, **named)
        return Manifest(step.key, {}, {} if result is None else {"result": self._checked(result)})

    def _wanted(self) -> list[str]:
        if not any(isinstance(node, RowsNode) for node in self.inputs):
            parameters = [name for name in inspect.signature(self.function).parameters if name != _KEY]
            if len(parameters) != len(self.inputs):
                raise HeadraceError("HR420", f"{self.name} takes {len(parameters)} values, and has {len(self.inputs)} inputs")
            return ["version"] * len(self.inputs)
        kinds = wanted_frames(self.function, len(self.inputs), self.name)
        return [kind if isinstance(node, RowsNode) else "version" for node, kind in zip(self.inputs, kinds, strict=True)]

    def _argument(self, node: Node, kind: str, context: Context) -> object:
        version = context.versions[node.name]
        return convert(node.read(version, context.stores), kind) if isinstance(node, RowsNode) else version

    def _checked(self, result: object) -> object:
        try:
            size = len(json.dumps(result))
        except (TypeError, ValueError) as error:
            raise HeadraceError("HR424", f"{self.name} returned {type(result).__name__}: {error}") from error
        if size > RESULT_LIMIT:
            raise HeadraceError("HR424", f"{self.name} returned {size} bytes, and {RESULT_LIMIT} are allowed")
        return result

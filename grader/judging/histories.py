"""What concurrent clients saw: operations with their beginning, end and answer, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from grader.errors import RemoteError
from grader.judging.differences import show

__all__ = ["History", "Operation"]


class Operation(NamedTuple):
    """One call by one client. `start` and `end` are ticks of a counter that all clients share.

    `end` is ``None`` for a call that never returned; whether it took effect is then unknown.
    """

    client: int
    name: str
    arguments: tuple[Any, ...]
    start: int
    end: int | None
    answer: Any = None
    error: RemoteError | None = None

    def __str__(self) -> str:
        call = f"{self.name}({', '.join(map(show, self.arguments))})"
        if self.end is None:
            return f"{call} never returned"
        if self.error is not None:
            return f"{call} raised {self.error.class_name}"
        return f"{call} gave {show(self.answer)}"


class History(Sequence[Operation]):
    """Operations in the order in which they began. `how` says what a run like it takes."""

    def __init__(self, operations: Iterable[Operation], how: str = "") -> None:
        self._operations = sorted(operations, key=lambda operation: operation.start)
        self.how = how

    def __getitem__(self, index: Any) -> Any:
        return self._operations[index]

    def __len__(self) -> int:
        return len(self._operations)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def clients(self) -> list[list[Operation]]:
        """The operations of each client, in their order."""
        found: dict[int, list[Operation]] = {}
        for operation in self._operations:
            found.setdefault(operation.client, []).append(operation)
        return [found[client] for client in sorted(found)]

    def without(self, *names: str) -> History:
        """The same run without operations that a model does not know, such as a wait."""
        return History((op for op in self._operations if op.name not in names), self.how)

    def unfinished(self) -> list[Operation]:
        """Operations that never returned."""
        return [operation for operation in self._operations if operation.end is None]

    def __str__(self) -> str:
        """Every operation with the steps at which it began and ended, counted from 1."""
        ticks = [tick for op in self for tick in (op.start, op.end) if tick is not None]
        steps = {tick: step for step, tick in enumerate(sorted(ticks), 1)}
        return " | ".join(
            f"steps {steps[op.start]}-{'' if op.end is None else steps[op.end]}, "
            f"client {op.client}: {op}"
            for op in self
        )

    def __repr__(self) -> str:
        return f"History({self})"

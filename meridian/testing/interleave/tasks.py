"""The threads of a scenario, and what they wait for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from types import FrameType
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from meridian.testing.interleave.carriers import Carrier

__all__ = ["Gate", "Task", "Unwind", "place_of"]


class Unwind(BaseException):
    """Raised at the scheduling points of a run that is over, to end its threads."""


class Gate(Protocol):
    """What a task may wait for: while it is closed the task cannot be chosen."""

    @property
    def open(self) -> bool: ...
    @property
    def kind(self) -> Literal["lock", "condition", "thread"]: ...


class Task:
    """A thread of the scenario. Its end is a gate for those that join it."""

    __slots__ = (
        "body",
        "carrier",
        "daemon",
        "deadline_ns",
        "expired",
        "gate",
        "index",
        "name",
        "open",
        "pending",
        "unwinds",
    )
    kind: Literal["thread"] = "thread"

    def __init__(self, index: int, name: str, body: Callable[[], object], daemon: bool) -> None:
        self.index = index
        self.name = name
        self.body = body
        self.daemon = daemon
        self.carrier: Carrier | None = None
        self.open = False
        self.gate: Gate | None = None
        self.deadline_ns: int | None = None
        self.expired = False
        self.pending = ("begin", "", "")
        self.unwinds = 0

    def __str__(self) -> str:
        return f"thread `{self.name}`"


def place_of(frame: FrameType | None) -> str:
    """``file.py:line in function`` of the first frame that is not ours."""
    ours = __name__.rpartition(".")[0]
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != "threading" and not module.startswith(ours):
            break
        frame = frame.f_back
    if frame is None:
        return "the end of the scenario"
    file = PurePath(frame.f_code.co_filename).name
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}"

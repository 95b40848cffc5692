"""What the worker tells of an object or an exception that does not travel itself."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from grader.inside.conversation import ConversationOver
from grader.inside.protocol import Raised, flatten

__all__ = ["UNTELLABLE", "NotPlainError", "describe", "refuse", "tell"]

UNTELLABLE = Raised("Exception", ("Exception",), "(an exception that cannot be told)", {}, "")
_MAX_MESSAGE_CHARS = 4_000
_MAX_CAUSES = 8
_MAX_GROUP = 32


class NotPlainError(Exception):
    """Something that would have to stay in the worker."""


def refuse(value: Any) -> list[Any]:
    """The `refer` of those who want nothing but plain data."""
    raise NotPlainError(type(value).__name__)


def describe(value: Any) -> tuple[str, Any]:
    """How the judge may treat a handle: its kind, and its plain fields as a tree, or ``None``."""
    kind, fields = _fields(value)
    if fields is None:
        return kind, None
    try:
        return kind, flatten(fields, refuse, careful=True)
    except NotPlainError:
        return "object", None


def _fields(value: Any) -> tuple[str, dict[str, Any] | None]:
    if isinstance(value, bytearray | memoryview):
        return "buffer", None
    if isinstance(value, enum.Enum):
        return "enum", {"name": value.name, "value": value.value}
    names = getattr(type(value), "_fields", None)
    if isinstance(value, tuple) and isinstance(names, tuple):
        return "tuple", dict(zip(names, tuple(value), strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        frozen = type(value).__dataclass_params__.frozen  # type: ignore[attr-defined]
        return "record" if frozen else "object", fields
    return "object", None


def tell(error: BaseException, root: str, number: int = 0, causes: int = _MAX_CAUSES) -> Raised:
    """Names and plain data of `error`, of what it was raised from and of its group's members.

    `root` is the folder of the submission, `number` the name under which `error` is remembered.
    """
    if isinstance(error, ConversationOver):
        raise error
    fields = {}
    for name, value in {**vars(error), **_slots(error)}.items():
        try:
            flatten(value, refuse)
        except (NotPlainError, RecursionError):
            continue
        if value is not None:
            fields[name] = value
    try:
        message = str(error)[:_MAX_MESSAGE_CHARS]
    except BaseException:  # the submission's own __str__
        message = ""
    cause = error.__cause__
    group = error.exceptions[:_MAX_GROUP] if isinstance(error, BaseExceptionGroup) else ()
    return Raised(
        type(error).__name__,
        tuple(cls.__name__ for cls in type(error).__mro__),
        message,
        fields,
        _where(error, root),
        tell(cause, root, 0, causes - 1) if cause is not None and causes else None,
        tuple(tell(member, root, 0, causes - 1) for member in group if causes),
        number,
    )


def _slots(error: BaseException) -> dict[str, Any]:
    """What two builtin exceptions keep outside their dictionary."""
    if isinstance(error, OSError):
        return {"errno": error.errno}
    return {"value": error.value} if isinstance(error, StopIteration) else {}


def _where(error: BaseException, root: str) -> str:
    """File and line of the deepest frame that belongs to the submission."""
    where, trace = "", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(root):
            where = f"{path[len(root) :].lstrip('/')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where

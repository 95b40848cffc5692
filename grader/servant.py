"""Beside the submission, inside the box: answers the judge's questions, one at a time.

Everything here shares a process with code that may be hostile, so nothing here is trusted and
nothing here knows an expected value, a seed or a key. Standard library and msgspec only.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from grader.protocol import HEADER, VERSION, Raised, Tag, decode_question, encode, flatten, frame
from grader.protocol import unflatten as _unflatten

__all__ = ["EXIT_NO_MEMORY", "Servant", "serve"]

EXIT_NO_MEMORY = 86
_MAX_MESSAGE_CHARS = 4_000


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str}


_UNTELLABLE = Raised("Exception", ("Exception",), "(an exception that cannot be told)", {}, "")


class _NotPlainError(Exception):
    pass


class Batch:
    """One call repeated over prepared arguments, so that only the calls lie inside the clock."""

    __slots__ = ("arguments", "function", "results")

    def __init__(self, function: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> None:
        self.function = function
        self.arguments = arguments
        self.results: list[Any] = []

    def run(self) -> None:
        function = self.function
        self.results = [function(*arguments) for arguments in self.arguments]


class Servant:
    """Holds the submission's objects under handles and performs one operation per question."""

    def __init__(self, load: Callable[[str], Any], root: str) -> None:
        self._load = load
        self._root = root
        self._objects: dict[int, Any] = {}
        self._last = 0

    def handle(self, payload: bytes) -> bytes:
        """The answer to the question in `payload`. Whatever the submission raises is an answer."""
        number, released, operation, arguments = decode_question(payload)
        try:
            for handle in released:
                self._objects.pop(handle, None)
            values = [_unflatten(argument, self._objects.__getitem__) for argument in arguments]
            value = getattr(self, "do_" + operation)(*values)
            return self._answer(number, value)
        except BaseException as error:
            try:
                return self._answer(number, self._raised(error))
            except BaseException:  # the submission's own class lies about itself
                return self._answer(number, _UNTELLABLE)

    def _answer(self, number: int, value: Any) -> bytes:
        first = self._last

        def undo() -> None:
            while self._last > first:
                self._objects.pop(self._last, None)
                self._last -= 1

        return encode([number], value, self._refer, undo)

    # -- operations: one method each, arguments already decoded --------------------------------

    def do_module(self, name: str) -> Any:
        return self._load(name)

    def do_get(self, target: Any, name: str) -> Any:
        return getattr(target, name)

    def do_set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)

    def do_call(self, function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return function(*arguments, **keywords)

    def do_map(self, function: Any, calls: list[tuple[Any, ...]]) -> list[Any]:
        answers: list[Any] = []
        for arguments in calls:
            try:
                answers.append(function(*arguments))
            except BaseException as error:
                answers.append(self._raised(error))
        return answers

    def do_prepare(self, function: Any, calls: list[tuple[Any, ...]]) -> Batch:
        return Batch(function, calls)

    def do_run(self, batch: Batch) -> None:
        batch.run()

    def do_results(self, batch: Batch, chosen: list[int] | None) -> list[Any]:
        return batch.results if chosen is None else [batch.results[i] for i in chosen]

    def do_buffer(self, source: bytes | int) -> bytearray:
        return bytearray(source)

    def do_view(self, buffer: Any, start: int | None, stop: int | None) -> Any:
        return memoryview(buffer).cast("B")[start:stop]

    def do_bytes(self, target: Any, part: slice) -> bytes:
        own: Any = getattr(type(target), "__bytes__", None)
        if own is not None:
            return bytes(own(target))[part]
        return memoryview(target)[part].tobytes()

    def do_item(self, target: Any, key: Any) -> Any:
        return target[key]

    def do_set_item(self, target: Any, key: Any, value: Any) -> None:
        target[key] = value

    def do_delete_item(self, target: Any, key: Any) -> None:
        del target[key]

    def do_contains(self, target: Any, value: Any) -> bool:
        return value in target

    def do_len(self, target: Any) -> int:
        return len(target)

    def do_convert(self, target: Any, to: str) -> Any:
        return _CONVERSIONS[to](target)

    def do_iter(self, target: Any) -> Iterator[Any]:
        return iter(target)

    def do_next(self, iterator: Iterator[Any], limit: int) -> tuple[list[Any], Any]:
        """Up to `limit` items, and what ended them: ``None``, ``True`` (the end), an exception."""
        items: list[Any] = []
        try:
            for item in iterator:
                items.append(item)
                if len(items) == limit:
                    return items, None
        except BaseException as error:
            return items, [self._raised(error)]
        return items, True

    def do_enter(self, manager: Any) -> Any:
        return type(manager).__enter__(manager)

    def do_exit(self, manager: Any, cause: str | None) -> bool:
        if cause is None:
            return bool(type(manager).__exit__(manager, None, None, None))
        error = RuntimeError(cause)
        return bool(type(manager).__exit__(manager, RuntimeError, error, None))

    # -- what leaves the process ---------------------------------------------------------------

    def _refer(self, value: Any) -> list[Any]:
        self._last = number = self._last + 1
        self._objects[number] = value
        kind, fields = _describe(value)
        snapshot = None
        if fields is not None:
            try:
                snapshot = flatten(fields, _refuse, careful=True)
            except _NotPlainError:
                kind = "object"
        return [int(Tag.HANDLE), number, type(value).__name__, kind, snapshot]

    def _raised(self, error: BaseException) -> Raised:
        fields = {}
        for name, value in {**vars(error), "errno": getattr(error, "errno", None)}.items():
            try:
                flatten(value, _refuse)
            except (_NotPlainError, RecursionError):
                continue
            if value is not None:
                fields[name] = value
        try:
            message = str(error)[:_MAX_MESSAGE_CHARS]
        except BaseException:  # the submission's own __str__
            message = ""
        mro = tuple(cls.__name__ for cls in type(error).__mro__)
        return Raised(type(error).__name__, mro, message, fields, self._where(error))

    def _where(self, error: BaseException) -> str:
        """File and line of the deepest frame that belongs to the submission."""
        where, trace = "", error.__traceback__
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            if path.startswith(self._root):
                where = f"{path[len(self._root) :].lstrip('/')}:{trace.tb_lineno}"
            trace = trace.tb_next
        return where


def _refuse(value: Any) -> list[Any]:
    raise _NotPlainError(type(value).__name__)


def _describe(value: Any) -> tuple[str, dict[str, Any] | None]:
    """How the judge may treat a handle: its kind, and the fields worth a snapshot."""
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


def _read(fd: int, count: int) -> bytes:
    chunks = []
    while count:
        chunk = os.read(fd, count)
        if not chunk:
            os._exit(0)  # the judge is gone
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def serve(questions: int, answers: int, root: str) -> None:
    """Say hello on descriptor `answers`, then answer what comes in on `questions`, for ever.

    `root` is the folder of the submission: tracebacks name files below it. The process is confined
    already, and leaves when the judge closes the pipe.
    """
    owner = os.getpid()
    servant = Servant(importlib.import_module, root)
    _write(answers, frame(encode([0], {"version": VERSION, "pid": owner}, _refuse)))
    while True:
        (length,) = HEADER.unpack(_read(questions, HEADER.size))
        try:
            answer = servant.handle(_read(questions, length))
        except MemoryError:  # not even room to say so
            os._exit(EXIT_NO_MEMORY)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # closed or replaced by the submission: its own affair
                continue
        if os.getpid() != owner:
            os._exit(0)  # a fork of the submission came back: it has no question to answer
        _write(answers, frame(answer))

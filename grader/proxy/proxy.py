"""The judge's view of a submission: objects that live in the worker, plain data that is here.

``submission.PageFile(path).read_page(3, buffer)`` reads as if the submission were imported. It is
not: each attribute read, call or index is one question to the worker, and what comes back is plain
data of exact types, or another `Remote`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from grader.errors import RemoteError, WorkerLost, WrongType, remote_error
from grader.inside.protocol import Handle, Raised
from grader.judging.differences import show
from grader.proxy.callbacks import sendable
from grader.proxy.connection import Connection, Stub

__all__ = [
    "Batch",
    "Connection",
    "Remote",
    "RemoteBuffer",
    "RemoteError",
    "WrongType",
    "exactly",
    "finish",
    "leave",
    "remote_map",
]

T = TypeVar("T")

_MAX_CHUNK = 256
_MAX_ITEMS = 2_000_000
_MAX_LENGTH = 100_000_000  # `list` sets so much room aside before it asks for an item
_OWN = frozenset({"class_name", "fields"})


def _operator(name: str, *, swapped: bool = False) -> Callable[..., Any]:
    def operate(self: Remote, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        return self._connection.ask("operate", name, *operands, label=self._label)

    return operate


def _comparison(name: str) -> Callable[[Remote, Any], bool]:
    def compare(self: Remote, other: Any) -> bool:
        found = self._connection.ask("operate", name, self, other, label=self._label)
        return exactly(bool, found, self._label)

    return compare


class Remote(Stub):
    """An object of the submission, by reference. Comparing one is a mistake and says so.

    `class_name` is its class; `fields` a snapshot of the plain fields of a NamedTuple, dataclass
    or enum member, else ``None``. Reading a field of an immutable one asks no question.
    """

    __slots__ = ("__weakref__", "_handle", "_label")
    _handle: Handle
    _label: str

    def __init__(self, connection: Connection, handle: Handle, label: str) -> None:
        for name, value in (
            ("_connection", connection),
            ("_handle", handle),
            ("_label", label or handle.class_name),
            ("_number", handle.id),
        ):
            object.__setattr__(self, name, value)

    def _ask(self, operation: str, *arguments: Any, label: str = "") -> Any:
        return self._connection.ask(operation, self, *arguments, label=label or self._label)

    @property
    def class_name(self) -> str:
        return str(self._handle.class_name)

    @property
    def fields(self) -> dict[str, Any] | None:
        snapshot = self._handle.fields
        return None if snapshot is None else dict(snapshot)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # pytest and pdb probe for these
            raise AttributeError(name)
        snapshot = self._handle.fields
        if snapshot is not None and self._handle.kind != "object" and name in snapshot:
            return snapshot[name]
        return self._ask("get", name, label=f"{self._label}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            raise AttributeError(f"{name} is the judge's own")
        self._ask("set", name, value)

    def __delattr__(self, name: str) -> None:
        self._ask("delete", name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._ask("call", arguments, keywords)

    def __enter__(self) -> Any:
        return self._ask("enter")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the block there as well. Nothing is swallowed here: see `Submission.swallows`."""
        leave(self, error)

    def __len__(self) -> int:
        length = exactly(int, self._ask("len"), self._label)
        if not 0 <= length <= _MAX_LENGTH:
            raise WrongType(f"a length of at most {_MAX_LENGTH:,} from {self._label}", show(length))
        return length

    def __bytes__(self) -> bytes:
        return exactly(bytes, self._ask("bytes", slice(None)), self._label)

    def __int__(self) -> int:
        return exactly(int, self._ask("convert", "int"), self._label)

    def __float__(self) -> float:
        return exactly(float, self._ask("convert", "float"), self._label)

    def __str__(self) -> str:
        return exactly(str, self._ask("convert", "str"), self._label)

    def __getitem__(self, key: Any) -> Any:
        values = self._values()
        return self._ask("item", key) if values is None else values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("set_item", key, value)

    def __delitem__(self, key: Any) -> None:
        self._ask("delete_item", key)

    def __contains__(self, value: Any) -> bool:
        return exactly(bool, self._ask("contains", value), self._label)

    def __iter__(self) -> Iterator[Any]:
        values = self._values()
        return self._stream() if values is None else iter(values)

    def __next__(self) -> Any:
        items, end = self._ask("next", 1)
        if items:
            return items[0]
        return finish(end, self._label)

    def _values(self) -> tuple[Any, ...] | None:
        """The items of a NamedTuple, which its snapshot already has."""
        snapshot = self._handle.fields
        return tuple(snapshot.values()) if snapshot and self._handle.kind == "tuple" else None

    def _stream(self) -> Iterator[Any]:
        iterator = self._ask("iter")
        chunk, seen = 1, 0
        while True:
            items, end = iterator._ask("next", chunk, label=self._label)
            yield from items
            seen += len(items)
            if seen > _MAX_ITEMS or (not items and end is None):
                raise WorkerLost("output", f"{self._label} does not stop giving items")
            if end is not None:
                try:
                    finish(end, self._label)
                except StopIteration:
                    return
            chunk = min(chunk * 2, _MAX_CHUNK)

    __lt__, __le__ = _comparison("lt"), _comparison("le")
    __gt__, __ge__ = _comparison("gt"), _comparison("ge")
    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", swapped=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", swapped=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", swapped=True)
    __truediv__, __rtruediv__ = _operator("truediv"), _operator("truediv", swapped=True)
    __floordiv__, __rfloordiv__ = _operator("floordiv"), _operator("floordiv", swapped=True)
    __mod__, __rmod__ = _operator("mod"), _operator("mod", swapped=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", swapped=True)
    __and__, __rand__ = _operator("and_"), _operator("and_", swapped=True)
    __or__, __ror__ = _operator("or_"), _operator("or_", swapped=True)
    __xor__, __rxor__ = _operator("xor"), _operator("xor", swapped=True)
    __lshift__, __rlshift__ = _operator("lshift"), _operator("lshift", swapped=True)
    __rshift__, __rrshift__ = _operator("rshift"), _operator("rshift", swapped=True)
    __neg__, __pos__, __abs__ = _operator("neg"), _operator("pos"), _operator("abs")
    __invert__ = _operator("invert")

    def __bool__(self) -> bool:
        raise WrongType("plain data where a truth is asked", repr(self))

    def __eq__(self, other: object) -> NoReturn:
        raise WrongType("plain data to compare", repr(self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.class_name} of the submission>"

    def __del__(self) -> None:
        self._connection.release(self._number)


class RemoteBuffer(Remote):
    """A bytearray or memoryview of the submission: slices read as bytes and are written through."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return exactly(bytes, self._ask("bytes", key), self._label)
        return exactly(int, self._ask("item", key), self._label)

    def view(self, start: int | None = None, stop: int | None = None) -> RemoteBuffer:
        """A memoryview of a part, in the worker, to pass on."""
        part = self._ask("view", start, stop)
        assert isinstance(part, RemoteBuffer)
        return part


class Batch:
    """One call repeated over arguments that already lie in the worker.

    `run` is what a benchmark times: one question, no data in it or in its answer.
    """

    def __init__(self, connection: Connection, function: Remote, calls: Sequence[tuple[Any, ...]]):
        self._batch = connection.ask("prepare", function, list(calls), label=function._label)
        self._connection = connection
        self._calls = len(calls)

    def run(self) -> None:
        """Make the calls. Raises the first `RemoteError`."""
        self._batch._ask("run")

    def results(self, chosen: Sequence[int] | None = None) -> list[Any]:
        """What the calls of the last `run` returned, or the `chosen` of them, by index."""
        wanted = None if chosen is None else list(chosen)
        label = self._batch._label
        found = exactly(list, self._batch._ask("results", wanted), label)
        return _as_many(self._connection, found, self._calls if wanted is None else len(wanted))


def remote_map(
    connection: Connection, function: Remote, calls: Sequence[tuple[Any, ...]]
) -> list[Any]:
    """One question, many calls; an exception is a `RemoteError` in the list."""
    label = function._label
    answers = exactly(list, connection.ask("map", function, list(calls), label=label), label)
    _as_many(connection, answers, len(calls))
    return [remote_error(item, label) if type(item) is Raised else item for item in answers]


def _as_many(connection: Connection, answers: list[Any], count: int) -> list[Any]:
    """`answers`, of which there must be `count`: the worker's own code sees to that."""
    if len(answers) != count:
        connection.close()
        raise WorkerLost("crashed", "Broken answer: not as many results as calls")
    return answers


def finish(end: Any, label: str) -> NoReturn:
    """Raise what ended an iterator: a `RemoteError`, or `StopIteration`."""
    if type(end) is list and len(end) == 1 and type(end[0]) is Raised:
        raise remote_error(end[0], label)
    raise StopIteration


def leave(manager: Remote, error: BaseException | None) -> bool:
    """Ask `manager` to leave its block by `error`; whether it swallowed that.

    A failed check is not told to the submission, and nothing it raises then can hide that.
    """
    connection = manager._connection
    if isinstance(error, WorkerLost) or not connection.alive:
        return False
    told = error
    if error is not None and not sendable(error):
        told = RuntimeError(f"{type(error).__name__} in the block")
    try:
        return exactly(bool, manager._ask("exit", told), manager._label)
    except Exception:
        if told is not error:
            return False
        raise


def exactly(kind: type[T], value: Any, label: str) -> T:
    """`value`, which must be of exactly this type (`WrongType` else)."""
    if type(value) is not kind:
        got = value.class_name if isinstance(value, Remote) else type(value).__name__
        raise WrongType(f"{kind.__name__} from {label}", got)
    exact: T = value
    return exact

"""The judge's side of one worker: numbers questions, caps answers, runs callbacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from grader.box.in_process import LoopTransport
from grader.box.transport import Transport
from grader.errors import WorkerLost, remote_error
from grader.inside.protocol import (
    Call,
    Handle,
    ProtocolViolation,
    Raised,
    Sent,
    Tag,
    decode_answer,
    encode,
    flatten,
)
from grader.proxy.callbacks import Callback, Callbacks, Throw, class_name, error_parts, sendable

__all__ = ["MAX_CALLS", "MAX_NESTED", "Connection", "Stub"]

MAX_CALLS = 200_000
"""How often the submission may call functions of the judge in one worker's life."""
MAX_NESTED = 16
"""How deep questions and calls may lie in each other."""


class Stub:
    """Something that stands for an object of one worker: see `grader.proxy.proxy.Remote`."""

    __slots__ = ("_connection", "_number")
    _connection: Connection
    _number: int


class Connection:
    """One worker as a place to ask. `remote` makes the judge's side of an object that stays there.

    `on_ask` is told operation, arguments, label and the value or exception after every question.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        first: int,
        max_handles: int,
        timeout_s: Callable[[], float],
        whose: str = "",
    ) -> None:
        self._transport = transport
        self._number = first
        self._max_handles = max_handles
        self._timeout_s = timeout_s
        self._whose = whose
        self._live: set[int] = set()
        self._released: list[int] = []
        self._callbacks = Callbacks()
        self._calls = 0
        self._depth = 0
        self._scope = 0
        self._thread = 0
        self._talking = False
        self.alive = True
        self.before: Callable[[], None] | None = None
        """Called before every question."""
        self.on_ask: Callable[[str, tuple[Any, ...], str, object], None] | None = None
        self.patience_s: float | None = None
        """A shorter time for each question than the limits give."""

    def ask(self, operation: str, *arguments: Any, label: str = "") -> Any:
        """The value answered. Raises `RemoteError`, or `WorkerLost` when there is no answer.

        Whatever a callback raises that is not meant for the submission, a failed check above all,
        ends the worker and comes out here.
        """
        try:
            value = self._ask(operation, arguments, label)
        except Exception as error:
            if self.on_ask is not None:
                self.on_ask(operation, arguments, label, error)
            raise
        if self.on_ask is not None:
            self.on_ask(operation, arguments, label, value)
        return value

    def _ask(self, operation: str, arguments: tuple[Any, ...], label: str) -> Any:
        if self.before is not None:
            self.before()
        me = threading.get_ident()
        if self._talking or (self._depth and self._thread != me):
            raise RuntimeError("Expected one question at a time: another is out")
        self._thread = me
        self._number += 1
        number = self._number
        outer, self._scope = self._scope, number
        name = label if operation == "get" else ""
        self._depth += 1
        try:
            # The arguments travel as the items of one list; its tag is cut off on arrival.
            head = [number, self._released, operation]
            payload = encode(head, list(arguments), self._refer)
            self._released = []
            value = self._converse(payload, number, lambda handle: self._remote(handle, name))
        finally:
            self._depth -= 1
            self._scope = outer
            self._callbacks.end(number)
        if type(value) is Raised:
            raise remote_error(value, self._whose + label)
        return value

    def _converse(self, payload: bytes, number: int, resolve: Callable[[Any], Any]) -> Any:
        """The answer to question `number`, after all the calls that come before it."""
        limit_s = left_s = 0.0
        try:
            limit_s = left_s = self._question_s()
            while True:
                started_s = time.monotonic()
                answer = decode_answer(self._exchange(payload, left_s), number, resolve)
                if type(answer) is not Call:
                    return answer
                left_s -= time.monotonic() - started_s
                payload = self._reply(answer)
                left_s = min(left_s, self._timeout_s())  # the judge's own time is not counted
                if left_s <= 0:
                    raise WorkerLost("timeout", _no_answer(limit_s))
        except ProtocolViolation as error:
            self.close()
            raise WorkerLost("crashed", str(error)) from None
        except WorkerLost as lost:
            self.close()
            again = lost.outcome == "timeout" and lost.message == _no_answer(left_s)
            message = _no_answer(limit_s) if again else lost.message
            if message == lost.message and not self._whose:
                raise
            raise WorkerLost(lost.outcome, self._whose + message) from lost
        except BaseException:
            self.close()  # no conversation goes on from the middle
            raise

    def _exchange(self, payload: bytes, timeout_s: float) -> bytes:
        self._talking = True
        try:
            return self._transport.ask(payload, timeout_s)
        finally:
            self._talking = False

    def _question_s(self) -> float:
        limit_s = self._timeout_s()
        return limit_s if self.patience_s is None else min(limit_s, self.patience_s)

    # -- calls of the submission -----------------------------------------------------------------

    def _reply(self, call: Call) -> bytes:
        """Run the callback; the reply to the submission."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise WorkerLost("output", f"Called back more than {MAX_CALLS:,} times")
        function = self._callbacks.find(call.callback)
        if function is None:
            raise WorkerLost("crashed", "Broken answer: calls a function it was not given")
        raised, value = False, None
        try:
            if self._depth > MAX_NESTED:
                raise RecursionError(f"Questions and calls nested deeper than {MAX_NESTED} levels")
            value = function(*call.arguments, **call.keywords)
        except Exception as error:
            raised, value = True, _for_the_submission(error)
        if not self.alive:
            raise WorkerLost("crashed", "The worker was ended")
        return encode([call.callback, raised], value, self._refer)

    # -- handles ---------------------------------------------------------------------------------

    def release(self, number: int) -> None:
        """Called when the judge drops a `Remote`; told to the worker with the next question."""
        if self.alive:
            self._live.discard(number)
            self._released.append(number)

    def _refer(self, value: Any) -> list[Any]:
        if isinstance(value, Stub):
            if value._connection is not self:
                raise ValueError(f"{value!r} belongs to another worker")
            return [int(Tag.REFERENCE), value._number]
        if isinstance(value, BaseException):
            name, arguments, number = error_parts(value)
            return [int(Tag.ERROR), name, flatten(arguments, self._refer), number]
        if isinstance(value, type):
            return [int(Tag.BUILTIN), class_name(value)]
        if isinstance(value, Callback) or callable(value):
            return [int(Tag.CALLBACK), *self._callbacks.tell(value, self._scope)]
        raise TypeError(f"Expected plain data or a Remote to send, got {type(value).__name__}")

    def _remote(self, handle: Handle | Sent, label: str) -> Any:
        from grader.proxy.proxy import Remote, RemoteBuffer

        if type(handle) is not Handle or handle.id in self._live:
            raise ProtocolViolation("a handle that is in use")
        if len(self._live) >= self._max_handles:
            raise ProtocolViolation("more objects than the judge holds")
        self._live.add(handle.id)
        return (RemoteBuffer if handle.kind == "buffer" else Remote)(self, handle, label)

    # -- its life --------------------------------------------------------------------------------

    def close(self) -> None:
        self.alive = False
        self._transport.close()

    @property
    def in_process(self) -> bool:
        """Whether the worker is a thread of this process, which nothing can kill."""
        return isinstance(self._transport, LoopTransport)

    def peak_memory(self) -> int:
        """Peak resident bytes of the worker, by the kernel's books."""
        return self._transport.peak_memory()

    def output(self) -> tuple[str, str]:
        return self._transport.output()


def _no_answer(limit_s: float) -> str:
    return f"No answer within {limit_s:g} s for one question"


def _for_the_submission(error: Exception) -> Any:
    """What the submission sees of an exception of a callback; raises those that end the test."""
    if isinstance(error, Throw):
        return error.error
    if not sendable(error):
        raise error
    return error

"""Beside the submission, inside the box: answers the judge's questions.

Everything here shares a process with code that may be hostile, so nothing here is trusted and
nothing here knows an expected value, a seed or a key. Standard library and msgspec only.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from grader.inside.backends import open_loop
from grader.inside.conversation import Conversation, ConversationOver, Dispatcher
from grader.inside.event_loops import Loop
from grader.inside.operations import Operations
from grader.inside.protocol import (
    HEADER,
    VERSION,
    Handle,
    Question,
    Raised,
    Sent,
    Tag,
    encode,
    frame,
    unflatten,
)
from grader.inside.tasks import awaited, run_once
from grader.inside.telling import UNTELLABLE, describe, refuse, tell
from grader.inside.together import Prepared, Row, in_threads

__all__ = ["EXIT_NO_MEMORY", "Servant", "serve"]

EXIT_NO_MEMORY = 86


class Servant(Operations):
    """Holds the submission's objects under handles and performs one operation per question."""

    def __init__(self, load: Callable[[str], Any], root: str) -> None:
        super().__init__(load)
        self._root = root
        self._objects: dict[int, Any] = {}
        self._numbers = itertools.count(1)
        self._callbacks: dict[int, Callable[..., Any]] = {}
        self._remembered: dict[int, BaseException] = {}
        self._dispatcher = Dispatcher()
        self._loops: list[Loop] = []

    def talk(self, send: Callable[[bytes], None], receive: Callable[[], bytes]) -> None:
        """Serve until one of these raises."""
        self.conversation = Conversation(send, receive, self.handle)
        try:
            self.conversation.serve()
        finally:
            for loop in self._loops:
                loop.stop()
            for name in self.probes:
                sys.modules.pop(name, None)

    def handle(self, question: Question) -> bytes:
        """The answer to `question`. Whatever the submission raises is an answer."""
        number, released, operation, arguments = question
        try:
            for handle in released:
                self._objects.pop(handle, None)
            if operation != "exit":  # that one may bring back what was raised inside the block
                self._remembered.clear()
            values = [self._arrived(argument) for argument in arguments]
            value = getattr(self, "do_" + operation)(*values)
            return self._telling([number], value)
        except ConversationOver:
            raise
        except BaseException as error:
            try:
                return self._telling([number], self._remember(error))
            except BaseException:  # the submission's own class lies about itself
                return self._telling([number], UNTELLABLE)

    def raised(self, error: BaseException) -> Raised:
        return tell(error, self._root)

    def do_attend(self, seconds: float) -> None:
        self.conversation.attend(seconds)

    def do_run_async(self, backend: str, function: Any, arguments: Any, keywords: Any) -> Any:
        return run_once(backend, function, arguments, keywords)

    def do_loop(self, backend: str, clock: str, seed: int | None) -> Loop:
        loop = open_loop(backend, clock, seed)
        self._loops.append(loop)
        return loop

    def do_together(
        self, loop: Loop | None, clients: list[list[Prepared]], within_s: float, seed: int
    ) -> list[list[Row]]:
        """What each client saw: tasks of `loop`, or threads."""
        if loop is not None:
            found = loop.together(clients, within_s)
        else:
            found = in_threads(clients, within_s, seed, lambda name: name.startswith(self._root))
        return [[self._row(*row) for row in rows] for rows in found]

    def _row(self, start: int, end: int, raised: bool, value: Any) -> Row:
        return start, end, raised, self.raised(value) if raised else value

    # -- what leaves the process ---------------------------------------------------------------

    def _telling(self, head: list[Any], value: Any) -> bytes:
        made: list[int] = []

        def refer(value: Any) -> list[Any]:
            found = self._refer(value)
            made.append(found[1])
            return found

        def undo() -> None:
            while made:
                self._objects.pop(made.pop(), None)

        return encode(head, value, refer, undo)

    def _refer(self, value: Any) -> list[Any]:
        number = next(self._numbers)
        self._objects[number] = value
        return [int(Tag.HANDLE), number, type(value).__name__, *describe(value)]

    def _remember(self, error: BaseException) -> Raised:
        number = next(self._numbers)
        raised = tell(error, self._root, number)
        self._remembered[number] = error
        return raised

    # -- what comes in -------------------------------------------------------------------------

    def _arrived(self, tree: Any) -> Any:
        return unflatten(tree, self._received)

    def _received(self, sent: Handle | Sent) -> Any:
        assert type(sent) is Sent
        if sent.tag == Tag.REFERENCE:
            return self._objects[sent.parts[0]]
        if sent.tag == Tag.BUILTIN:
            return getattr(builtins, sent.parts[0])
        if sent.tag == Tag.ERROR:
            name, arguments, number = sent.parts
            known = self._remembered.get(number)
            return self._made(name, self._arrived(arguments)) if known is None else known
        number, is_awaited, scope = sent.parts
        found = self._callbacks.get(number)
        if found is None:
            found = self._callback(number, scope, is_awaited=is_awaited)
            if not scope:  # passed again it is the same object, as a function would be
                self._callbacks[number] = found
        return found

    def _made(self, name: str, arguments: list[Any]) -> BaseException:
        kind = getattr(builtins, name)
        try:
            return kind(*arguments)  # type: ignore[no-any-return]
        except TypeError:  # a class that wants more than the message of the original
            return RuntimeError(*arguments)

    # -- functions of the judge ----------------------------------------------------------------

    def _callback(self, number: int, scope: int, *, is_awaited: bool) -> Callable[..., Any]:
        """A function that asks the judge to run its callback `number`."""

        def callback(*arguments: Any, **keywords: Any) -> Any:
            return self._call(number, scope, (arguments, keywords))

        async def awaited_callback(*arguments: Any, **keywords: Any) -> Any:
            left = threading.Event()

            def job(spoken: Callable[[], None]) -> Any:
                return self._call(number, scope, (arguments, keywords), left, spoken)

            try:
                return await awaited(self._dispatcher, job)
            finally:
                left.set()
                self.conversation.wake()

        return awaited_callback if is_awaited else callback

    def _call(
        self,
        number: int,
        scope: int,
        value: tuple[Any, ...],
        left: threading.Event | None = None,
        spoken: Callable[[], None] | None = None,
    ) -> Any:
        def payload(question: int) -> bytes:
            payload = self._telling([question, number], value)
            if spoken is not None:
                spoken()
            return payload

        reply = self.conversation.call(payload, scope, left or threading.Event())
        returned = self._arrived(reply.value)
        if reply.raised:
            raise returned
        return returned


def serve(questions: int, answers: int, root: str) -> None:
    """Say hello on descriptor `answers`, then answer what comes in on `questions`, for ever.

    `root` is the folder of the submission: tracebacks name files below it. The process is confined
    already, and leaves when the judge closes the pipe.
    """
    owner = os.getpid()

    def receive() -> bytes:
        (length,) = HEADER.unpack(_read(questions, HEADER.size))
        return _read(questions, length)

    def send(payload: bytes) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # closed or replaced by the submission: its own affair
                continue
        if os.getpid() != owner:
            os._exit(0)  # a fork of the submission came back: it has no question to answer
        _write(answers, frame(payload))

    send(encode([0], {"version": VERSION, "pid": owner}, refuse))
    try:
        Servant(importlib.import_module, root).talk(send, receive)
    except MemoryError:  # not even room to say so
        os._exit(EXIT_NO_MEMORY)


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

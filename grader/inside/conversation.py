"""The worker's side of the pipe: who of its threads may speak, and when.

The judge listens after each of its frames until one frame comes back. That frame is the answer to
the question asked last, or a call of one of the judge's functions, made by whichever thread of the
submission gets the word first. A thread that has called waits for its reply, and meanwhile answers
what the judge asks from inside that function.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from grader.inside.protocol import Question, Reply, decode_heard

__all__ = ["CALLBACKS", "Conversation", "ConversationOver", "Dispatcher", "LateCall"]

CALLBACKS = "callbacks"
"""The name of threads that call the judge for coroutines."""


class LateCall(RuntimeError):
    """A function of the judge was called after the question that brought it had ended."""

    def __init__(self) -> None:
        super().__init__("This function may only be called while the call it was passed to runs")


class ConversationOver(BaseException):
    """The judge has hung up: nothing of this worker matters any more."""


class Conversation:
    """One frame at a time, whatever the threads of the submission do.

    `send` and `receive` carry frames; `perform` turns a question into the bytes of its answer.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        receive: Callable[[], bytes],
        perform: Callable[[Question], bytes],
    ) -> None:
        self._send = send
        self._receive = receive
        self._perform = perform
        self._turn = threading.Condition()
        self._listening = False
        self._over = False
        self._served = 0
        self._open: list[int] = []  # questions without an answer, the one asked last at the end

    def serve(self) -> None:
        """Answer questions until `receive` or `send` raises, which ends the conversation."""
        while True:
            heard = self._hear()
            assert type(heard) is Question
            self._answer(heard)

    def call(self, encode: Callable[[int], bytes], scope: int, left: threading.Event) -> Reply:
        """Speak as soon as the judge listens; `encode` makes the frame for the question then out.

        `scope` is the question that must be open, or 0 for any: then a call between two questions
        waits for the next. Raises `LateCall` when that question is over, or `left` is set by a
        caller who no longer waits.
        """
        with self._turn:
            while True:
                if self._over:
                    raise ConversationOver
                if left.is_set() or (scope and scope not in self._open):
                    raise LateCall
                if self._listening:
                    break
                self._turn.wait()
            payload = encode(self._open[-1])
            self._listening = False
        self._send(payload)
        while True:
            heard = self._hear()
            if type(heard) is Reply:
                with self._turn:
                    self._listening = True
                    self._served += 1
                    self._turn.notify_all()
                return heard
            assert type(heard) is Question
            self._answer(heard)

    def wake(self) -> None:
        """Let waiting calls look again at whether anyone still waits for them."""
        with self._turn:
            self._turn.notify_all()

    def attend(self, seconds: float) -> None:
        """Leave the word to other threads until one has called and was answered, or time is up."""
        with self._turn:
            before = self._served
            self._turn.wait_for(lambda: self._over or self._served != before, seconds)

    def _hear(self) -> Question | Reply:
        try:
            return decode_heard(self._receive())
        except BaseException:
            with self._turn:
                self._over = True
                self._turn.notify_all()
            raise

    def _answer(self, question: Question) -> None:
        with self._turn:
            self._open.append(question.number)
            self._listening = True
            self._turn.notify_all()
        payload = self._perform(question)
        with self._turn:
            # A call of another thread, and what the judge asked from inside it, come first.
            while not (self._listening and self._open[-1] == question.number):
                if self._over:
                    raise ConversationOver
                self._turn.wait()
            self._listening = False
            self._open.pop()
            self._turn.notify_all()
        self._send(payload)


class Dispatcher:
    """Threads that call the judge for coroutines, so that no event loop stands still meanwhile.

    There is one thread, and one more for each call that is out when the next one comes: the judge
    may need that one answered before it can end the first.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._jobs: deque[Callable[[Callable[[], None]], None]] = deque()
        self._free = 0

    def submit(self, job: Callable[[Callable[[], None]], None]) -> None:
        """Run ``job(spoken)`` in a thread; it calls ``spoken()`` when it gets the word."""
        with self._lock:
            self._jobs.append(job)
            self._lock.notify()
            self._ensure()

    def _ensure(self) -> None:
        if self._jobs and not self._free:
            self._free += 1
            threading.Thread(target=self._work, name=CALLBACKS, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._jobs:
                    self._lock.wait()
                job = self._jobs.popleft()
            busy = threading.Event()

            def spoken(busy: threading.Event = busy) -> None:
                with self._lock:
                    self._free -= 1
                    busy.set()
                    self._ensure()

            try:
                job(spoken)
            except ConversationOver:
                return
            with self._lock:
                self._free += busy.is_set()

"""Threads that cannot outlive the block that started them.

Under the GIL only one thread runs Python at a time: threads help where the work lets it go (numba's
``nogil``, NumPy on large arrays, hashing, files). Reference: ``std::thread::scope``.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from meridian.checks import checked_int
from meridian.errors import MeridianError
from meridian.foundation.sync.limits import FOREVER, limit_s
from meridian.foundation.tasks.exits import JoinTimeout

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Scope", "ScopeClosed", "ScopedThread", "scope"]

P = ParamSpec("P")
R = TypeVar("R")


class ScopeClosed(MeridianError, RuntimeError):
    """A scope was used before its block began or after it ended."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"This scope is {state}: use it inside of its own `with scope() as s:`")


class ScopedThread(Generic[R]):
    """A call that runs, or will run, in a thread of a `Scope`."""

    def __init__(self, owner: Scope, call: Callable[[], R], name: str) -> None:
        """Only a scope makes these: use `Scope.spawn`."""
        self.name = name
        self._scope = owner
        self._call: Callable[[], R] | None = call
        self._thread: int | None = None  # while it runs
        self._gate = threading.Lock()  # open when the call has ended
        self._gate.acquire()
        self._done = False
        self._value: R | None = None
        self._error: BaseException | None = None
        self._told = False

    @property
    def is_done(self) -> bool:
        """Whether the call has returned or raised."""
        return self._done

    def join(self, timeout: float | None = None) -> R:
        """Wait until the call has ended; its result. Any number of times, also after the scope.

        Raises what the call raised, which the scope then leaves to you, or `JoinTimeout`.
        """
        limit = limit_s(timeout)
        if self._thread == threading.get_ident():
            raise RuntimeError(f"{self.name} would wait for itself")
        if not self._scope._finish(self, limit):
            raise JoinTimeout(self.name, limit)
        if self._error is not None:
            self._told = True
            raise self._error
        return self._value  # type: ignore[return-value]

    def _wait(self, limit: float) -> bool:
        """Sleep until the call has ended; whether that was within the limit."""
        if not self._done:
            # A loop, as in `Mutex.lock`: no signal comes between its head and its body.
            for opened in map(self._gate.acquire, (True,), (limit,)):
                if opened:
                    self._gate.release()  # for the others that wait
        return self._done

    def _begin(self) -> Callable[[], R] | None:
        """What to call; None when that has been taken back. With the scope's latch."""
        call, self._call = self._call, None
        return call

    def _run(self, call: Callable[[], R]) -> None:
        self._thread = threading.get_ident()
        try:
            self._value = call()
        except BaseException as error:
            self._error = error
        self._thread = None
        self._done = True
        self._gate.release()


class Scope:
    """Owns the threads that are started in its block, and joins them before the block is left.

    So what they use need only live as long as the block. Of the calls that failed and were not
    joined by hand, leaving raises the one, or all in an `ExceptionGroup`, the block's own first.
    An interrupt is raised only when all threads have ended, too: nothing can stop a thread. Only
    one that comes before the first step of `__exit__` is raised at once; then the threads go on.
    """

    def __init__(self, max_threads: int | None = None) -> None:
        """Run at most `max_threads` at a time; further calls wait for a thread, in order."""
        self._max = (
            None if max_threads is None else checked_int("max_threads", max_threads, least=1)
        )
        self._state = "not open yet"
        # Held for a few steps and never while waiting. Not a `threading.Condition`, which an
        # interrupt can leave with its lock in nobody's hands: who waits does so at a call's gate.
        self._latch = threading.Lock()
        self._calls: list[ScopedThread[Any]] = []
        self._pending: deque[ScopedThread[Any]] = deque()
        self._threads: set[threading.Thread] = set()
        self._running = 0

    def spawn(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> ScopedThread[R]:
        """Call `fn` in a thread. From the block or from a thread of the scope; never waits.

        Raises `ScopeClosed`, `TypeError` for what cannot be called, and `RuntimeError` when the
        system gives no more threads.
        """
        if not callable(fn):
            raise TypeError(f"Expected a function, got {type(fn).__name__}")
        call: ScopedThread[R] | None = None
        full = False
        try:
            with self._latch:
                if self._state != "open":
                    raise ScopeClosed(self._state)
                name = f"{getattr(fn, '__name__', 'call')}-{len(self._calls)}"
                call = ScopedThread(self, functools.partial(fn, *args, **kwargs), name)
                if self._max is not None and self._running >= self._max:
                    full = True
                else:
                    self._running += 1
                self._calls.append(call)
                if full:
                    self._pending.append(call)
                    return call
            threading.Thread(target=self._work, args=(call,), name=name).start()
        except BaseException:
            with self._latch:
                if call is not None and call in self._calls and call._begin():  # else it runs
                    self._calls.remove(call)
                    if not full:
                        self._running -= 1
                    elif call in self._pending:
                        self._pending.remove(call)
            raise
        return call

    def __enter__(self) -> Self:
        with self._latch:
            if self._state != "not open yet":
                raise ScopeClosed(self._state)
            self._state = "open"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        interrupt: BaseException | None = None
        while True:
            try:
                self._join_all()
                break
            except BaseException as raised:  # by a signal's handler
                interrupt = interrupt or raised
        failures = [c._error for c in self._calls if c._error is not None and not c._told]
        if interrupt is None and (error is None or isinstance(error, Exception)):
            if failures and error is not None:
                failures.insert(0, error)
            if len(failures) > 1:
                raise BaseExceptionGroup("calls in a scope failed", failures) from None
            if failures:
                raise failures[0]
            return
        end = interrupt if interrupt is not None else error  # of the whole process, not in a group
        assert end is not None
        for failure in failures:
            end.add_note(f"A call in the scope had failed: {failure!r}")
        if interrupt is not None:
            raise interrupt

    def _join_all(self) -> None:
        """Wait for every call, those that are spawned meanwhile included, and every thread."""
        while self._state != "left":
            for call in self._calls:
                call._wait(FOREVER)
            with self._latch:
                if all(call._done for call in self._calls):
                    self._state = "left"
        for thread in self._threads:
            thread.join()

    def _work(self, call: ScopedThread[Any]) -> None:
        with self._latch:
            function = call._begin()
            if function is not None:
                self._threads.add(threading.current_thread())
        while function is not None:
            call._run(function)
            with self._latch:
                if not self._pending:
                    self._running -= 1
                    return
                call = self._pending.popleft()
                function = call._begin()

    def _finish(self, call: ScopedThread[Any], limit: float) -> bool:
        """Wait for the call. A thread of this scope runs it itself if it has not begun.

        Or all threads of a full scope might wait for calls that wait for a thread.
        """
        if threading.current_thread() in self._threads:
            with self._latch:
                function = None
                if call in self._pending:
                    self._pending.remove(call)
                    function = call._begin()
            if function is not None:
                call._run(function)
        return call._wait(limit)


def scope(max_threads: int | None = None) -> Scope:
    """Threads for one block: ``with scope() as s: h = s.spawn(fn, 1); h.join()``. See `Scope`.

    Raises `TypeError` and `ValueError` for a `max_threads` that is no number above 0.
    """
    return Scope(max_threads)

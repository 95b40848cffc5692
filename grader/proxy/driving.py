"""What a suite does with a submission beyond calling its names."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from grader.box.workers import Workshop
from grader.judging.compare import CriterionFailed
from grader.judging.histories import History
from grader.proxy.callbacks import Callback, sendable
from grader.proxy.crash import Crash, Strike, strike
from grader.proxy.loops import BACKENDS, CLOCKS, Block, Loop
from grader.proxy.proxy import Connection, Remote, RemoteError, leave
from grader.proxy.recording import Clients, recorded

__all__ = ["Driving", "Swallows"]

_RETRY_S = 0.005
_ATTEND_S = 1.0
_ACCEPT_S = 5.0


class Swallows:
    """A block that must raise, around a manager that must swallow it."""

    def __init__(self, manager: Remote | Block, names: tuple[str, ...], call: str) -> None:
        self._manager = manager
        self._names = names
        self._call = call

    def __enter__(self) -> Any:
        return self._manager.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        remote = self._manager if isinstance(self._manager, Remote) else self._manager.held
        swallowed = leave(remote, error)
        wanted = " or ".join(self._names)
        if error is None:
            raise CriterionFailed(f"{self._call or 'The block'} must raise {wanted}; it did not")
        if not sendable(error) or not any(name in _mro(error) for name in self._names):
            return False
        if not swallowed:
            what = self._call or remote.class_name
            raise CriterionFailed(f"{what} must swallow {wanted}; it let it through") from error
        return True


def _mro(error: BaseException) -> tuple[str, ...]:
    if isinstance(error, RemoteError):
        return error.mro
    return tuple(cls.__name__ for cls in type(error).__mro__)


class Driving(ABC):
    """The part of `Submission` that drives what runs in the worker."""

    _workshop: Workshop

    @abstractmethod
    def _live(self) -> Connection: ...

    @abstractmethod
    def _ask(self, operation: str, *arguments: Any, label: str = "") -> Any: ...

    @abstractmethod
    def kill(self) -> None: ...

    # -- code of the suite in the worker ---------------------------------------------------------

    def stdlib(self, name: str) -> Remote:
        """A module of the standard library in the worker: ``stdlib("operator").eq(a, b)``."""
        return _remote(self._ask("module", name, label=f"import {name}"))

    def probe(self, file: Path) -> Remote:
        """Run a file of the suite in the worker, as a module that may import the submission.

        What it counts or times there, hostile code could forge: a suite says where it relies on it.
        """
        source = Path(file).read_text(encoding="utf-8")
        return _remote(self._ask("probe", Path(file).stem, source, label=Path(file).name))

    def subclass(self, *bases: Remote, **members: Any) -> Remote:
        """A class in the worker that inherits from `bases`, made of plain data and functions.

        A function of the judge is a method: it is called with ``self`` first. Without bases it is
        a double, for code that wants an object with these methods.
        """
        made = {
            name: member
            if not callable(member) or isinstance(member, Remote | type)
            else self.callback(member)
            for name, member in members.items()
        }
        return _remote(self._ask("subclass", bases, made, label="subclass"))

    # -- callbacks -------------------------------------------------------------------------------

    def callback(
        self, function: Callable[..., Any] | Callback, *, awaited: bool = False
    ) -> Callback:
        """A function that the submission may keep and call later, `awaited` as an async one.

        A function passed as it is may be called only until the call it is passed to returns. The
        submission chooses all arguments, those with a default as well: what it must not reach is
        bound by `functools.partial` or a closure, not by ``seen=seen``.
        """
        if isinstance(function, Callback):
            return function
        return Callback(function, awaited=awaited)

    def attend(
        self, until: Callable[[], bool] | None = None, within_s: float = 5.0, what: str = ""
    ) -> None:
        """Let the submission call back until ``until()`` holds, or for all of `within_s` without.

        Raises `CriterionFailed`, naming `what` was waited for, when it does not hold in time.
        """
        deadline_s = time.monotonic() + within_s
        while until is None or not until():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                if until is None:
                    return
                raise CriterionFailed(f"{what or 'What must happen'}: not within {within_s:g} s")
            self._ask("attend", min(left_s, _ATTEND_S))

    # -- async code ------------------------------------------------------------------------------

    def run(
        self, function: Remote, *arguments: Any, backend: str = "asyncio", **keywords: Any
    ) -> Any:
        """``asyncio.run(function(*arguments))`` or ``trio.run``, in the worker, to its end."""
        _check_backend(backend)
        label = function._label
        return self._ask("run_async", backend, function, arguments, keywords, label=label)

    def loop(
        self, backend: str = "asyncio", *, clock: str = "real", seed: int | None = None
    ) -> Loop:
        """An event loop that goes on between questions. See `grader.proxy.loops.Loop`.

        With ``clock="virtual"`` it goes on only while a question is out, and time jumps to the
        next timer when no task can run; `seed` draws the order of tasks that are ready together.
        Both live in the worker, where hostile code could tamper with them.
        """
        _check_backend(backend)
        if clock not in CLOCKS:
            raise ValueError(f"Expected clock {' or '.join(CLOCKS)}, got {clock!r}")
        if seed is not None and clock == "real":
            raise ValueError('Expected no seed: in real time it repeats nothing; clock="virtual"')
        remote = _remote(self._ask("loop", backend, clock, seed, label=f"starting {backend}"))
        return Loop(remote, backend if seed is None else f"{backend}, schedule seed {seed}")

    def together(self, clients: Clients, *, seed: int = 0, within_s: float = 5.0) -> History:
        """What threads of the worker saw that made calls at once: one for each of `clients`.

        As `Loop.together`. `seed` draws lines at which a thread lets others go first; the rest of
        the order is the machine's, so that another run may see another history.
        """
        connection = self._live()
        return recorded(connection, None, clients, within_s, seed, f"threads, seed {seed}")

    def swallows(self, manager: Remote | Block, *names: str, call: str = "") -> Swallows:
        """A ``with`` block that must raise one of these, which `manager` must swallow.

        An ordinary ``with`` on an object of the submission swallows nothing, whatever its
        ``__exit__`` says: no check inside the block can be lost.
        """
        return Swallows(manager, names, call)

    # -- sockets ---------------------------------------------------------------------------------

    def dial(self, port: int, host: str = "127.0.0.1", within_s: float = 5.0) -> socket.socket:
        """A TCP socket connected to a server inside the box, as soon as it listens.

        Every operation on it ends after `within_s` with `TimeoutError`. Raises `CriterionFailed`
        when nothing listens by then, `ValueError` for an address that is not loopback.
        """
        self._live()
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                made = self._workshop.dial(port, host)
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise CriterionFailed(
                        f"Nothing listens on port {port} within {within_s:g} s"
                    ) from error
                time.sleep(_RETRY_S)
            else:
                made.settimeout(within_s)
                return made

    def listen(self, port: int = 0) -> socket.socket:
        """A listening TCP socket of the judge, where the submission can connect to it.

        ``listen().getsockname()[1]`` is the port to tell it; accept with a timeout. Raises
        `OSError` for a port in use, and where the box has no network of its own: only the tier
        ``bwrap``, and this process, let a submission connect.
        """
        self._live()
        made = self._workshop.listen(port)
        made.settimeout(_ACCEPT_S)
        return made

    # -- crashes ---------------------------------------------------------------------------------

    def crash(
        self,
        function: Remote,
        calls: Sequence[tuple[Any, ...]] = ((),),
        *,
        after_s: float | None = None,
        call: str = "",
        failpoint: str = "",
        hit: int = 1,
    ) -> Crash:
        """Make `calls`, one question each, and SIGKILL the worker in the middle.

        The kill comes `after_s` seconds, or at the entry of the `hit`-th call of a dotted name in
        the worker (``call="os.fsync"``), or at the `hit`-th arrival at a `failpoint` of
        ``meridian.fs``. What is asked next goes to a new worker on the same files.

        Raises `CriterionFailed` when the point was never reached, `RemoteError` when a call
        raised, `WorkerLost` when the worker ended in another way, `ValueError` for a strike that
        makes no sense. Skips the test in this process, where nothing can be killed.
        """
        when = Strike(after_s, call, failpoint, hit)
        when.check()
        try:
            return strike(self._live(), function, calls, when)
        finally:
            self.kill()

    def peak_memory(self) -> int:
        """Peak resident bytes of the worker so far, read from the kernel by the judge."""
        return self._live().peak_memory()


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"Expected backend {' or '.join(BACKENDS)}, got {backend!r}")


def _remote(value: Any) -> Remote:
    assert isinstance(value, Remote)
    return value

"""How frames reach a worker: through pipes into a box, or through a call in this process.

The judge's side of a pipe believes nothing: every wait has an end, every length a cap, and bytes
that nobody asked for end the worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from grader.box import Spawn
from grader.files import usage
from grader.limits import Limits
from grader.protocol import HEADER, VERSION, ProtocolViolation, decode_answer, frame
from grader.worker import EXIT_NO_MEMORY, Servant
from meridian.errors import MeridianError

__all__ = ["BoxTransport", "LoopTransport", "Transport", "WorkerLost"]

_TICK_S = 0.25
_CHUNK = 1 << 16
_REAP_S = 5.0
_BOOT = "import sys; sys.path.insert(0, sys.argv[2]); from grader.worker import main; main()"


class WorkerLost(MeridianError, RuntimeError):  # noqa: N818 - named for the state
    """The worker is gone. `outcome` is ``timeout``, ``memory``, ``output`` or ``crashed``."""

    def __init__(self, outcome: str, message: str) -> None:
        self.outcome = outcome
        self.message = message
        super().__init__(message)


class Transport(Protocol):
    """One worker."""

    def ask(self, payload: bytes, timeout_s: float) -> bytes:
        """The answer to one question. Raises `WorkerLost`, now and ever after."""
        ...

    def close(self) -> None:
        """End the worker and everything it started. Closing twice is harmless."""
        ...

    def output(self) -> tuple[str, str]:
        """What it wrote to stdout and stderr so far, cut to the limit."""
        ...


class LoopTransport:
    """A worker in this very process, for code one trusts: same encoding, and pdb works."""

    def __init__(self, servant: Servant, on_close: Callable[[], None]) -> None:
        self._servant: Servant | None = servant
        self._on_close = on_close

    def ask(self, payload: bytes, timeout_s: float) -> bytes:  # noqa: ARG002 - no way to enforce
        if self._servant is None:
            raise WorkerLost("crashed", "The worker was ended")
        return self._servant.handle(payload)

    def close(self) -> None:
        if self._servant is not None:
            self._servant = None
            self._on_close()

    def output(self) -> tuple[str, str]:
        return "", ""


class BoxTransport:
    """A boxed worker process and the pipes to it."""

    def __init__(
        self, spawn: Spawn, scratch: Path, limits: Limits, environment: dict[str, str]
    ) -> None:
        self._limits = limits
        self._scratch = scratch
        self._lost: WorkerLost | None = None
        self._inner: int | None = None  # pidfd of the box's first process
        self._streams: dict[int, bytearray] = {}
        self._printed = 0
        self._checked_s = time.monotonic()
        theirs_in, self._questions = os.pipe()
        self._answers, theirs_out = os.pipe()
        self._info, theirs_info = os.pipe()
        settings = {
            "questions": theirs_in,
            "answers": theirs_out,
            "limits": limits.resource_limits(count_processes=spawn.count_processes),
            "uid": spawn.uid,
            "path": [spawn.submission, *spawn.libraries],
            "scratch": spawn.scratch,
        }
        prefix = [part.replace("{info}", str(theirs_info)) for part in spawn.argv]
        # No site (-S), no user site (-s), no current folder (-P); the environment is ours alone.
        command = [*prefix, "-P", "-s", "-S", "-c", _BOOT, json.dumps(settings), spawn.runtime]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs_in, theirs_out, theirs_info),
                env=environment,
                cwd=scratch,
                start_new_session=True,
            )
        finally:
            for fd in (theirs_in, theirs_out, theirs_info):
                os.close(fd)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._streams = {self._out: bytearray(), self._err: bytearray()}
        self._poll = select.poll()
        for fd in (self._answers, self._out, self._err, self._questions):
            os.set_blocking(fd, False)
        for fd in (self._answers, self._out, self._err):
            self._poll.register(fd, select.POLLIN)
        self._started = False

    def start(self) -> None:
        """Wait for the worker's hello. Raises `WorkerLost` when it does not come."""
        if self._started:
            return
        hello = self._exchange(b"", self._limits.start_s, "start")
        try:
            greeting = decode_answer(hello, 0, _no_handles)
            if type(greeting) is not dict or greeting.get("version") != VERSION:
                raise ProtocolViolation("another version of the protocol")
        except ProtocolViolation as error:
            raise self._end("crashed", str(error)) from None
        self._started = True
        self._find_inner()

    def ask(self, payload: bytes, timeout_s: float) -> bytes:
        if self._lost is not None:
            raise self._lost
        self.start()
        if _readable(self._answers, 0):
            raise self._unasked()
        return self._exchange(frame(payload), timeout_s, "one question")

    def close(self) -> None:
        if self._lost is None:
            self._end("crashed", "The worker was ended")

    def output(self) -> tuple[str, str]:
        out, err = (bytes(self._streams[fd]).decode(errors="replace") for fd in self._streams)
        return out, err

    # -- one exchange --------------------------------------------------------------------------

    def _exchange(self, data: bytes, timeout_s: float, what: str) -> bytes:
        """Send `data`, return the one frame that comes back, and drain the streams meanwhile."""
        deadline = time.monotonic() + timeout_s
        unsent = self._send(memoryview(data))
        received, due = bytearray(), -1
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._end("timeout", f"No answer within {timeout_s:g} s for {what}")
            for fd, _ in self._poll.poll(max(1, min(remaining, _TICK_S) * 1000)):
                if fd == self._questions:
                    unsent = self._send(unsent)
                elif fd != self._answers:
                    self._drain(fd)
                elif not self._receive(received):
                    raise self._gone()
            if due < 0 and len(received) >= HEADER.size:
                due = HEADER.size + HEADER.unpack_from(received)[0]
                if due - HEADER.size > self._limits.reply_bytes:
                    raise self._end("output", f"An answer of {due} bytes: too large")
            if 0 <= due <= len(received):
                if len(received) > due:
                    raise self._end("crashed", "It answered more than it was asked")
                if time.monotonic() - self._checked_s > _TICK_S:
                    self._check_scratch()
                return bytes(received[HEADER.size :])
            if time.monotonic() - self._checked_s > _TICK_S:
                self._check_scratch()
                if self._process.poll() is not None and not _readable(self._answers, 0):
                    raise self._gone()  # what it left behind keeps the pipe open

    def _send(self, data: memoryview) -> memoryview:
        try:
            data = data[os.write(self._questions, data) :] if data else data
        except BlockingIOError:
            pass
        except BrokenPipeError:  # gone: the answer pipe will say so
            data = memoryview(b"")
        if data:
            self._poll.register(self._questions, select.POLLOUT)
        else:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._questions)
        return data

    def _receive(self, received: bytearray) -> bool:
        try:
            chunk = os.read(self._answers, _CHUNK)
        except BlockingIOError:
            return True
        received += chunk
        return bool(chunk)

    def _unasked(self) -> WorkerLost:
        """Something came, or the end, while no question was out."""
        if self._receive(bytearray()):
            return self._end("crashed", "It wrote to the answer channel without being asked")
        return self._gone()

    def _drain(self, fd: int) -> None:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._poll.unregister(fd)
            return
        kept = self._streams[fd]
        kept += chunk[: max(0, self._limits.output_kept_bytes - len(kept))]
        self._printed += len(chunk)
        if self._printed > self._limits.output_bytes:
            raise self._end("output", f"Printed more than {self._limits.output_bytes} bytes")

    def _check_scratch(self) -> None:
        used = usage(self._scratch)
        self._checked_s = time.monotonic()
        if used.bytes > self._limits.scratch_bytes:
            cap = self._limits.scratch_bytes
            raise self._end("output", f"Wrote more than {cap} bytes of files")
        if used.too_many:
            raise self._end("output", f"Made more than {used.entries - 1} files")

    # -- the end -------------------------------------------------------------------------------

    def _gone(self) -> WorkerLost:
        """The answer pipe closed: find out how the process ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TICK_S)
        return self._end(*_cause(self._process.poll()))

    def _end(self, outcome: str, message: str) -> WorkerLost:
        """Kill the worker and all it started, wait until they are gone, remember why."""
        if self._lost is not None:
            return self._lost
        self._lost = WorkerLost(outcome, message)
        self._find_inner()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        if self._inner is not None:
            _readable(self._inner, _REAP_S)
            os.close(self._inner)
        for fd in (self._out, self._err):
            with contextlib.suppress(OSError, WorkerLost):
                self._drain(fd)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        for fd in (self._questions, self._answers, self._info):
            os.close(fd)
        return self._lost

    def _find_inner(self) -> None:
        """Hold on to the first process inside the box: when it is dead, all of them are."""
        if self._inner is not None or not hasattr(os, "pidfd_open"):
            return
        text = os.read(self._info, 4096) if _readable(self._info, 0) else b""
        if text:
            with contextlib.suppress(ProcessLookupError, ValueError, KeyError):
                self._inner = os.pidfd_open(json.loads(text)["child-pid"])


def _cause(status: int | None) -> tuple[str, str]:
    """Outcome and message for an exit status; bubblewrap reports signal n as 128 + n."""
    if status is None:
        return "crashed", "It closed the answer channel"
    if status == EXIT_NO_MEMORY:
        return "memory", "Out of memory"
    number = -status if status < 0 else status - 128
    if number == signal.SIGXCPU:
        return "timeout", "Used up its CPU time"
    if 0 < number < signal.NSIG:
        return "crashed", f"Ended by {signal.Signals(number).name} in the middle of a question"
    return "crashed", f"Left with exit status {status} in the middle of a question"


def _readable(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _no_handles(_: Any) -> Any:
    raise ProtocolViolation("a handle in the hello")

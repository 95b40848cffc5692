"""How frames reach a worker in a box: through pipes. In this process: `grader.in_process`.

The judge's side of a pipe believes nothing: every wait has an end, every length a cap, and bytes
that nobody asked for end the worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import Any, Protocol

from grader.box import Spawn
from grader.errors import WorkerLost
from grader.files import usage
from grader.limits import Limits
from grader.process import BoxProcess, readable
from grader.protocol import HEADER, VERSION, ProtocolViolation, decode_answer, frame
from grader.worker import EXIT_NO_MEMORY

__all__ = ["BoxTransport", "Transport"]

_TICK_S = 0.25
_CHUNK = 1 << 16
_BOOT = "import sys; sys.path.insert(0, sys.argv[2]); from grader.worker import main; main()"


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


class BoxTransport:
    """A boxed worker process and the pipes to it."""

    def __init__(
        self, spawn: Spawn, scratch: Path, limits: Limits, environment: dict[str, str]
    ) -> None:
        self._limits = limits
        self._scratch = scratch
        self._lost: WorkerLost | None = None
        self._started = False
        self._checked_s = time.monotonic()
        theirs_in, self._questions = os.pipe()
        self._answers, theirs_out = os.pipe()
        settings = {
            "questions": theirs_in,
            "answers": theirs_out,
            "limits": limits.resource_limits(count_processes=spawn.count_processes),
            "uid": spawn.uid,
            "path": [spawn.submission, *spawn.libraries],
            "scratch": spawn.scratch,
        }
        try:
            self._process = BoxProcess(
                spawn,
                # No site (-S), no user site (-s), no current folder (-P).
                ["-P", "-s", "-S", "-c", _BOOT, json.dumps(settings), spawn.runtime],
                scratch=scratch,
                environment=environment,
                limits=limits,
                pass_fds=(theirs_in, theirs_out),
            )
        except BaseException:
            os.close(self._questions)
            os.close(self._answers)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._poll = select.poll()
        os.set_blocking(self._questions, False)
        os.set_blocking(self._answers, False)
        for fd in (self._answers, *self._process.streams):
            self._poll.register(fd, select.POLLIN)

    def start(self) -> None:
        """Wait for the worker's hello. Raises `WorkerLost` when it does not come."""
        if self._started:
            return
        hello = self._exchange(b"", self._limits.start_s, "the start")
        try:
            greeting = decode_answer(hello, 0, _no_handles)
            if type(greeting) is not dict or greeting.get("version") != VERSION:
                raise ProtocolViolation("another version of the protocol")
        except ProtocolViolation as error:
            raise self._end("crashed", str(error)) from None
        self._started = True
        self._process.find_inner()

    def ask(self, payload: bytes, timeout_s: float) -> bytes:
        if self._lost is not None:
            raise self._lost
        self.start()
        if readable(self._answers, 0):
            raise self._unasked()
        return self._exchange(frame(payload), timeout_s, "one question")

    def close(self) -> None:
        if self._lost is None:
            self._end("crashed", "The worker was ended")

    def output(self) -> tuple[str, str]:
        return self._process.output()

    # -- one exchange --------------------------------------------------------------------------

    def _exchange(self, data: bytes, timeout_s: float, what: str) -> bytes:
        """Send `data`, return the one frame that comes back, and drain the streams meanwhile."""
        deadline = time.monotonic() + timeout_s
        unsent = self._send(memoryview(data))
        received, due = bytearray(), -1
        while due < 0 or len(received) < due:
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
                    raise self._end("output", f"An answer of {due - HEADER.size} bytes: too large")
            self._look_around()
        if len(received) > due:
            raise self._end("crashed", "It answered more than it was asked")
        return bytes(received[HEADER.size :])

    def _send(self, data: memoryview) -> memoryview:
        """Write what fits into the pipe; what is left is written when the pipe has room."""
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

    def _drain(self, fd: int) -> None:
        if not self._process.drain(fd):
            self._poll.unregister(fd)
        if self._process.printed_too_much:
            cap = self._limits.output_bytes
            raise self._end("output", f"Printed more than {cap} bytes")

    def _unasked(self) -> WorkerLost:
        """Something came, or the end, while no question was out."""
        if self._receive(bytearray()):
            return self._end("crashed", "It wrote to the answer channel without being asked")
        return self._gone()

    def _look_around(self) -> None:
        """Now and then: is the process alive, is the scratch folder within its limit?"""
        if time.monotonic() - self._checked_s < _TICK_S:
            return
        used = usage(self._scratch, self._limits.scratch_files)
        self._checked_s = time.monotonic()
        if used.bytes > self._limits.scratch_bytes:
            cap = self._limits.scratch_bytes
            raise self._end("output", f"Wrote more than {cap} bytes of files")
        if used.entries > self._limits.scratch_files:
            raise self._end("output", f"Made more than {self._limits.scratch_files} files")
        if self._process.status() is not None and not readable(self._answers, 0):
            raise self._gone()  # what it left behind keeps the pipe open

    # -- the end -------------------------------------------------------------------------------

    def _gone(self) -> WorkerLost:
        """The answer pipe closed: find out how the process ended."""
        return self._end(*_cause(self._process.wait(_TICK_S)))

    def _end(self, outcome: str, message: str) -> WorkerLost:
        """End the process and remember why."""
        if self._lost is None:
            self._lost = WorkerLost(outcome, message)
            self._process.end()
            os.close(self._questions)
            os.close(self._answers)
        return self._lost


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


def _no_handles(_: Any) -> Any:
    raise ProtocolViolation("a handle in the hello")

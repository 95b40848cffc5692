"""How frames reach a worker in a box: through pipes. In this process: `grader.box.in_process`.

The judge's side of a pipe believes nothing: every wait has an end, every length a cap, and bytes
that nobody asked for end the worker.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from grader.box import BoxUnavailable
from grader.box.boxes import ForkServer
from grader.box.files import usage
from grader.box.process import readable
from grader.errors import WorkerLost
from grader.inside.confine import EXIT_NOT_CONFINED
from grader.inside.protocol import HEADER, VERSION, ProtocolViolation, decode_answer, frame
from grader.inside.worker import EXIT_NO_MEMORY, WorkerOrder
from grader.limits import Limits

__all__ = ["BoxTransport", "Parking", "Transport"]

_MEASURE_S = 0.05
_WALK_S = _LEAVE_S = 0.25
_AWAY_S = 1.0
_CHUNK = 1 << 16


class Parking:
    """Whether the processes of a workshop's boxes are stopped while no question is out."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


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

    def peak_memory(self) -> int:
        """The most memory it has had at once, in bytes, by the kernel's books."""
        ...


class BoxTransport:
    """A boxed worker process and the pipes to it.

    `folders` are those it may write to. `job_cpu` gives the CPU seconds of the whole job so far.
    """

    def __init__(
        self,
        server: ForkServer,
        order: WorkerOrder,
        *,
        folders: tuple[Path, ...],
        limits: Limits,
        parking: Parking,
        job_cpu: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._server = server
        self._folders = folders
        self._parking = parking
        self._job_cpu = job_cpu
        self._lost: WorkerLost | None = None
        self._started = False
        self._measured_s = self._walked_s = time.monotonic()
        theirs_in, self._questions = os.pipe()
        self._answers, theirs_out = os.pipe()
        try:
            self._process = server.fork(order, (theirs_in, theirs_out))
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

    def peak_memory(self) -> int:
        return self._process.peak_memory()

    # -- one exchange --------------------------------------------------------------------------

    def _exchange(self, data: bytes, timeout_s: float, what: str) -> bytes:
        """Send `data`, return the one frame that comes back, and drain the streams meanwhile."""
        if self._parking.on:
            self._process.park(stopped=False)
        deadline = time.monotonic() + timeout_s
        self._cpu_before_s = -1.0
        unsent = self._send(memoryview(data))
        received, due = bytearray(), -1
        while due < 0 or len(received) < due:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._end("timeout", f"No answer within {timeout_s:g} s for {what}")
            before_s = time.monotonic()
            ready = self._poll.poll(max(1, min(remaining, _MEASURE_S) * 1000))
            away_s = time.monotonic() - before_s - _MEASURE_S
            if away_s > _AWAY_S:  # the judge was stopped, and nobody read what was answered
                deadline += away_s
            for fd, _ in ready:
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
        if self._parking.on:
            self._process.park(stopped=True)
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
        """Now and then: is the process alive, is all of the box within its limits?"""
        now = time.monotonic()
        if now - self._measured_s >= _MEASURE_S:
            self._measured_s = now
            self._measure()
        if now - self._walked_s >= _WALK_S:
            self._walk()
            self._walked_s = time.monotonic()

    def _measure(self) -> None:
        used, limits = self._server.used(), self._limits
        if (beyond := self._server.beyond(limits, used)) is not None:
            raise self._end(*beyond)
        if self._cpu_before_s < 0:
            self._cpu_before_s = used.cpu_s
        if used.cpu_s - self._cpu_before_s > limits.question_cpu_s:
            cap_s = limits.question_cpu_s
            raise self._end("timeout", f"Used up its CPU time: {cap_s:g} s for one question")
        if self._job_cpu() > limits.job_cpu_s:
            raise self._end("timeout", f"Used up its CPU time: {limits.job_cpu_s:g} s in all")

    def _walk(self) -> None:
        used = [usage(folder, self._limits.scratch_files) for folder in self._folders]
        if sum(each.bytes for each in used) > self._limits.scratch_bytes:
            cap = self._limits.scratch_bytes
            raise self._end("output", f"Wrote more than {cap} bytes of files")
        if sum(each.entries for each in used) > self._limits.scratch_files:
            raise self._end("output", f"Made more than {self._limits.scratch_files} files")
        if self._process.status() is not None and not readable(self._answers, 0):
            raise self._gone()  # what it left behind keeps the pipe open

    # -- the end -------------------------------------------------------------------------------

    def _gone(self) -> WorkerLost:
        """The answer pipe closed: find out how the process ended."""
        status = self._process.wait(_LEAVE_S)
        if status == EXIT_NOT_CONFINED and not self._started:
            self._end("crashed", "It could not be confined")
            said = self._process.output()[1].strip().splitlines()[-1:] or ["it gave no reason"]
            raise BoxUnavailable(self._server.tier, said[0], "See meridian doctor.")
        return self._end(*_cause(status))

    def _end(self, outcome: str, message: str) -> WorkerLost:
        """End the process and remember why."""
        if self._lost is None:
            self._lost = WorkerLost(outcome, message)
            self._process.end()
            os.close(self._questions)
            os.close(self._answers)
        return self._lost


def _cause(status: int | None) -> tuple[str, str]:
    """Outcome and message for an exit status, negative for a signal."""
    if status is None:
        return "crashed", "It closed the answer channel"
    if status == EXIT_NO_MEMORY:
        return "memory", "Out of memory"
    number = -status
    if number == signal.SIGXCPU:
        return "timeout", "Used up its CPU time"
    if 0 < number < signal.NSIG:
        return "crashed", f"Ended by {signal.Signals(number).name} in the middle of a question"
    return "crashed", f"Left with exit status {status} in the middle of a question"


def _no_handles(_: Any) -> Any:
    raise ProtocolViolation("a handle in the hello")

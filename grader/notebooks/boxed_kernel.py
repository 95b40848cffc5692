"""An IPython kernel in a box, asked to run one cell at a time.

The box has no network, so the sockets are files in the scratch folder (transport ``ipc``). What
the kernel sends is JSON; sizes are capped by the socket, and nothing it sends is executed here.

A kernel takes about a second to start. `launch` returns at once, so that it starts while other
things are judged; `run` waits for it.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from typing import Any, TypeVar

import msgspec

from grader.box.boxes import Forked
from grader.box.workers import Workshop
from grader.limits import Limits
from grader.notebooks.displayed import Displayed
from grader.notebooks.wire import PORTS, Message, Wire
from grader.report import Outcome

__all__ = ["BoxedKernel", "Ran"]

_TICK_S = 0.1
_STEM = "k"
_READY = "ready"
_CONNECTION = "connection.json"
_START_S = 60.0
_LAST_WORDS_S = 1.0


class Ran(msgspec.Struct):
    """How a cell went: its outputs, and the outcome unless it ended by itself."""

    outputs: list[dict[str, Any]]
    error: str = ""
    """``ValueError: text`` when an exception left the cell."""
    outcome: Outcome = "passed"
    message: str = ""


class _Reply(msgspec.Struct):
    status: str = ""
    ename: str = ""
    evalue: str = ""


class _Status(msgspec.Struct):
    execution_state: str = ""


_Content = TypeVar("_Content", _Reply, _Status)


class BoxedKernel:
    """Start with `with` or `launch`; after `run` gave anything but passed or failed, it is dead."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._limits: Limits = workshop.limits
        self.alive = False
        self._process: Forked | None = None
        self._wire: Wire | None = None
        self._folder = -1

    def __enter__(self) -> BoxedKernel:
        if self._process is None:
            self.launch()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def launch(self) -> BoxedKernel:
        """Start the process and return; end it with `close`."""
        self._scratch = self._workshop.scratch()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the kernel and remove its folder; closing twice is harmless."""
        self._end()
        self._workshop.discard(self._scratch)

    def wait(self, deadline: float) -> Ran:
        """Until it answers; an outcome other than passed says why it never will."""
        if self._wire is not None:
            return Ran([])
        deadline = min(deadline, time.monotonic() + _START_S)
        ready = self._scratch / _READY
        while not os.path.lexists(ready):
            if not self._running() or time.monotonic() > deadline:
                return self._not_started()
            time.sleep(_TICK_S / 10)
        self._wire = Wire(self._address(), self._key, self._limits.output_bytes)
        asked, heard = "", {"shell", "iopub"}
        while heard:
            if not self._running() or time.monotonic() > deadline:
                return self._not_started()
            # Until both sockets answer: a subscriber that came too late would miss outputs.
            asked = self._wire.ask("kernel_info_request", {})
            while (message := self._wire.receive(_TICK_S)) is not None:
                heard.discard(message.channel)
                if message.channel == "shell" and message.parent == asked:
                    break
        return Ran([])

    def run(self, source: str, cell_s: float | None = None) -> Ran:
        """Run one cell; a cell that outlives its limit, or prints without end, kills the kernel."""
        limit_s = self._limits.cell_s if cell_s is None else min(cell_s, self._limits.cell_s)
        deadline = time.monotonic() + limit_s
        started = self.wait(deadline + _START_S)
        if started.outcome != "passed" or self._wire is None:
            return started
        deadline = time.monotonic() + limit_s
        shown, size = Displayed(), 0
        asked = self._wire.ask("execute_request", _request(source))
        idle, reply = False, None
        while not (idle and reply):
            message = self._next(deadline)
            if isinstance(message, Ran):
                message.outputs = shown.outputs
                message.message = message.message or f"Not done after {limit_s:g} s"
                return message
            size += message.size
            if size > self._limits.output_bytes:
                self._end()
                said = f"More than {self._limits.output_bytes} bytes of output"
                return Ran(shown.outputs, outcome="output", message=said)
            if message.parent != asked:
                continue
            if message.channel == "iopub":
                idle = idle or _is_idle(message)
                shown.take(message)
            elif message.kind == "execute_reply":
                reply = _decoded(message, _Reply)
        error = "" if reply.status == "ok" else f"{reply.ename}: {reply.evalue}"[:1_000]
        return Ran(shown.outputs, error)

    def _next(self, deadline: float) -> Message | Ran:
        """The next message, or why there is none."""
        assert self._wire is not None
        while time.monotonic() < deadline:
            running = self._running()
            message = self._wire.receive(_TICK_S)
            if message is not None:
                return message
            if running and self._process is not None:
                beyond = self._process.beyond(self._limits)
                if beyond is not None:
                    self._end()
                    return Ran([], outcome=beyond[0], message=beyond[1])
            if self._wire.cut and running:
                running = self._process is not None and self._process.wait(_LAST_WORDS_S) is None
                if running:
                    self._end()
                    cap = self._limits.output_bytes
                    said = f"The kernel hung up, or sent more than {cap} bytes at once"
                    return Ran([], outcome="output", message=said)
            if not running:
                self._end()
                return Ran([], outcome="crashed", message="The kernel died in this cell")
        self._end()
        return Ran([], outcome="timeout")

    def _running(self) -> bool:
        """Whether the process is there; takes what it printed, so that it never waits for us."""
        if self._process is None or not self.alive:
            return False
        for fd in self._process.streams:
            self._process.drain(fd)
        return self._process.status() is None

    def _not_started(self) -> Ran:
        late = self._running()
        self._end()
        if late or self._process is None:
            return Ran([], outcome="timeout", message="The kernel did not start in time")
        _, said = self._process.output()
        last = said.strip().splitlines()[-1:] or [""]
        return Ran([], outcome="crashed", message=f"The kernel did not start. {last[0]}".strip())

    def _start(self) -> None:
        self._key = secrets.token_hex(16).encode()
        info: dict[str, Any] = {
            "transport": "ipc",
            # It starts in the scratch folder, and a short name fits into a socket address.
            "ip": _STEM,
            "key": self._key.decode(),
            "signature_scheme": "hmac-sha256",
            **{port: number for number, port in enumerate(PORTS, 1)},
        }
        (self._scratch / _CONNECTION).write_text(json.dumps(info))
        self._workshop.share(self._scratch)
        limits = msgspec.structs.replace(
            self._limits, memory_bytes=self._limits.notebook_memory_bytes
        )
        self._process = self._workshop.kernel(
            self._scratch, (_CONNECTION, _READY), _environment(), limits
        )
        self.alive = True

    def _address(self) -> str:
        """Where the sockets are, in few characters: an address holds about a hundred."""
        if not sys.platform.startswith("linux"):
            return str(self._scratch / _STEM)
        self._folder = os.open(self._scratch, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{_STEM}"

    def _end(self) -> None:
        """End the kernel and let go of everything; ending twice is harmless."""
        self.alive = False
        if self._process is not None:
            self._process.end()
        if self._wire is not None:
            self._wire.close()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _request(source: str) -> dict[str, Any]:
    return {
        "code": source,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }


def _is_idle(message: Message) -> bool:
    return message.kind == "status" and _decoded(message, _Status).execution_state == "idle"


def _decoded(message: Message, kind: type[_Content]) -> _Content:
    """The content; empty where it is not what the protocol says."""
    try:
        return msgspec.json.decode(message.content, type=kind)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return kind()


def _environment() -> dict[str, str]:
    """Every cache and history in its own folder; one thread per library."""
    return {
        "IPYTHONDIR": "{tmp}/ipython",
        "JUPYTER_RUNTIME_DIR": "{tmp}/jupyter",
        "MPLCONFIGDIR": "{tmp}/matplotlib",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }

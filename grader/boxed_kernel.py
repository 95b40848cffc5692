"""An IPython kernel in a box, asked to run one cell at a time.

The box has no network, so the sockets are files in the scratch folder (transport ``ipc``). What
the kernel sends is JSON; sizes are capped by the socket, and nothing it sends is executed here.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from nbformat.v4 import output_from_msg

from grader.limits import Limits
from grader.process import BoxProcess
from grader.report import Outcome
from grader.workers import Workshop

__all__ = ["BoxedKernel", "Ran"]

_TICK_S = 0.1
_STEM = "k"
_START_S = 60.0
_BOOT = "import sys; sys.path.insert(0, sys.argv[2]); from grader.kernel import main; main()"
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class Ran(msgspec.Struct):
    """How a cell went: its outputs, and the outcome unless it ended by itself."""

    outputs: list[dict[str, Any]]
    error: str = ""
    """``ValueError: text`` when an exception left the cell."""
    outcome: Outcome = "passed"
    message: str = ""


class BoxedKernel:
    """Start with `with`; after `run` returned anything but passed or failed, it is dead."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._limits: Limits = workshop.limits
        self.alive = False
        self._process: BoxProcess | None = None
        self._context: zmq.Context[Any] | None = None
        self._folder = -1

    def __enter__(self) -> BoxedKernel:
        self._scratch = self._workshop.scratch()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._workshop.discard(self._scratch)

    def run(self, source: str) -> Ran:
        """Run one cell; a cell that outlives its limit, or prints without end, kills the kernel."""
        ran, size = Ran([]), 0
        request = self._client.execute(source, allow_stdin=False, stop_on_error=False)
        deadline = time.monotonic() + self._limits.cell_s
        while True:
            message = self._next(self._client.get_iopub_msg, deadline)
            if isinstance(message, Ran):
                message.outputs = ran.outputs
                return message
            content = message["content"]
            size += len(repr(content))
            if size > self._limits.output_bytes:
                self._end()
                cap = self._limits.output_bytes
                return Ran(
                    ran.outputs, outcome="output", message=f"More than {cap} bytes of output"
                )
            if _answers(message, request):
                if content.get("execution_state") == "idle":
                    break
                _collect(message, ran.outputs)
        while True:
            reply = self._next(self._client.get_shell_msg, deadline)
            if isinstance(reply, Ran):
                reply.outputs = ran.outputs
                return reply
            if _answers(reply, request):
                break
        if reply["content"].get("status") != "ok":
            name, value = (str(reply["content"].get(key, "")) for key in ("ename", "evalue"))
            ran.error = f"{name}: {value}"[:1_000]
        return ran

    def _next(self, receive: Any, deadline: float) -> Any:
        """The next message as a dict, or a `Ran` that says why there is none."""
        assert self._process is not None
        while time.monotonic() < deadline:
            for fd in self._process.streams:
                self._process.drain(fd)
            try:
                message = receive(timeout=_TICK_S)
            except queue.Empty:
                if self._process.status() is not None:
                    self._end()
                    return Ran([], outcome="crashed", message="The kernel died in this cell")
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # not a message of this session
            else:
                if isinstance(message.get("content"), dict):
                    return message
        self._end()
        return Ran([], outcome="timeout", message=f"Not done after {self._limits.cell_s:g} s")

    def _start(self) -> None:
        info: dict[str, Any] = {
            "transport": "ipc",
            "key": secrets.token_hex(16),
            "signature_scheme": "hmac-sha256",
            **{port: number for number, port in enumerate(_PORTS, 1)},
        }
        self._connect({**info, "ip": self._socket_stem()})
        spawn = self._workshop.spawn(self._scratch)
        # The kernel starts in the scratch folder, and a short name fits into a socket address.
        (self._scratch / "connection.json").write_text(json.dumps({**info, "ip": _STEM}))
        self._workshop.share(self._scratch)
        limits = msgspec.structs.replace(
            self._limits, memory_bytes=self._limits.notebook_memory_bytes
        )
        settings = {
            "limits": limits.resource_limits(count_processes=spawn.count_processes),
            "uid": spawn.uid,
            "path": [spawn.submission, *spawn.libraries],
            "scratch": spawn.scratch,
            "connection": "connection.json",
        }
        self._process = BoxProcess(
            spawn,
            ["-P", "-s", "-S", "-c", _BOOT, json.dumps(settings), spawn.runtime],
            scratch=self._scratch,
            environment=_environment(),
            limits=self._limits,
        )
        self.alive = True
        self.started = self._greet()

    def _socket_stem(self) -> str:
        """Where the sockets will be, in few characters: an address holds about a hundred."""
        if not sys.platform.startswith("linux"):
            return str(self._scratch / _STEM)
        self._folder = os.open(self._scratch, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{_STEM}"

    def _connect(self, info: dict[str, Any]) -> None:
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, self._limits.reply_bytes)
        self._context.setsockopt(zmq.LINGER, 0)
        self._client = BlockingKernelClient(context=self._context)
        self._client.load_connection_info(info)  # type: ignore[arg-type]
        self._client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)

    def _greet(self) -> Ran:
        """Ask until both sockets answer: a subscriber that came too late would miss outputs."""
        assert self._process is not None
        deadline = time.monotonic() + min(_START_S, self._limits.notebook_s)
        heard: set[str] = set()
        while len(heard) < 2:
            self._client.kernel_info()
            for name, receive in (
                ("shell", self._client.get_shell_msg),
                ("iopub", self._client.get_iopub_msg),
            ):
                if name in heard:
                    continue
                try:
                    receive(timeout=_TICK_S)
                    heard.add(name)
                except queue.Empty:
                    pass
            if self._process.status() is not None or time.monotonic() > deadline:
                self._end()
                _, said = self._process.output()
                last = said.strip().splitlines()[-1:] or [""]
                return Ran([], outcome="crashed", message=f"The kernel did not start. {last[0]}")
        return Ran([])

    def _end(self) -> None:
        """End the kernel and let go of everything; ending twice is harmless."""
        self.alive = False
        if self._process is not None:
            self._process.end()
        if self._context is not None:
            self._client.stop_channels()
            self._context.destroy(linger=0)
            self._context = None
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _answers(message: Mapping[str, Any], request: str) -> bool:
    parent = message.get("parent_header")
    return isinstance(parent, dict) and parent.get("msg_id") == request


def _collect(message: Mapping[str, Any], outputs: list[dict[str, Any]]) -> None:
    if message["msg_type"] == "clear_output":
        outputs.clear()
        return
    try:
        outputs.append(dict(output_from_msg(message)))  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # no output: a status, an echo of the input, or nonsense


def _environment() -> dict[str, str]:
    """Every cache and history in the box's own /tmp; one thread per library."""
    return {
        "HOME": "/tmp",
        "IPYTHONDIR": "/tmp/ipython",
        "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }

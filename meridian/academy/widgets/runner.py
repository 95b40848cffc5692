"""Run a command of the academy beside the kernel, line by line, so that cells stay usable.

The command is a process of its own: code that is being judged can neither block nor end the
notebook, and a kernel that dies leaves no half-written record. A thread reads its JSON lines.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

__all__ = ["Job", "Listener"]

CANCEL_GRACE_S = 10.0
_MAX_ERROR_BYTES = 4_000

# An idle kernel ignores SIGINT, and a child inherits that; the command must hear it to clean up.
_HEAR_SIGINT = (
    "import os, signal, sys; "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

Listener: TypeAlias = Callable[["Job"], None]
State: TypeAlias = Literal["running", "done", "cancelled", "failed"]


class Job:
    """One command that is running or has run.

    `listener` is called from a thread after every event and once at the end. `state` is
    ``"done"`` when the command ended and said where its report is, or ended well without one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        root: Path,
        *,
        command: Sequence[str] = (sys.executable, "-m", "meridian.academy"),
    ) -> None:
        """Start ``command arguments`` in the lab at `root`. Raises `OSError` if it cannot start."""
        program = shutil.which(command[0])
        if program is None:
            raise FileNotFoundError(errno.ENOENT, "No such command", command[0])
        self.arguments = tuple(arguments)
        self.state: State = "running"
        self.event: dict[str, Any] = {}
        self.report: Path | None = None
        self.said = ""
        self._cancelled = False
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the command has ended
        environment = os.environ | {
            "MERIDIAN_LAB": str(root),
            "MPLBACKEND": "agg",  # the kernel's own setting draws into notebooks
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _HEAR_SIGINT, program, *command[1:], *self.arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # interrupting the kernel does not interrupt the grader
        )
        self._killer = threading.Timer(CANCEL_GRACE_S, self._signal, [signal.SIGKILL])
        self._killer.daemon = True
        atexit.register(self.cancel)
        self._reader = threading.Thread(target=self._read, name="meridian-job", daemon=True)
        self._reader.start()

    def listen(self, listener: Listener) -> None:
        """Call `listener` now and after every change."""
        with self._lock:
            self._listeners.append(listener)
            listener(self)

    def forget(self, listener: Listener) -> None:
        """Stop calling `listener`; harmless when it is not listening."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def cancel(self) -> None:
        """Ask the command to stop, as Ctrl+C would, and make it after ten seconds."""
        with self._lock:
            if self.state != "running" or self._cancelled:
                return
            self._cancelled = True
        self._killer.start()
        self._signal(signal.SIGINT)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came within `timeout_s`."""
        self._reader.join(timeout_s)
        return not self._reader.is_alive()

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group: the command and what it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _read(self) -> None:
        assert self._process.stdout is not None
        plain: list[str] = []
        with self._process.stdout as lines:
            for raw in lines:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                try:
                    event = json.loads(line)
                except ValueError:
                    event = None
                if isinstance(event, dict):
                    self._take(event)
                elif line:
                    plain.append(line)
        code = self._process.wait()
        self._killer.cancel()
        with self._lock:
            self._finish(code, plain)
            self._tell()
        atexit.unregister(self.cancel)

    def _take(self, event: dict[str, Any]) -> None:
        with self._lock:
            if event.get("event") == "report" and isinstance(event.get("path"), str):
                self.report = Path(event["path"])
            elif event.get("event") == "stage":
                self.event = event
                self._tell()

    def _finish(self, code: int, plain: list[str]) -> None:
        with self._errors as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MAX_ERROR_BYTES))
            errors = file.read().decode("utf-8", "replace").strip()
        if self.report is not None:
            self.state = "done"
        elif self._cancelled:
            self.state = "cancelled"
        else:
            self.state = "done" if code == 0 else "failed"
        self.said = "\n".join(plain) if self.state == "done" else errors or "\n".join(plain)
        if self.state == "failed" and not self.said:
            self.said = f"The command ended with status {code} and said nothing"

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener(self)

"""One boxed process: started with nothing but what it needs, ended with everything it started."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from grader.box import Spawn
from grader.limits import Limits

__all__ = ["BoxProcess", "Streams", "readable"]

_CHUNK = 1 << 16
_REAP_S = 5.0
_START_S = 1.0
_MARK = "MERIDIAN_BOX"


class Streams:
    """stdout and stderr of a process, taken apart and cut to a limit."""

    def __init__(self, out: int, err: int, limits: Limits) -> None:
        self.fds = (out, err)
        self._limits = limits
        self._kept = {fd: bytearray() for fd in self.fds}
        self.printed = 0
        for fd in self.fds:
            os.set_blocking(fd, False)

    def drain(self, fd: int) -> bool:
        """Take what was printed to `fd`; ``False`` when it is closed."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        kept = self._kept[fd]
        kept += chunk[: max(0, self._limits.output_kept_bytes - len(kept))]
        self.printed += len(chunk)
        return bool(chunk)

    @property
    def printed_too_much(self) -> bool:
        return self.printed > self._limits.output_bytes

    def output(self) -> tuple[str, str]:
        """What was printed to stdout and stderr, cut."""
        out, err = (bytes(kept).decode(errors="replace") for kept in self._kept.values())
        return out, err


class BoxProcess:
    """The first process of a box. Kills without leaving anything behind."""

    def __init__(
        self,
        spawn: Spawn,
        arguments: Sequence[str],
        *,
        scratch: Path,
        environment: Mapping[str, str],
        limits: Limits,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._contained = spawn.contained
        self._mark = f"{_MARK}={os.getpid()}-{secrets.token_hex(8)}"
        self._inner: int | None = None  # pidfd of the box's first process
        self._ended = False
        self._info, theirs = os.pipe()
        hidden = _readable_once(part.replace("{info}", str(theirs)) for part in spawn.hidden)
        argv = [part.replace("{hidden}", str(hidden)) for part in spawn.argv]
        name, _, value = self._mark.partition("=")
        try:
            self._process = subprocess.Popen(
                [*argv, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Its reading end as well: bubblewrap would die of writing to a pipe whose only
                # reader, the judge, is dead, and leave its other half waiting for ever.
                pass_fds=(*pass_fds, theirs, hidden, self._info),
                env={**environment, name: value},
                cwd=scratch,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._info)
            raise
        finally:
            os.close(theirs)
            os.close(hidden)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._streams = Streams(
            self._process.stdout.fileno(), self._process.stderr.fileno(), limits
        )
        self.streams = self._streams.fds
        self.drain = self._streams.drain
        self.output = self._streams.output

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def printed_too_much(self) -> bool:
        return self._streams.printed_too_much

    def status(self) -> int | None:
        """The exit status, ``None`` while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self._process.poll()

    def find_inner(self, timeout_s: float = 0) -> None:
        """Hold on to the first process inside the box: when it is dead, all of them are."""
        if self._inner is not None or not self._contained:
            return
        text = os.read(self._info, 4096) if readable(self._info, timeout_s) else b""
        if text:
            with contextlib.suppress(ProcessLookupError, ValueError, KeyError):
                self._inner = os.pidfd_open(json.loads(text)["child-pid"])

    def end(self) -> None:
        """SIGKILL to all of it; return when all of it is gone. Ending twice is harmless."""
        if self._ended:
            return
        self._ended = True
        self.find_inner(_START_S)  # ended while it starts: it would not yet die with its parent
        if self._inner is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inner, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        if self._inner is not None:
            readable(self._inner, _REAP_S)
            os.close(self._inner)
        elif not self._contained:
            _kill_marked(self._mark)
        for fd in self.streams:
            self.drain(fd)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._info)


def _readable_once(parts: Iterable[str]) -> int:
    """A descriptor from which `parts` can be read, NUL after each."""
    source, sink = os.pipe()
    try:
        os.set_blocking(sink, False)  # far less than a pipe holds, or an error instead of a hang
        os.write(sink, b"".join(part.encode() + b"\0" for part in parts))
    finally:
        os.close(sink)
    return source


def readable(fd: int, timeout_s: float) -> bool:
    """Whether `fd` can be read, or has ended, within `timeout_s`."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _kill_marked(mark: str) -> None:
    """Without namespaces, what is left of a fork server that died is known by its environment."""
    deadline = time.monotonic() + _REAP_S
    while time.monotonic() < deadline:  # again until none is left: they may be forking
        found = [pid for pid in _numbers("/proc") if mark.encode() in _environment(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:  # no /proc on this system
        return []


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []

"""The judge's side of a box: its fork server, and the workers forked from it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grader.box import BoxUnavailable, Spawn
from grader.box.base import no_process
from grader.box.meter import BoxMeter, Used, peak_bytes
from grader.box.process import BoxProcess, Streams, readable
from grader.inside.confine import Confinement
from grader.inside.forkserver import receive, send
from grader.inside.worker import WorkerOrder
from grader.limits import Limits
from grader.report import Outcome

__all__ = ["ForkServer", "Forked", "confinement_of"]

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[2]); from grader.inside.forkserver import main; main()"
)
_ORDER_S = 10.0
_LEAVE_S = 10.0


def confinement_of(
    spawn: Spawn,
    limits: dict[str, int],
    own: Sequence[str | Path],
    *,
    network: bool = False,
    unix_sockets: bool = False,
) -> Confinement:
    """What a worker of `spawn` may reach; it may change the folders `own`, as it calls them."""
    return Confinement(
        limits=limits,
        uid=spawn.uid,
        keep_reading=not spawn.contained,
        walls=spawn.walls,
        reads=(*spawn.reads, spawn.submission, spawn.runtime, *_readable(spawn)),
        lists=spawn.lists,
        writes=(*spawn.writes, *map(str, own)),
        network=network,
        own_network=spawn.own_network,
        own_files=spawn.contained,
        unix_sockets=unix_sockets,
    )


def _readable(spawn: Spawn) -> tuple[str, ...]:
    """Libraries that may be read as a whole; of the others, `reads` names the parts."""
    return tuple(folder for folder in spawn.libraries if folder not in spawn.lists)


class ForkServer:
    """A box with its fork server. Starting returns at once; the first order waits for it."""

    def __init__(
        self, spawn: Spawn, limits: Limits, *, folder: Path, hash_seed: int, preload: Sequence[str]
    ) -> None:
        self.spawn = spawn
        self._limits = limits
        self._places: tuple[int, ...] = ()
        self._live: set[Forked] = set()
        self.meter: BoxMeter | None = None
        self.ended_cpu_s = 0.0
        """CPU time of the workers that have ended."""
        self.clean = True
        """Whether the next worker will find nothing of an earlier one."""
        self.alive = True
        environment = {
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONUTF8": "1",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot be forked safely
            "OMP_NUM_THREADS": "1",
        }
        self._control, theirs = socket.socketpair()
        try:
            self._process = BoxProcess(
                spawn,
                # No site (-S), no user site (-s), no current folder (-P).
                ["-P", "-s", "-S", "-c", _BOOT, str(theirs.fileno()), spawn.runtime],
                scratch=folder,
                environment=environment,
                limits=limits,
                pass_fds=(theirs.fileno(),),
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
        settings = {
            "preload": list(preload),
            "path": list(spawn.libraries),
            "contained": spawn.contained,
        }
        with contextlib.suppress(OSError):  # it is gone: `_answer` says why
            send(self._control, settings)

    @property
    def tier(self) -> str:
        return "bwrap" if self.spawn.contained else "landlock" if self.spawn.walls else "rlimits"

    @property
    def busy(self) -> bool:
        """Whether a worker lives."""
        return self.alive and bool(self._live)

    def running(self) -> bool:
        """Whether its process is there."""
        return self.alive and self._process.status() is None

    def wait(self) -> None:
        """Until it serves. Raises `BoxUnavailable` when it does not start."""
        if self.meter is not None:
            return
        hello, fds = self._answer(self._limits.start_s)
        own, *places = fds or [-1]
        self._places = tuple(places)
        pid = self._process.pid if own < 0 else _pid_of(own)
        if own >= 0:
            os.close(own)
        self._process.find_inner()
        self.meter = BoxMeter(pid or hello["pid"], self._places)

    def fork(self, order: WorkerOrder, pipes: tuple[int, ...] = ()) -> Forked:
        """A worker that reads `pipes[0]` and writes `pipes[1]`. Raises `BoxUnavailable`."""
        self.wait()
        out, theirs_out = os.pipe()
        err, theirs_err = os.pipe()
        try:
            self._order({"do": "fork", "worker": order}, (theirs_out, theirs_err, *pipes))
            answer, fds = self._answer(_ORDER_S)
            if "error" in answer:
                raise no_process(self.tier, OSError(answer["errno"], answer["error"]))
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            os.close(theirs_out)
            os.close(theirs_err)
        forked = Forked(self, answer["pid"], fds[0] if fds else -1, Streams(out, err, self._limits))
        self._live.add(forked)
        return forked

    def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP socket connected inside the box's network. Raises `OSError`."""
        self.wait()
        self._order({"do": "dial", "host": host, "port": port, "timeout_s": timeout_s})
        answer, fds = self._answer(timeout_s + _ORDER_S)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"])
        return socket.socket(fileno=fds[0])

    def listen(self, host: str, port: int, backlog: int) -> socket.socket:
        """A listening TCP socket inside the box's network. Raises `OSError`."""
        self.wait()
        if not self.spawn.own_network:
            why = "A box without a network of its own lets nobody connect from inside"
            raise OSError(errno.EOPNOTSUPP, why)
        self._order({"do": "listen", "host": host, "port": port, "backlog": backlog})
        answer, fds = self._answer(_ORDER_S)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"])
        return socket.socket(fileno=fds[0])

    def used(self) -> Used:
        """What its workers use now. Its own part is not theirs."""
        return self.meter.read() if self.alive and self.meter is not None else Used()

    def beyond(self, limits: Limits, used: Used | None = None) -> tuple[Outcome, str] | None:
        """Outcome and message when all its processes together are over a limit."""
        used = self.used() if used is None else used
        if used.memory_bytes > limits.box_memory_bytes:
            cap = limits.box_memory_bytes
            return "memory", f"All its processes together used more than {cap} bytes"
        if used.files > limits.scratch_files:
            return "output", f"Made more than {limits.scratch_files} files"
        return None

    def park(self, stopped: bool) -> None:
        """Stop every worker and all it started, or let them go on."""
        for forked in list(self._live):
            forked.park(stopped)

    def close(self) -> None:
        """End every worker and the box. Closing twice is harmless."""
        if not self.alive:
            return
        for forked in list(self._live):
            forked.end()
        self.alive = False
        self._control.close()  # it ends what is left and leaves
        if not self.spawn.contained:
            self._process.wait(_LEAVE_S)
        self._process.end()
        for fd in self._places:
            os.close(fd)

    def end_worker(self, forked: Forked) -> dict[str, Any]:
        """How it ended; where the server cannot say, the whole box is ended."""
        self._live.discard(forked)
        if not self.alive:
            return {}
        try:
            self._order({"do": "end", "pid": forked.inner_pid})
            answer, _ = self._answer(_ORDER_S)
        except BoxUnavailable:
            if not self.spawn.contained:
                forked.kill_group()
            return {}
        self.ended_cpu_s += answer["cpu_s"]
        self.clean = self.clean and answer["clean"]
        return dict(answer)

    # -- one order -------------------------------------------------------------------------------

    def _order(self, message: Any, fds: tuple[int, ...] = ()) -> None:
        if not self.alive:
            raise self._lost()
        with contextlib.suppress(OSError):  # it is gone: `_answer` says why
            send(self._control, message, fds)

    def _answer(self, timeout_s: float) -> tuple[Any, list[int]]:
        received = None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for fd in self._process.streams:
                self._process.drain(fd)
            if readable(self._control.fileno(), min(0.25, timeout_s)):
                received = receive(self._control)
                break
        if received is None:
            raise self._lost()
        return received

    def _lost(self) -> BoxUnavailable:
        """The server is gone, and with it the box."""
        self.close_at_once()
        said = self._process.output()[1].strip().splitlines()[-1:] or ["it gave no reason"]
        return BoxUnavailable(self.tier, f"its fork server ended: {said[0]}", "Run the job again.")

    def close_at_once(self) -> None:
        """Without asking the server."""
        if self.alive:
            self.alive = False
            self._control.close()
            self._process.end()
            for forked in list(self._live):
                if not self.spawn.contained:
                    forked.kill_group()
                forked.end()
            for fd in self._places:
                os.close(fd)


class Forked:
    """One worker process: its streams, its end, and what it used."""

    def __init__(self, server: ForkServer, inner_pid: int, pidfd: int, streams: Streams) -> None:
        self._server = server
        self.inner_pid = inner_pid
        self._pidfd = pidfd
        self._pid = inner_pid if pidfd < 0 else _pid_of(pidfd)
        self._streams = streams
        self._status: int | None = None
        self._ended = False
        self._peak_bytes = 0
        self.streams = streams.fds
        self.drain = streams.drain
        self.output = streams.output

    @property
    def printed_too_much(self) -> bool:
        return self._streams.printed_too_much

    def status(self) -> int | None:
        """The exit status, negative for a signal; ``None`` while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> int | None:
        if not self._ended and self._pidfd >= 0 and readable(self._pidfd, timeout_s):
            self.end()  # what it left behind goes with it
        return self._status

    def park(self, stopped: bool) -> None:
        """Stop it and all it started, or let them go on."""
        if self.status() is None and not self._ended:
            # Not waited for before `end`, so the number cannot be another's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGSTOP if stopped else signal.SIGCONT)

    def kill_group(self) -> None:
        """SIGKILL to it and all it started, when the fork server is dead and cannot."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def peak_memory(self) -> int:
        """The most memory it has had at once, in bytes, what it mapped of files included."""
        if not self._ended:
            self._peak_bytes = max(self._peak_bytes, peak_bytes(self._pid))
        return self._peak_bytes

    def beyond(self, limits: Limits) -> tuple[Outcome, str] | None:
        """Outcome and message when the whole box is over a limit."""
        return self._server.beyond(limits)

    def end(self) -> None:
        """SIGKILL to it and all it started; return when all of it is gone. Twice is harmless."""
        if self._ended:
            return
        self.peak_memory()
        self._ended = True
        how = self._server.end_worker(self)
        self._status = how.get("status", -signal.SIGKILL)
        self._peak_bytes = max(self._peak_bytes, how.get("peak_bytes", 0))
        for fd in self.streams:
            self.drain(fd)
            os.close(fd)
        if self._pidfd >= 0:
            os.close(self._pidfd)


def _pid_of(pidfd: int) -> int:
    """What this process's /proc calls the process behind `pidfd`, 0 when that is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        for line in file:
            if line.startswith(b"Pid:"):
                return max(0, int(line.split()[1]))
    return 0

"""The first process of a box: keeps libraries loaded and forks a fresh worker for every test.

It is trusted. It never loads a line of the submission, and listens only to the judge, on a socket
that each worker has lost before anything of the submission is read. A worker costs a fork, a few
milliseconds, where a new interpreter costs fifty and one with numba half a second.

What a worker starts stays in its process group (`grader.inside.seccomp` denies leaving one), so one
signal to the group ends all of it at once, forking or not; orphans come to this process, their
subreaper, which waits until none is left. When the judge is gone, the socket ends, and so does
everything here. Standard library and msgspec only, besides the libraries asked for.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import gc
import importlib
import importlib.util
import os
import signal
import socket
import sys
from typing import Any

import msgspec

from grader.inside.strays import end_strays
from grader.inside.worker import FIRST_FREE, WorkerOrder, become

__all__ = ["main", "receive", "send"]

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_HEADER_BYTES = 4
_MAX_FDS = 8
# Cheap, and most submissions want some of them.
_COMMON = (
    *("bisect", "dataclasses", "heapq", "itertools", "pathlib", "random", "resource", "struct"),
    *("tempfile", "threading", "typing", "zlib"),
)


def send(control: socket.socket, message: Any, fds: tuple[int, ...] = ()) -> None:
    """One message, and descriptors with it. Raises `OSError` when the other side is gone."""
    data = msgspec.msgpack.encode(message)
    data = len(data).to_bytes(_HEADER_BYTES, "little") + data
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = control.sendmsg([data], rights)
    control.sendall(data[sent:])


def receive(control: socket.socket) -> tuple[Any, list[int]] | None:
    """The next message and its descriptors, ``None`` when the other side is gone."""
    fds: list[int] = []
    head, wanted = b"", _HEADER_BYTES
    while len(head) < wanted:
        try:
            chunk, more, _, _ = socket.recv_fds(control, wanted - len(head), _MAX_FDS)
        except ConnectionError:
            chunk, more = b"", []
        fds += more
        if not chunk:
            for fd in fds:
                os.close(fd)
            return None
        head += chunk
        if len(head) == wanted == _HEADER_BYTES:
            wanted += int.from_bytes(head, "little")
    return msgspec.msgpack.decode(head[_HEADER_BYTES:]), fds


class _Server:
    """Performs the judge's orders, one at a time."""

    def __init__(self, control: socket.socket, *, contained: bool) -> None:
        self._control = control
        self._contained = contained  # in a process namespace of its own
        self._live: dict[int, bool] = {}  # leader of each group, and whether it cannot leave it

    def serve(self) -> None:
        while (received := receive(self._control)) is not None:
            order, fds = received
            try:
                answer, out = getattr(self, "do_" + order["do"])(order, fds)
            except OSError as error:
                answer, out = {"error": str(error), "errno": error.errno}, ()
            finally:
                for fd in fds:
                    os.close(fd)
            send(self._control, answer, out)
            for fd in out:
                os.close(fd)

    def do_fork(self, order: dict[str, Any], fds: list[int]) -> tuple[Any, tuple[int, ...]]:
        """A worker whose stdout and stderr are `fds`, then questions and answers; id and pidfd."""
        worker = msgspec.convert(order["worker"], WorkerOrder)
        pid = os.fork()
        if pid == 0:
            self._control.detach()
            become(worker, fds)
        with contextlib.suppress(OSError):  # it does the same; whoever comes first
            os.setpgid(pid, pid)
        self._live[pid] = worker.confinement.walls
        out = (os.pidfd_open(pid),) if hasattr(os, "pidfd_open") else ()
        return {"pid": pid}, out

    def do_end(self, order: dict[str, Any], fds: list[int]) -> tuple[Any, tuple[int, ...]]:
        """SIGKILL to a worker and all it started; how it ended and what it used."""
        del fds
        return self.end(order["pid"]), ()

    def do_dial(self, order: dict[str, Any], fds: list[int]) -> tuple[Any, tuple[int, ...]]:
        """A TCP connection inside the box's network."""
        del fds
        made = socket.create_connection((order["host"], order["port"]), order["timeout_s"])
        made.settimeout(None)
        return {}, (made.detach(),)

    def do_listen(self, order: dict[str, Any], fds: list[int]) -> tuple[Any, tuple[int, ...]]:
        """A TCP socket that listens inside the box's network, for the judge to accept on."""
        del fds
        made = socket.create_server((order["host"], order["port"]), backlog=order["backlog"])
        return {}, (made.detach(),)

    def end(self, pid: int) -> dict[str, Any]:
        in_its_group = self._live.pop(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        alone = self._contained and not self._live
        if alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # this namespace: all but its init and this process
        status, cpu_s, peak_bytes = 0, 0.0, 0
        while True:  # a child comes here before its parent can be waited for: none is missed
            try:
                ended, wait_status, used = os.wait4(-1 if alone else -pid, 0)
            except ChildProcessError:
                break
            cpu_s += used.ru_utime + used.ru_stime
            if ended == pid:
                status, peak_bytes = os.waitstatus_to_exitcode(wait_status), used.ru_maxrss * 1024
        if not in_its_group:
            end_strays(set(self._live))
        return {"status": status, "cpu_s": cpu_s, "peak_bytes": peak_bytes, "clean": self._clean()}

    def _clean(self) -> bool:
        """Whether nothing lies where the next worker could find it."""
        if not self._contained:
            return True
        return bool(self._live) or not any(map(os.listdir, ("/tmp", "/dev/shm")))

    def end_all(self) -> None:
        for pid in list(self._live):
            self.end(pid)


def _prepare(modules: list[str], path: list[str]) -> None:
    """Import what is asked for and here; a compiler is made to compile once."""
    sys.path.extend(path)
    for name in (*_COMMON, *modules):
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        if name == "numba":
            module.njit(_add_one)(1)
    gc.collect()
    gc.freeze()  # the collector of a fork leaves these pages shared


def _add_one(number: int) -> int:
    return number + 1


def main() -> None:
    """Serve on the socket whose descriptor is ``argv[1]`` until the judge closes it."""
    inherited = int(sys.argv[1])
    control = socket.socket(fileno=fcntl.fcntl(inherited, fcntl.F_DUPFD_CLOEXEC, 10))
    os.close(inherited)
    filler = os.open(os.devnull, os.O_RDWR)
    while filler < FIRST_FREE:
        filler = os.open(os.devnull, os.O_RDWR)
    os.close(filler)
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    received = receive(control)
    if received is None:
        return
    settings, _ = received
    sys.dont_write_bytecode = True
    _prepare(settings["preload"], settings["path"])
    contained = settings["contained"]
    server = _Server(control, contained=contained)
    own = [os.pidfd_open(os.getpid())] if hasattr(os, "pidfd_open") else []
    places = [os.open(name, os.O_PATH) for name in ("/tmp", "/dev/shm")] if contained else []
    try:
        send(control, {"pid": os.getpid()}, (*own, *places))
        for fd in (*own, *places):
            os.close(fd)
        server.serve()
    except ConnectionError:  # the judge is gone
        pass
    finally:
        server.end_all()


if __name__ == "__main__":
    main()

"""The worker process, from the moment it is forked: nothing inherited, confined, then serving.

Its descriptors are the streams (0 to 2), questions (3) and answers (4). See `servant` for
what it serves, `kernel` for a notebook's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import traceback
from typing import NoReturn

import msgspec

from grader.inside.confine import EXIT_NOT_CONFINED, Confinement, confine
from grader.inside.servant import EXIT_NO_MEMORY, Servant, serve

__all__ = ["EXIT_NO_MEMORY", "FIRST_FREE", "Servant", "WorkerOrder", "become"]

FIRST_FREE = 5
_LAST_CLOSED = 1024


class WorkerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge asks a worker to be."""

    confinement: Confinement
    path: list[str]
    """Where it imports from, the submission first."""
    folder: str
    """Its working folder."""
    environment: dict[str, str]
    kernel: tuple[str, ...] = ()
    """For a notebook's kernel: its connection file, and the one it makes when it is ready."""


def become(worker: WorkerOrder, fds: list[int]) -> NoReturn:
    """In the fork: keep the given descriptors alone, confine, serve. Never returns."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for target, fd in enumerate(fds, 1):
            os.dup2(fd, target, inheritable=target < 3)
        os.closerange(1 + len(fds), _LAST_CLOSED)
        sys.argv = ["worker"]
        os.environ.update(worker.environment)
        os.chdir(worker.folder)
        sys.path.extend(name for name in worker.path if name not in sys.path)
        try:
            confine(worker.confinement)
        except BaseException:
            traceback.print_exc()
            os._exit(EXIT_NOT_CONFINED)
        if worker.kernel:
            importlib.import_module("grader.inside.kernel").serve_kernel(*worker.kernel)
        else:
            serve(3, 4, worker.path[0])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

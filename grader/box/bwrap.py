"""The bubblewrap tier: no network, no other process, no file that was not given.

As an ordinary user the box is a user namespace. As root it is not: a namespace would map to real
uid 0, for which the kernel does not count processes; instead the worker itself moves to a spare
uid, keeping no capability (bubblewrap has set no-new-privileges by then).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from grader.box.base import Plan, Spawn
from grader.box.system import python_executable, system_folders
from grader.inside import seccomp

__all__ = ["BwrapBox"]

_TMP_BYTES = 64 * 2**20


class BwrapBox:
    """Builds bubblewrap command lines; see the module."""

    tier = "bwrap"

    def __init__(self, bwrap: str | None = None) -> None:
        self._bwrap = bwrap or shutil.which("bwrap") or "bwrap"
        self.fixed = [*_walls(), *_system()]

    def spawn(self, plan: Plan) -> Spawn:
        libraries = tuple(f"/libraries/{i}" for i in range(len(plan.libraries)))
        argv = ["--info-fd", "{info}", *self.fixed]
        argv += _bind(plan.runtime, "/runtime")
        argv += _bind(plan.submission, "/submission")
        argv += ["--bind", str(plan.scratch), "/scratch", "--chdir", "/scratch"]
        for folder, name in zip(plan.libraries, libraries, strict=True):
            argv += _bind(folder, name)
            for hidden in plan.hidden:
                if hidden.is_relative_to(folder) and hidden.is_dir():
                    argv += ["--tmpfs", f"{name}/{hidden.relative_to(folder)}"]
                    argv += ["--remount-ro", f"{name}/{hidden.relative_to(folder)}"]
        argv += ["--remount-ro", "/dev", "--remount-ro", "/"]
        return Spawn(
            argv=(self._bwrap, "--args", "{hidden}", "--", python_executable()),
            hidden=tuple(argv),
            submission="/submission",
            scratch="/scratch",
            runtime="/runtime",
            libraries=libraries,
            uid=plan.uid,
            contained=True,
            walls=seccomp.supported(),
            own_network=True,
            reads=(*map(str, system_folders()), "/proc", "/dev"),
            writes=("/tmp", "/dev/shm", "/dev/null"),
        )


def _walls() -> Iterator[str]:
    yield from ("--new-session", "--hostname", "box")
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")
    yield "--unshare-cgroup-try"
    if os.geteuid() == 0:
        yield from ("--cap-drop", "ALL")
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):  # of the fork server alone
            yield from ("--cap-add", capability)
    else:
        yield from ("--unshare-user", "--uid", "65534", "--gid", "65534")


def _system() -> Iterator[str]:
    """The system read-only; empty /tmp and /dev/shm of a fixed size, own /proc and /dev."""
    yield from ("--proc", "/proc", "--dev", "/dev")
    for place in ("/dev/shm", "/tmp"):
        yield from ("--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", place)
    for folder in system_folders():
        if folder.is_symlink() and folder.parent == Path("/"):
            yield from ("--symlink", os.readlink(folder), str(folder))
        else:
            yield from _bind(folder, str(folder))


def _bind(source: Path | str, target: str) -> Iterator[str]:
    """Show `source` read-only; folders above it would be closed to other users by default."""
    for parent in reversed(Path(target).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from ("--ro-bind", str(source), target)

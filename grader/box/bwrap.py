"""The bubblewrap tier: no network, no other process, no file that was not given.

As an ordinary user the box is a user namespace. As root it is not: a namespace would map to real
uid 0, for which the kernel does not count processes; instead the worker itself moves to a spare
uid, keeping no capability (bubblewrap has set no-new-privileges by then).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from grader.box.base import Plan, Spawn

__all__ = ["BwrapBox", "python_executable", "spare_uid"]

# systemd's range for uids that belong to no account and live as long as a service.
_FIRST_SPARE_UID = 61_184
_SPARE_UIDS = 4_336
_TMP_BYTES = 64 * 2**20


def spare_uid() -> int | None:
    """A uid for this process's boxes when it is root; they share no process count with others."""
    if os.geteuid() != 0:
        return None
    return _FIRST_SPARE_UID + os.getpid() % _SPARE_UIDS


def python_executable() -> str:
    """The interpreter itself: a virtual environment's link would drag its packages along."""
    return os.path.realpath(sys.executable)


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
        return Spawn(
            argv=(self._bwrap, "--args", "{hidden}", "--", python_executable()),
            hidden=tuple(argv),
            submission="/submission",
            scratch="/scratch",
            runtime="/runtime",
            libraries=libraries,
            uid=spare_uid(),
            contained=True,
        )


def _walls() -> Iterator[str]:
    yield from ("--die-with-parent", "--new-session", "--hostname", "box")
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")
    yield "--unshare-cgroup-try"
    if os.geteuid() == 0:
        yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield from ("--unshare-user", "--uid", "65534", "--gid", "65534")


def _system() -> Iterator[str]:
    """Shared libraries and the Python installation, read-only; empty /tmp, own /proc and /dev."""
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777")
    yield from ("--size", str(_TMP_BYTES), "--tmpfs", "/tmp")
    prefix = Path(sys.base_prefix)
    folders = [Path("/usr")] if prefix == Path("/usr") else [Path("/usr/lib"), Path("/usr/lib64")]
    for name in ("/lib", "/lib64"):
        if Path(name).is_symlink():
            yield from ("--symlink", os.readlink(name), name)
        else:
            folders.append(Path(name))
    folders += [Path("/etc/ld.so.cache"), Path("/etc/localtime")]
    if prefix != Path("/usr"):
        folders.append(prefix)
        if not Path(python_executable()).is_relative_to(prefix):
            folders.append(Path(python_executable()))
    for folder in folders:
        if folder.exists():
            yield from _bind(folder, str(folder))


def _bind(source: Path, target: str) -> Iterator[str]:
    """Show `source` read-only; folders above it would be closed to other users by default."""
    for parent in reversed(Path(target).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from ("--ro-bind", str(source), target)

"""Races run alone: no other job of this user judges anything on the machine meanwhile.

Ordinary judging holds a lock that many may share; a race holds it alone. Two files, because one
is unfair: with a shared lock only, new jobs would keep coming and a race would wait for ever. So
everyone first passes a turnstile (`door`), and a race that waits for the `room` to empty keeps it
closed. The kernel drops a lock with the process that holds it: nothing is left to clean up after
a crash. Source: Courtois, Heymans and Parnas (1971), "Concurrent control with readers and
writers", second problem; flock(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from meridian.errors import MeridianError

__all__ = ["FOLDER_VARIABLE", "MachineBusy", "Quiet", "RuntimeFolderUnsafe"]

FOLDER_VARIABLE = "MERIDIAN_RUNTIME"
WAIT_S = 1800.0
_POLL_S = 0.05
_TOLD_AFTER_S = 0.3


class MachineBusy(MeridianError, TimeoutError):
    """Other jobs did not end in time for a race, or a race not in time for a job."""

    def __init__(self, folder: Path, waited_s: float, holders: tuple[int, ...]) -> None:
        self.folder = folder
        self.waited_s = waited_s
        self.holders = holders
        who = f" (process {', '.join(map(str, holders))})" if holders else ""
        super().__init__(
            f"Other jobs{who} kept the machine busy for {waited_s:.0f} s. Wait for them or end "
            f"them, then judge again; their locks are in {folder}"
        )


class RuntimeFolderUnsafe(MeridianError, PermissionError):
    """The folder of the locks belongs to somebody else, or others may write to it."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(
            f"{folder} cannot hold the locks of races: {reason}. Remove it, or name another "
            f"folder in {FOLDER_VARIABLE}"
        )


@dataclass
class _Hold:
    """What this thread or task holds: the kind of its block, and the locked descriptor."""

    alone: bool
    room: int


# Per thread and task, so that a block inside a block is known as one.
_held: ContextVar[_Hold | None] = ContextVar("held", default=None)
_open: set[int] = set()


class Quiet:
    """The locks of one user on one machine; every job makes its own `Quiet`.

    `on_wait` is told, with a sentence, when there is something to wait for; `on_waited`, after the
    wait, how many seconds it was, because a job's time limit should not pay for it. Blocks may be
    nested within one thread: `alone` inside `working` gives the shared lock up for as long, so
    that two jobs which both go on to a race do not wait for each other.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        on_wait: Callable[[str], None] | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._folder = folder
        self._on_wait = on_wait
        self._wait_s = wait_s
        self.on_waited: Callable[[float], None] | None = None

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A block beside which others may judge, but not race.

        Raises `MachineBusy`, `RuntimeFolderUnsafe`, or `OSError` for a folder that is unusable.
        """
        if _held.get() is not None:  # inside a race or another such block: covered already
            yield
            return
        with self._holding(alone=False):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A block beside which no other job of this user does anything. Raises as `working`."""
        outer = _held.get()
        if outer is None:
            with self._holding(alone=True):
                yield
        elif outer.alone:
            yield
        else:
            _close(outer.room)
            outer.room = -1
            try:
                with self._holding(alone=True):
                    yield
            finally:
                outer.room = self._enter(alone=False)

    @contextlib.contextmanager
    def _holding(self, *, alone: bool) -> Iterator[None]:
        hold = _Hold(alone, self._enter(alone=alone))
        token = _held.set(hold)
        try:
            yield
        finally:
            _held.reset(token)
            _close(hold.room)

    def _enter(self, *, alone: bool) -> int:
        """A descriptor of the room, locked; the door stays shut for everyone else until then."""
        folder = self._folder or runtime_folder()
        began = time.monotonic()
        told = False

        def wait() -> None:
            nonlocal told
            waited_s = time.monotonic() - began
            if waited_s >= self._wait_s:
                raise MachineBusy(folder, waited_s, _holders(folder / "room"))
            if not told and waited_s >= _TOLD_AFTER_S and self._on_wait is not None:
                told = True
                self._on_wait("waiting for other jobs")
            time.sleep(_POLL_S)

        door = _locked(folder / "door", fcntl.LOCK_EX, wait)
        try:
            room = _locked(folder / "room", fcntl.LOCK_EX if alone else fcntl.LOCK_SH, wait)
        finally:
            _close(door)
        if self.on_waited is not None:
            self.on_waited(time.monotonic() - began)
        return room


def runtime_folder() -> Path:
    """Where the locks lie: the same folder for every process of this user, in any session."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path("/tmp", f"meridian-{os.geteuid()}")  # not TMPDIR: it differs between sessions
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise RuntimeFolderUnsafe(folder, "it is not a folder")
    if found.st_uid != os.geteuid():
        raise RuntimeFolderUnsafe(folder, f"it belongs to user {found.st_uid}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RuntimeFolderUnsafe(folder, "others may write to it")
    return folder


def _locked(path: Path, kind: int, wait: Callable[[], None]) -> int:
    """A descriptor of `path` with a lock of this `kind`; `wait` is called between two tries."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        _open.add(fd)
        try:
            while not _try(fd, kind):
                wait()
            if _is(fd, path):
                return fd
        except BaseException:
            _close(fd)
            raise
        _close(fd)  # somebody removed the file meanwhile: this lock excludes nobody


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _close(fd: int) -> None:
    """Give the lock up, also where a child that was forked a moment ago still has a copy of it."""
    if fd in _open:
        _open.discard(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _forget() -> None:
    """A forked child holds nothing: through its copies a lock would outlive a killed owner."""
    for fd in _open:
        os.close(fd)  # not unlocked: that would unlock the parent's
    _open.clear()
    _held.set(None)


os.register_at_fork(after_in_child=_forget)


def _holders(path: Path) -> tuple[int, ...]:
    """The processes that hold a lock on `path`, where Linux tells."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ()
    parts = [line.split() for line in lines]
    found = {int(p[4]) for p in parts if len(p) > 5 and p[5].rsplit(":", 1)[-1] == inode}
    return tuple(sorted(pid for pid in found if pid > 0 and pid != os.getpid()))

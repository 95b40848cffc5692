"""The file layer as an argument, so that faults are injected rather than patched.

Storage code never calls ``os`` for its data: it takes a :class:`FileSystem`. :class:`OsFileSystem`
is the real one; `meridian.testing` wraps it to flip bits, cut writes short or fill the disk.
The methods are as thin as the system calls they stand for: a read or write may be short, and the
caller loops, because that is what a real kernel is allowed to do.

Crash tests name the points that matter with :func:`failpoint`; unarmed, a point costs one test of
an empty dict.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from meridian.errors import MeridianError

__all__ = [
    "FailpointError",
    "FileSystem",
    "LogFile",
    "OsFileSystem",
    "RandomFile",
    "arm",
    "disarm",
    "failpoint",
    "locked_here",
]

_NOT_REGULAR = "Not a regular file"

StrPath = str | os.PathLike[str]
Buffer = bytes | bytearray | memoryview


@runtime_checkable
class RandomFile(Protocol):
    """A file read and written at explicit offsets: no shared cursor for two threads to race on."""

    def preadv(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill `buffers` in order from `offset`; return the bytes read, fewer at end of file."""
        ...

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> int:
        """Write `buffers` in order at `offset`; return the bytes written, which may be fewer."""
        ...

    def sync(self) -> None:
        """Return once the data, and a changed size, are on the device."""
        ...

    def truncate(self, size: int) -> None: ...

    def size(self) -> int: ...

    def lock(self, *, shared: bool = False) -> bool:
        """Take the advisory lock without waiting; ``False`` if another holds it.

        It is exclusive, or `shared` with others who ask for that.
        """
        ...

    def close(self) -> None:
        """Release the file and its lock. Closing twice is harmless."""
        ...


@runtime_checkable
class LogFile(Protocol):
    """A file that only grows at its end."""

    def write(self, data: Buffer) -> int:
        """Append all of `data`, looping over short writes; return its length."""
        ...

    def sync(self) -> None: ...

    def truncate(self, size: int) -> None: ...

    def preallocate(self, size: int) -> None:
        """Reserve `size` bytes on disk, so that appending does not change the file's size."""
        ...

    def tell(self) -> int: ...

    def close(self) -> None: ...


@runtime_checkable
class FileSystem(Protocol):
    """Everything the storage systems ask of an operating system."""

    def open_append(self, path: StrPath) -> LogFile: ...

    def create(self, path: StrPath) -> LogFile:
        """Like `open_append`, but the file must not exist yet (``FileExistsError``)."""
        ...

    def open_random(
        self, path: StrPath, *, create: bool = False, direct: bool = False, readonly: bool = False
    ) -> RandomFile: ...

    def read(self, path: StrPath) -> memoryview: ...

    def listdir(self, path: StrPath) -> list[str]: ...

    def exists(self, path: StrPath) -> bool: ...

    def size(self, path: StrPath) -> int: ...

    def rename(self, old: StrPath, new: StrPath) -> None:
        """Replace `new` by `old` in one step; durable only after `sync_dir`."""
        ...

    def unlink(self, path: StrPath) -> None: ...

    def mkdir(self, path: StrPath) -> None:
        """Create a directory and its parents; an existing one is fine."""
        ...

    def sync_dir(self, path: StrPath) -> None:
        """Make creations, renames and removals inside `path` durable."""
        ...


def _sync_fd(fd: int, *, data_only: bool) -> None:
    if fd < 0:  # as the other calls on a closed file do
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if sys.platform == "darwin":  # plain fsync stops at the drive's volatile cache there
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif data_only:
        os.fdatasync(fd)
    else:
        os.fsync(fd)


class _OsFile:
    """The descriptor both kinds of file own. Dropped while open it warns, as Python's files do."""

    __slots__ = ("__weakref__", "_fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if self._fd >= 0:
            try:
                warnings.warn(
                    f"Unclosed file {self.path}", ResourceWarning, stacklevel=2, source=self
                )
            finally:
                self.close()


class OsRandomFile(_OsFile):
    """`RandomFile` on ``os.preadv``/``os.pwritev``."""

    __slots__ = ()

    def preadv(self, buffers: Sequence[memoryview], offset: int) -> int:
        return os.preadv(self._fd, buffers, offset)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> int:
        return os.pwritev(self._fd, buffers, offset)

    def sync(self) -> None:
        _sync_fd(self._fd, data_only=False)

    def lock(self, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        with _locking:
            _locked.add(self)
        return True


_locked: weakref.WeakSet[OsRandomFile] = weakref.WeakSet()  # some may be closed by now
_locking = threading.Lock()


def locked_here(path: StrPath) -> bool:
    """Whether an open file of this very process holds the lock on the file at `path`."""
    with _locking:
        held = list(_locked)
    try:
        wanted = os.stat(path)
        return any(os.path.samestat(wanted, os.fstat(f._fd)) for f in held if f._fd >= 0)
    except OSError:  # gone, or closed by another thread meanwhile
        return False


class OsLogFile(_OsFile):
    """`LogFile` on an unbuffered descriptor: what `write` returned is in the page cache."""

    __slots__ = ("_allocated", "_end")

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd, path)
        self._end = self.size()
        self._allocated = self._end

    def write(self, data: Buffer) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            written += os.pwrite(self._fd, view[written:], self._end + written)
        self._end += written
        return written

    def sync(self) -> None:
        _sync_fd(self._fd, data_only=self._end <= self._allocated)
        self._allocated = max(self._allocated, self._end)

    def truncate(self, size: int) -> None:
        super().truncate(size)
        self._end = self._allocated = size

    def preallocate(self, size: int) -> None:
        if size > self._allocated:
            os.posix_fallocate(self._fd, 0, size)
            os.fsync(self._fd)
            self._allocated = size

    def tell(self) -> int:
        return self._end


class OsFileSystem:
    """The real file system of this machine."""

    __slots__ = ()

    def open_append(self, path: StrPath) -> OsLogFile:
        return OsLogFile(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), os.fspath(path)
        )

    def create(self, path: StrPath) -> OsLogFile:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return OsLogFile(os.open(path, flags, 0o644), os.fspath(path))

    def open_random(
        self, path: StrPath, *, create: bool = False, direct: bool = False, readonly: bool = False
    ) -> OsRandomFile:
        flags = os.O_CLOEXEC | (os.O_RDONLY if readonly else os.O_RDWR)
        if create and not readonly:
            flags |= os.O_CREAT
        if direct:
            if not hasattr(os, "O_DIRECT"):
                raise OSError(errno.EINVAL, "direct I/O needs O_DIRECT, which only Linux has", path)
            flags |= os.O_DIRECT
        try:
            # Not to wait for the other end of a pipe; regular files do not know this flag.
            file = OsRandomFile(os.open(path, flags | os.O_NONBLOCK, 0o644), os.fspath(path))
        except IsADirectoryError:
            raise IsADirectoryError(errno.EISDIR, _NOT_REGULAR, os.fspath(path)) from None
        mode = os.fstat(file._fd).st_mode
        if not stat.S_ISREG(mode):
            file.close()
            kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(kind, _NOT_REGULAR, os.fspath(path))
        return file

    def read(self, path: StrPath) -> memoryview:
        with open(path, "rb") as file:
            return memoryview(file.read())

    def listdir(self, path: StrPath) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: StrPath) -> bool:
        return os.path.exists(path)

    def size(self, path: StrPath) -> int:
        return os.stat(path).st_size

    def rename(self, old: StrPath, new: StrPath) -> None:
        os.replace(old, new)

    def unlink(self, path: StrPath) -> None:
        os.unlink(path)

    def mkdir(self, path: StrPath) -> None:
        os.makedirs(path, exist_ok=True)

    def sync_dir(self, path: StrPath) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class FailpointError(MeridianError):
    """An armed failpoint was reached with action ``raise``."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Failpoint {name!r} reached")


_armed: dict[str, list[tuple[int, str]]] = {}
_armed_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Mark a point where a crash matters. Does nothing unless `name` was armed."""
    if _armed:
        _reach(name)


def arm(name: str, nth: int = 1, action: str = "kill") -> None:
    """Make the `nth` arrival at failpoint `name` (counted from now) perform `action`, once.

    `action` is ``"kill"`` (SIGKILL to this process), ``"raise"`` (`FailpointError`) or
    ``"sleep:MS"``. The environment variable ``MERIDIAN_FAILPOINT=name:nth:action`` arms one point
    of a child process from its start.
    """
    kind, _, amount = action.partition(":")
    if nth < 1:
        raise ValueError(f"Expected nth >= 1, got {nth}")
    if kind not in ("kill", "raise", "sleep") or (kind == "sleep") != amount.isdigit():
        raise ValueError(f"Expected action 'kill', 'raise' or 'sleep:MS', got {action!r}")
    with _armed_lock:
        _armed.setdefault(name, []).append((nth, action))


def disarm(name: str | None = None) -> None:
    """Forget what was armed under `name`, or everything."""
    with _armed_lock:
        _armed.clear() if name is None else _armed.pop(name, None)


def _reach(name: str) -> None:
    with _armed_lock:
        due = [action for nth, action in _armed.get(name, ()) if nth == 1]
        later = [(nth - 1, action) for nth, action in _armed.get(name, ()) if nth > 1]
        if later:
            _armed[name] = later
        else:
            _armed.pop(name, None)
    for action in due:
        kind, _, amount = action.partition(":")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "sleep":
            time.sleep(int(amount) / 1000)
        else:
            raise FailpointError(name)


def _arm_from_environment() -> None:
    setting = os.environ.get("MERIDIAN_FAILPOINT")
    if setting:
        name, nth, action = setting.split(":", 2)
        arm(name, int(nth), action)


_arm_from_environment()

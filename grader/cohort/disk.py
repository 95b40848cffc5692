"""Where a queue may lie, who works on it, and where its workers put what they need for a while."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.box.files import remove_tree
from grader.cohort.errors import CohortBusy, CohortStopped, QueueError
from grader.report import write_file

__all__ = [
    "alone_in",
    "alone_on",
    "file_system",
    "is_full",
    "refuse_network_disk",
    "refuse_small_disk",
    "together_in",
    "workplace",
]

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "fuse.sshfs", "lustre", "glusterfs", "gpfs")
_WORKPLACE = "meridian-cohort-"
_FIX = "Name a local one with --queue, or set MERIDIAN_LAB to a lab on a local disk."


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that `path` lies on; empty where that cannot be told."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    found, length = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        place = Path(fields[4].replace(r"\040", " "))
        if len(place.parts) >= length and path.resolve().is_relative_to(place):
            found, length = kind[0], len(place.parts)
    return found


def refuse_network_disk(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise `QueueError` when `path` lies where SQLite's locks are not to be trusted."""
    kind = file_system(path, mounts)
    if kind.startswith(_NETWORK):
        raise QueueError(path, f"on a network disk ({kind}), where locks do not hold", _FIX)


def is_full(error: BaseException) -> bool:
    """Whether there was no room on a disk, or none left for this user."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def refuse_small_disk(folder: Path, workers: int, scratch_bytes: int) -> None:
    """Raise `CohortStopped` when submissions may write more than the disk of `folder` has room."""
    free_bytes, needed_bytes = shutil.disk_usage(folder).free, workers * scratch_bytes
    if free_bytes < needed_bytes:
        raise CohortStopped(
            f"{folder.parent} has {free_bytes / 2**30:.1f} GiB free, and {workers} workers may "
            f"need {needed_bytes / 2**30:.1f}: free some, set TMPDIR to a folder on a larger disk, "
            "or ask for fewer workers"
        )


@contextmanager
def alone_on(queue: Path) -> Iterator[None]:
    """Hold the queue for one run; the kernel frees it when this process ends, however it ends.

    Raises `CohortBusy` when another run holds it.
    """
    queue.parent.mkdir(parents=True, exist_ok=True)
    path = queue.with_name(f"{queue.name}.lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CohortBusy(queue, os.pread(fd, 100, 0).decode(errors="replace")) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(fd)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder` for one run, which writes there; made if need be, and nothing is left in it.

    Raises `CohortBusy` when another run holds it.
    """
    with _opened(folder) as fd:
        if not _lock(fd, fcntl.LOCK_EX):
            raise CohortBusy(folder, "with another queue")
        yield


@contextmanager
def together_in(folder: Path, *, first: Callable[[], None]) -> Iterator[None]:
    """Use `folder` beside other runs. `first` is called if there is none, before any can begin."""
    with _opened(folder) as fd:
        if _lock(fd, fcntl.LOCK_EX):
            first()
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, kind: int) -> bool:
    """Lock an open folder if nobody holds it. Some network disks lock no folders."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
    return True


@contextmanager
def workplace(note: Path) -> Iterator[Path]:
    """A folder for everything that workers need for a while, gone at the end.

    `note` remembers it, so that what a killed run left is removed by the next.
    """
    if note.exists():
        left = Path(note.read_text(encoding="utf-8"))
        if left.name.startswith(_WORKPLACE):
            remove_tree(left)
    folder = Path(tempfile.mkdtemp(prefix=_WORKPLACE))
    folder.chmod(0o711)  # a box that runs as another user has to pass through
    try:
        write_file(note, os.fsencode(folder))
        yield folder
    finally:
        remove_tree(folder)
        note.unlink(missing_ok=True)

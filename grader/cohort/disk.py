"""Where a queue may lie, who works on it, and where its workers put what they need for a while."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.box.files import remove_tree
from grader.cohort.errors import CohortBusy, QueueError
from grader.report import write_file

__all__ = ["alone_on", "file_system", "refuse_network_disk", "workplace"]

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

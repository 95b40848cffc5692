"""Whether a test failed by the machine that judges, for then nothing is scored from it.

A submission is promised the disk that its limits name (`scratch_bytes`, `scratch_files`). What it
meets beyond them is its own fault; what it meets before is the machine's. An error number alone
proves nothing, for a submission can raise any: the judge looks at the disk itself.
"""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from grader.box import BoxUnavailable
from grader.box.files import usage
from grader.errors import RemoteError
from grader.judging.properties import Smallest
from grader.limits import Limits

__all__ = ["lack_of_room", "machine_trouble"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN = frozenset({errno.EIO, errno.EROFS, errno.ENFILE})
_JUDGES_OWN = _NO_ROOM | _BROKEN | {errno.EMFILE}
_FULL = 16
"""With less than this part of what was promised, a disk is full even if nobody said so."""
_PROBE_BYTES = 1 << 16


def machine_trouble(error: BaseException, place: Path, limits: Limits) -> Exception | None:
    """What the judge's machine did to a test that ended with `error`, ``None`` if it did nothing.

    `place` is the folder with the scratch folders, which must still be there.
    """
    numbers: set[int] = set()
    for each in _with_causes(error):
        if isinstance(each, RemoteError):
            number = each.fields.get("errno") if each.is_a("OSError") else None
            numbers |= {number} if type(number) is int else set()
        elif isinstance(each, BoxUnavailable) or (
            isinstance(each, OSError) and each.errno in _JUDGES_OWN
        ):
            return each
    if numbers & _BROKEN and (broken := _probe(place)) is not None:
        return broken
    return lack_of_room(place, limits, named=bool(numbers & _NO_ROOM))


def lack_of_room(place: Path, limits: Limits, *, named: bool) -> OSError | None:
    """The error of a disk that holds less than `limits` promise to one worker.

    Where nobody `named` a full disk it must also be all but full: code that hides the error of a
    write fails in another way.
    """
    disk = os.statvfs(place)
    free_bytes = disk.f_bavail * disk.f_frsize
    free_files = disk.f_favail if disk.f_files else math.inf  # some count no files
    if free_bytes >= limits.scratch_bytes and free_files >= limits.scratch_files:
        return None
    own_bytes, own_files = _written(place, limits)
    for what, free, own, promised in (
        ("bytes", free_bytes, own_bytes, limits.scratch_bytes),
        ("files", free_files, own_files, limits.scratch_files),
    ):
        if free + own < promised and (named or free * _FULL < promised):
            return OSError(
                errno.ENOSPC,
                f"The judge's disk has room for {free} {what}, and a submission may write "
                f"{promised}: nothing is scored. Free some, or set TMPDIR to a folder on a larger "
                "disk",
                os.fspath(place),
            )
    return None


def _written(place: Path, limits: Limits) -> tuple[int, int]:
    """Bytes and files of the worker that wrote least: the others' are not its doing."""
    found = []
    for folder in place.glob("scratch-*"):
        if folder.is_dir() and folder.suffix != ".tmp":
            parts = [usage(folder, limits.scratch_files)]
            if (private := folder.with_name(f"{folder.name}.tmp")).is_dir():
                parts.append(usage(private, limits.scratch_files))
            found.append((sum(p.bytes for p in parts), sum(p.entries for p in parts)))
    if not found:
        return 0, 0
    return min(size for size, _ in found), min(count for _, count in found)


def _probe(place: Path) -> OSError | None:
    """What happens when the judge itself writes there."""
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(b"x" * _PROBE_BYTES)
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and every one behind it, each once."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        if isinstance(each, Smallest):
            pending.append(each.error)
        elif isinstance(each, RemoteError):
            pending += [each.cause, *each.exceptions]
        elif isinstance(each, BaseExceptionGroup):
            pending += each.exceptions

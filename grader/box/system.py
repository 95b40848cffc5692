"""What the tiers ask of the machine: its users, its processes, where its libraries lie."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from pathlib import Path

__all__ = ["python_executable", "spare_uid", "system_folders", "tasks_of_this_user"]

# Ids that no account has, and room for 64 boxes of every process id; inside a container that maps
# fewer ids, systemd's range for services that have a user only while they run.
_FIRST_UID, _UIDS_EACH = 1_900_000_000, 16
_FIRST_SERVICE_UID, _SERVICE_UIDS = 61_184, 4_336
_MAX_PID = 2**22
_serial = itertools.count()


def spare_uid() -> int | None:
    """A uid for one box when this process is root; it shares no process count with others."""
    if os.geteuid() != 0:
        return None
    number = next(_serial) % _UIDS_EACH
    if _mapped_uids() > _FIRST_UID + _MAX_PID * _UIDS_EACH:
        return _FIRST_UID + os.getpid() * _UIDS_EACH + number
    return _FIRST_SERVICE_UID + (os.getpid() * _UIDS_EACH + number) % _SERVICE_UIDS


@functools.cache
def _mapped_uids() -> int:
    """How many ids this user namespace has; all of them where there is none."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
        return max(int(first) + int(count) for first, _, count in map(str.split, lines))
    except (OSError, ValueError):
        return 2**32


def tasks_of_this_user() -> int | None:
    """Processes and threads that run as this user now; the kernel counts all of them together.

    ``None`` for root, whose processes it does not count, and where there is no /proc.
    """
    if os.geteuid() == 0 or not sys.platform.startswith("linux"):
        return None
    total = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}/task").st_uid == os.geteuid():
                total += len(os.listdir(f"/proc/{name}/task"))
        except OSError:  # gone meanwhile
            continue
    return total


def python_executable() -> str:
    """The interpreter itself: a virtual environment's link would drag its packages along."""
    return os.path.realpath(sys.executable)


def system_folders() -> list[Path]:
    """Shared libraries and the Python installation, as far as they exist."""
    prefix = Path(sys.base_prefix)
    folders = [Path("/usr")] if prefix == Path("/usr") else [Path("/usr/lib"), Path("/usr/lib64")]
    folders += [Path("/lib"), Path("/lib64"), Path("/etc/ld.so.cache"), Path("/etc/localtime")]
    if prefix != Path("/usr"):
        folders.append(prefix)
        if not Path(python_executable()).is_relative_to(prefix):
            folders.append(Path(python_executable()))
    return [folder for folder in folders if folder.exists()]

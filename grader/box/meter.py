"""What all processes of a box use together, by the kernel's books and not by theirs.

Read from outside, a few times a second. Memory is what they hold that is not a file (RssAnon,
RssShmem) and what lies in the box's own /tmp and /dev/shm; pages shared after a fork count for each
process that has them, so the sum is never too small. Without /proc nothing is known, and the
limits of each process are all there is.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from grader.inside.strays import descendants

__all__ = ["BoxMeter", "Used", "peak_bytes"]

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


class Used(msgspec.Struct):
    """At one moment."""

    memory_bytes: int = 0
    cpu_s: float = 0.0
    """Of the processes that are there now, and of those they have waited for."""
    processes: int = 0
    files: int = 0
    """Entries of the box's own /tmp and /dev/shm."""


class BoxMeter:
    """Reads the processes below `server`; `places` are descriptors of the box's own tmpfs."""

    def __init__(self, server: int, places: tuple[int, ...] = ()) -> None:
        self._server = server
        self._places = places

    def read(self) -> Used:
        used = Used()
        for pid in below(self._server):
            try:
                used.memory_bytes += _memory(pid)
                used.cpu_s += _cpu(pid)
            except (OSError, ValueError, IndexError):  # gone meanwhile
                continue
            used.processes += 1
        for place in self._places:
            facts = os.fstatvfs(place)
            used.memory_bytes += (facts.f_blocks - facts.f_bfree) * facts.f_frsize
            used.files += facts.f_files - facts.f_ffree
        return used


def below(root: int) -> list[int]:
    """Processes below `root`, from the kernel's lists of children where it keeps them."""
    found: list[int] = []
    pending = [root]
    while pending:
        pid = pending.pop()
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    children = [int(child) for child in file.read().split()]
            except FileNotFoundError:
                if os.path.exists(f"/proc/{pid}/task/{task}"):
                    return descendants([root])  # a kernel without these lists
                continue
            except OSError:
                continue
            found += children
            pending += children
    return found


def peak_bytes(pid: int) -> int:
    """The most memory that process `pid` has had at once, files it maps included. Or 0."""
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * _KIB
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _memory(pid: int) -> int:
    with open(f"/proc/{pid}/status", "rb") as file:
        lines = file.read().splitlines()
    return _KIB * sum(
        int(line.split()[1]) for line in lines if line.startswith((b"RssAnon:", b"RssShmem:"))
    )


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS  # own and waited-for, user, system

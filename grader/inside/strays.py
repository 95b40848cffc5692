"""Finding and ending processes that left their group, where nothing keeps them from leaving it.

Only for the tier without walls. The fork server is their subreaper, so wherever they hide they hang
below it in the tree of processes. Without /proc (macOS) the group is all that is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

__all__ = ["descendants", "end_strays"]


def end_strays(kept: set[int]) -> None:
    """SIGKILL to every descendant that does not hang below `kept`, until there is none."""
    while strays := descendants([os.getpid()], without=kept):
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in strays:
            with contextlib.suppress(ChildProcessError):  # its parent has not ended yet
                os.waitpid(pid, 0)


def descendants(roots: Iterable[int], without: Iterable[int] = ()) -> list[int]:
    """Processes below `roots`, the roots not included; what hangs below `without` is left out."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    skipped = set(without)
    found: list[int] = []
    pending = [child for root in roots for child in children.get(root, ())]
    while pending:
        pid = pending.pop()
        if pid not in skipped:
            found.append(pid)
            pending += children.get(pid, ())
    return found


def _parents() -> Iterable[tuple[int, int]]:
    """Each process with its parent; nothing where there is no /proc."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for name in names:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                yield int(name), int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):  # gone meanwhile
            continue

"""The boxes of one submission, alike but for the order of their sets."""

from __future__ import annotations

import os
from pathlib import Path

from grader.box import Box, Plan, Spawn
from grader.box.boxes import ForkServer
from grader.limits import Limits

__all__ = ["HASH_SEEDS", "BoxSet"]

HASH_SEEDS = (1, 2)
"""Workers take turns: code that depends on the order of a set differs from test to test, and after
every restart. Always these, so that the same submission gets the same verdict. A fork cannot change
the seed it inherits, so each has a box of its own."""


class BoxSet:
    """Starts boxes when they are needed and hands out their fork servers in turn."""

    def __init__(self, box: Box, plan: Plan, limits: Limits, preload: tuple[str, ...] = ()) -> None:
        self.plan = plan
        self.spawn: Spawn = box.spawn(plan)
        self._limits = limits
        self._preload = preload
        self._servers: list[ForkServer | None] = [None] * len(HASH_SEEDS)
        self._retired: list[ForkServer] = []
        self._turn = 0
        self._latest: ForkServer | None = None
        self.closed = False

    @property
    def alive(self) -> bool:
        """Whether every box that was started still runs."""
        return not self.closed and all(s.running() for s in self._servers if s is not None)

    def start(self) -> None:
        """Start what is not started; returns at once. Raises `OSError`."""
        for i in range(len(HASH_SEEDS)):
            self._at(i)

    def wait(self) -> None:
        """Until all that were started serve. Raises `BoxUnavailable`."""
        for server in self._servers:
            if server is not None:
                server.wait()

    def server(self, *, alone: bool = False) -> ForkServer:
        """A fork server whose next worker finds nothing of an earlier one.

        The next one starts meanwhile, unless this worker is to be the only one (`alone`).
        Raises `BoxUnavailable`.
        """
        if self.closed:
            raise RuntimeError("These boxes are closed: make a new workshop")
        i, self._turn = self._turn, (self._turn + 1) % len(HASH_SEEDS)
        chosen = self._at(i)
        chosen.wait()
        if not alone:
            self._at(self._turn)
        self._latest = chosen
        return chosen

    def _at(self, i: int) -> ForkServer:
        server = self._servers[i]
        if server is not None and server.alive and server.clean:
            return server
        if server is not None:  # another worker may still live in it
            self._retired.append(server)
            if not server.busy:
                server.close()
        self._servers[i] = server = ForkServer(
            self.spawn,
            self._limits,
            folder=self.plan.scratch,
            hash_seed=HASH_SEEDS[i],
            preload=self._preload,
        )
        return server

    def latest(self) -> ForkServer:
        """Where the newest worker runs."""
        return self._latest if self._latest is not None else self.server()

    def _all(self) -> list[ForkServer]:
        return [*self._retired, *(server for server in self._servers if server is not None)]

    def cpu_s(self) -> float:
        """CPU seconds of all workers so far."""
        return sum(server.ended_cpu_s + server.used().cpu_s for server in self._all())

    def park(self, *, stopped: bool) -> None:
        for server in self._all():
            server.park(stopped)

    def close(self) -> None:
        """End all boxes and everything in them. Closing twice is harmless."""
        self.closed = True
        for server in self._all():
            server.close()


def scratch_parent(work: Path, uid: int | None) -> Path:
    """A new folder inside `work` for scratch folders; another user may pass, not look around."""
    folder = work / "scratch"
    number = 0
    while True:
        try:
            folder.mkdir(mode=0o700)
            break
        except FileExistsError:
            number += 1
            folder = work / f"scratch-{number}"
    if uid is not None:
        os.chmod(folder, 0o711)
    return folder

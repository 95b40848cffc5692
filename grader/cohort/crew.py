"""Who does the work: a crew of workers that the coordinator starts, watches and ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import msgspec

from grader.box.files import remove_tree
from grader.cohort.queue import Lane
from grader.cohort.work import Order

__all__ = ["Crew", "Ended", "Processes"]

STOP_S = 15.0
_KEPT_BYTES = 2_000


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is gone. `crash` says how, if it did not end by itself."""

    owner: str
    jobs: int = 0
    peak_bytes: int = 0
    crash: str = ""
    fatal: str = ""
    """Why no worker could go on; empty when others can."""
    disk_full: bool = False
    """It gave its job back for want of room, which others' jobs may have taken."""


class Crew(Protocol):
    """Where jobs are done. Use with `with`: leaving ends every worker and waits for it."""

    def width(self, lane: Lane) -> int:
        """How many workers may be at work in `lane`. Raises `ClusterError` if none ever could."""
        ...

    def start(self, lane: Lane, *, alone: bool) -> None:
        """`alone` says that no other is at work, now or later, while this one is."""
        ...

    def alive(self) -> int: ...

    def wait(self, timeout_s: float) -> None:
        """Until a worker has something to say, or ends; no longer than that."""
        ...

    def ended(self) -> list[Ended]:
        """The workers that ended since the last call."""
        ...

    def kill(self, owner: str) -> None: ...

    def finish(self) -> None:
        """Wait for the workers, which have nothing left to do, to end by themselves."""
        ...

    def __enter__(self) -> Crew: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _Worker:
    """One process, its pipes, and the last it said."""

    def __init__(self, order: Order, lab: Path, work: Path) -> None:
        self.work = work / order.owner
        self.work.mkdir(mode=0o711)
        self.owner = order.owner
        self.jobs = 0
        self.end: dict[str, object] = {}
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._rest = b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "grader.cohort.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**_variables(lab), "TMPDIR": os.fspath(self.work)},
            start_new_session=True,  # Ctrl+C reaches the coordinator, which tells its workers
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        self.input.write(msgspec.json.encode(order) + b"\n")
        self.input.flush()

    def hear(self) -> bool:
        """Read what was said without waiting; whether there will be more."""
        data = os.read(self.output.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            fact = msgspec.json.decode(line, type=dict[str, object])
            if "step" in fact:
                self.jobs += fact["step"] == "ended"
            else:
                self.end = fact
        return data != b""

    def result(self) -> Ended:
        """What is left to say of a process that has ended; closes everything of it."""
        status = self.process.wait()
        while self.hear():
            pass
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - _KEPT_BYTES))
        said = self.errors.read().decode(errors="replace").strip().splitlines()
        self.input.close()
        self.output.close()
        self.errors.close()
        remove_tree(self.work)
        peak = self.end.get("peak_bytes", 0)
        assert isinstance(peak, int)
        return Ended(
            owner=self.owner,
            jobs=self.jobs,
            peak_bytes=peak,
            crash="" if self.end else _how(status, said),
            fatal=str(self.end.get("fatal", "")),
            disk_full="disk_full" in self.end,
        )


class Processes:
    """Local workers: warm processes that claim jobs from the queue by themselves.

    Each keeps what it imported from job to job and is replaced after `order.max_jobs`. What one
    that is killed leaves in `work` is removed with it.
    """

    def __init__(self, order: Order, workers: int, lab: Path, work: Path) -> None:
        self._order = order
        self._workers = workers
        self._lab = lab
        self._work = work
        self._live: dict[str, _Worker] = {}

    def width(self, lane: Lane) -> int:
        return 1 if lane == "races" else self._workers

    def start(self, lane: Lane, *, alone: bool) -> None:
        owner = secrets.token_hex(8)
        order = msgspec.structs.replace(self._order, owner=owner, lane=lane, alone=alone)
        self._live[owner] = _Worker(order, self._lab, self._work)

    def alive(self) -> int:
        return len(self._live)

    def wait(self, timeout_s: float) -> None:
        ready, _, _ = select.select([w.output for w in self._live.values()], [], [], timeout_s)
        for worker in self._live.values():
            if worker.output in ready and not worker.hear():
                worker.process.wait()

    def ended(self) -> list[Ended]:
        gone = [owner for owner, w in self._live.items() if w.process.poll() is not None]
        return [self._live.pop(owner).result() for owner in gone]

    def kill(self, owner: str) -> None:
        worker = self._live.get(owner)
        if worker is not None:
            worker.process.kill()

    def finish(self) -> None:
        deadline = time.monotonic() + STOP_S
        for worker in self._live.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._live.values():
            worker.input.close()
        deadline = time.monotonic() + STOP_S
        for worker in self._live.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
            worker.result()
        self._live.clear()


def _variables(lab: Path) -> dict[str, str]:
    """The coordinator's environment, and its lab; the code that runs here runs there."""
    import grader

    home = os.fspath(Path(grader.__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    path = home if not before else f"{home}{os.pathsep}{before}"
    return {**os.environ, "PYTHONPATH": path, "MERIDIAN_LAB": os.fspath(lab)}


def _how(status: int, said: list[str]) -> str:
    ended = f"was killed by signal {-status}" if status < 0 else f"left with status {status}"
    return f"its worker {ended}" + (f": {said[-1][:300]}" if said and status >= 0 else "")

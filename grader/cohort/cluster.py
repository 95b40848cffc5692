"""The same jobs on a Dask cluster: sent as data, judged there, checked and signed here.

A worker gets the submission's bytes, the task, and a secret made for this one job; neither a
shared disk nor the lab's key. If it is killed, Dask gives its job to another. Races go to workers
that offer ``race=1``, one at a time and after everything else.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from types import TracebackType
from typing import Any

import msgspec

from grader.box.reserve import RESERVE
from grader.cohort.crew import STOP_S, Ended
from grader.cohort.errors import ClusterError, OtherGrader, WorkersKilled
from grader.cohort.queue import Lane
from grader.cohort.task import Task, judge
from grader.cohort.work import Order, serve

__all__ = ["Cluster", "judge_on_worker"]

CONNECT_S = 20.0
_LOOK_S = 0.5
_INSTALL = "Install it: pip install 'meridian-academy[cluster]'."
_ONE_AT_A_TIME = threading.Lock()


def judge_on_worker(task: bytes, packed: bytes | None, secret: bytes) -> bytes:
    """What runs on a Dask worker: one job at a time in each process, whatever its threads.

    A box waits there for the next job, but for a race.
    """
    asked = msgspec.json.decode(task, type=Task)
    with _ONE_AT_A_TIME, RESERVE.lent(racing=asked.lane == "races") as pool:
        return judge(asked, packed, secret, pool)


class Cluster:
    """A crew of threads, each of which claims a job here and has it judged there.

    Raises `ClusterError` where Dask is not installed, the scheduler does not answer, or has no
    worker for what is asked.
    """

    def __init__(self, order: Order, address: str, workers: int) -> None:
        self._order = order
        self._address = address
        self._workers = workers
        self._stop = threading.Event()
        self._live: dict[str, threading.Thread] = {}
        self._gone: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._news = threading.Event()

    def width(self, lane: Lane) -> int:
        known = self._client.scheduler_info(n_workers=-1)["workers"].values()
        if not known:
            raise ClusterError(
                f"The scheduler {self._address} has no workers",
                f"Start some: dask worker {self._address} --nthreads 1.",
            )
        if lane == "judge":
            return self._workers or len(known)
        if not any(worker["resources"].get("race", 0) >= 1 for worker in known):
            raise ClusterError(
                "No worker of the cluster is set apart for races",
                f"Start one on a quiet machine: dask worker {self._address} --nthreads 1 "
                '--resources "race=1".',
            )
        return 1

    def start(self, lane: Lane, *, alone: bool) -> None:  # noqa: ARG002
        """Each machine has a disk of its own: one that is full is no reason for fewer others."""
        owner = secrets.token_hex(8)
        order = msgspec.structs.replace(self._order, owner=owner, lane=lane, alone=True)
        thread = threading.Thread(target=self._serve, args=(order,), name=owner, daemon=True)
        self._live[owner] = thread
        thread.start()

    def alive(self) -> int:
        return len(self._live)

    def wait(self, timeout_s: float) -> None:
        self._news.wait(timeout_s)
        self._news.clear()  # before anything is looked at: what comes now is seen next time

    def ended(self) -> list[Ended]:
        found = []
        while not self._gone.empty():
            end = self._gone.get()
            self._live.pop(end.owner).join()
            found.append(end)
        return found

    def kill(self, owner: str) -> None:
        """Nothing to do: a thread that stands still here has lost its lease already."""

    def finish(self) -> None:
        deadline = time.monotonic() + STOP_S
        for thread in self._live.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Cluster:
        dask = _dask()
        _refuse_no_address(self._address)
        try:
            self._client = dask.Client(self._address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"No Dask scheduler answers at {self._address!r} ({error})",
                "Start one: dask scheduler; it prints its address.",
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self.finish()
        self._client.close()

    # -- in a thread -----------------------------------------------------------------------------

    def _serve(self, order: Order) -> None:
        done, crash, fatal = 0, "", ""
        try:
            done = serve(
                order, lambda *what: self._submit(order.lane, *what), self._stop, self._tell
            )
        except (ClusterError, OtherGrader) as error:
            fatal = str(error)
        except Exception as error:
            crash = f"{type(error).__name__}: {error}"
        self._gone.put(Ended(owner=order.owner, jobs=done, crash=crash, fatal=fatal))
        self._news.set()

    def _tell(self, _: str) -> None:
        self._news.set()

    def _submit(self, lane: Lane, task: Task, packed: bytes | None, secret: bytes) -> bytes:
        """Have one job judged by the cluster. A refused submission is refused here: it stays."""
        if packed is None:
            with _ONE_AT_A_TIME:
                return judge(task, None, secret)
        future = self._client.submit(
            judge_on_worker,
            msgspec.json.encode(task),
            packed,
            secret,
            key=f"meridian-{secrets.token_hex(16)}",
            resources={"race": 1} if lane == "races" else None,
            pure=False,
        )
        try:
            return self._result(future)
        finally:
            future.release()

    def _result(self, future: Any) -> bytes:
        dask = _dask()
        try:
            while True:
                try:
                    result = future.result(timeout=_LOOK_S)
                    break
                except TimeoutError:
                    if future.status == "error":  # the job's own
                        raise
                if self._stop.is_set():
                    future.cancel()
                    raise ClusterError("The run was stopped", "The same command goes on")
        except dask.KilledWorker as error:
            raise WorkersKilled(error.allowed_failures + 1) from None
        except dask.client.FutureCancelledError:
            raise ClusterError(
                f"The scheduler {self._address} is gone",
                "Start it again; the same command goes on.",
            ) from None
        assert isinstance(result, bytes)
        return result


def _refuse_no_address(address: str) -> None:
    """Dask itself asks for what is no address again and again, and cannot be stopped then."""
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("", "tcp", "tls", "ws", "wss") or not host or not port.isdecimal():
        raise ClusterError(
            f"{address!r} is no address of a Dask scheduler",
            "Name the one it prints when it starts, like tcp://10.0.0.5:8786.",
        )


def _dask() -> Any:
    try:
        import distributed
    except ImportError:
        raise ClusterError("Dask is not installed here", _INSTALL) from None
    return distributed

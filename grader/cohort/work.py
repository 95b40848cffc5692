"""What a worker does: claim a job, judge it, keep the result, say so; until nothing waits.

The same loop runs in a local process, which judges by itself, and in a thread of the coordinator,
which has a cluster judge. It may be killed between any two lines: a result that is kept is found
by whoever claims the job next, and a row changes hands only while its lease holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from grader.cohort.disk import is_full
from grader.cohort.errors import ClusterError, OtherGrader, WorkersKilled
from grader.cohort.queue import LEASE_S, Job, Lane, Queue
from grader.cohort.sealed import Results, job_secret
from grader.cohort.task import Executor, Task
from grader.records.store import SubmissionStore
from grader.report import sayable

__all__ = ["Order", "serve"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker finds its jobs and leaves their results; plain data, read from a pipe."""

    queue: str
    run: str
    capstone: str
    mode: str
    lane: Lane
    owner: str
    results: str
    store: str
    run_secret: bytes
    max_jobs: int
    lease_s: float = LEASE_S
    alone: bool = False
    """Whether nobody else's job can be what fills the disk."""

    def open(self) -> Queue:
        """A connection to the queue for the calling thread."""
        return Queue(Path(self.queue), self.run, capstone=self.capstone, mode=self.mode)


def serve(
    order: Order,
    execute: Executor,
    stop: threading.Event,
    on_step: Callable[[str], None] = lambda _: None,
) -> int:
    """Do jobs until none waits, `stop` is set, or `order.max_jobs` are done; how many were done.

    `on_step` hears ``"claimed"`` and ``"ended"`` of each. What `execute` raises is written into
    the job's row. Raises `OtherGrader` and `ClusterError`, for then no other job would fare
    better; `QueueError`; and the `OSError` of a full disk, unless `order.alone`: that job is not
    to blame, and is given back for when there is room.
    """
    results, store = Results(Path(order.results)), SubmissionStore(Path(order.store))
    done = 0
    with order.open() as queue:
        while done < order.max_jobs and not stop.is_set():
            job = queue.claim(order.owner, order.lane, order.lease_s)
            if job is None:
                break
            on_step("claimed")
            try:
                with _held(order, job):
                    _judge(order, job, execute, results, store)
            except (OtherGrader, ClusterError, KeyboardInterrupt, SystemExit):
                queue.give_back(job, order.owner)
                raise
            except Exception as error:
                if is_full(error) and not order.alone:
                    queue.give_back(job, order.owner)
                    raise
                reason = "" if stop.is_set() else sayable(f"{type(error).__name__}: {error}")
                final = isinstance(error, WorkersKilled)
                queue.give_back(job, order.owner, reason, final=final)
            else:
                queue.finish(job, order.owner)
            done += 1
            on_step("ended")
    return done


def _judge(
    order: Order, job: Job, execute: Executor, results: Results, store: SubmissionStore
) -> None:
    secret = job_secret(order.run_secret, job.cache_key)
    if results.holds(job.cache_key, secret):  # its worker was killed before it could say so
        return
    task = msgspec.json.decode(job.task, type=Task)
    sha256 = task.submission_sha256
    packed = store.path(sha256).read_bytes() if sha256 else None
    results.put(job.cache_key, execute(task, packed, secret), secret)


@contextmanager
def _held(order: Order, job: Job) -> Iterator[None]:
    """Renew the lease from a thread of its own while the job is judged."""
    ended = threading.Event()

    def beat() -> None:
        with order.open() as queue:
            while not ended.wait(order.lease_s / 3):
                if not queue.renew(job, order.owner, order.lease_s):
                    return

    heart = threading.Thread(target=beat, name="lease", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()

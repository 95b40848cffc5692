"""The queue against a model of it, and against several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from grader.cohort.disk import alone_on, file_system, refuse_network_disk
from grader.cohort.errors import CohortBusy, QueueError
from grader.cohort.queue import TRIES, Entry, Job, Queue
from grader.cohort.rows import SCHEMA
from meridian.testing import VirtualClock

MOUNTS = """\
24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 24 0:27 / /home rw,relatime shared:5 - nfs4 server:/home rw
31 24 0:28 / /home/ann/local\\040disk rw - xfs /dev/sdb1 rw
32 24 0:29 / /mnt/share rw - cifs //server/share rw
"""


def queue(path: Path, run: str = "run", clock: Any = None) -> Queue:
    return Queue(path, run, capstone="toys/01-toy", mode="submit", clock=clock)


def entry(learner: str, key: str = "k", *, cached: bool = False) -> Entry:
    return Entry(learner, 1, "judge", key, b"task", cached)


class Model(RuleBasedStateMachine):
    """Workers and a coordinator do what they do in any order; a dict says what must come of it.

    Of each job: its state, its owner, its failures. Time moves, workers lose their leases, and
    still no job is held twice, finished by one that does not hold it, or forgotten.
    """

    owners = st.sampled_from(["one", "two", "three"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.queue = queue(Path(":memory:"), clock=self.clock)
        self.queue.enter(entry(name) for name in "abc")
        self.model = {job.id: ["waiting", "", 0] for job in self.queue.jobs()}
        self.until: dict[int, float] = {}
        self.held: list[tuple[Job, str]] = []

    def teardown(self) -> None:
        self.queue.close()

    @rule(owner=owners)
    def claim(self, owner: str) -> None:
        job = self.queue.claim(owner, "judge", 10)
        waiting = [i for i, (state, _, _) in self.model.items() if state == "waiting"]
        if job is None:
            assert not waiting
            return
        assert job.id == min(waiting, key=lambda i: (self.model[i][2], i))
        self.model[job.id][:2] = ["running", owner]
        self.until[job.id] = self.clock.monotonic() + 10
        self.held.append((job, owner))

    @rule(
        pick=st.integers(0, 20), what=st.sampled_from(["renew", "finish", "back", "fail", "final"])
    )
    def act(self, pick: int, what: str) -> None:
        """A worker acts on a job that it holds, or once held."""
        if not self.held:
            return
        job, owner = self.held[pick % len(self.held)]
        mine = self.model[job.id][:2] == ["running", owner]
        if what == "renew":
            assert self.queue.renew(job, owner, 10) == mine
            if mine:
                self.until[job.id] = self.clock.monotonic() + 10
        elif what == "finish":
            assert self.queue.finish(job, owner) == mine
            if mine:
                self.model[job.id][:2] = ["judged", ""]
        elif what == "back":
            assert self.queue.give_back(job, owner) == mine
            if mine:
                self.model[job.id][:2] = ["waiting", ""]
        else:
            assert self.queue.give_back(job, owner, "why", final=what == "final") == mine
            if mine:
                self.miss(job.id, TRIES if what == "final" else self.model[job.id][2])

    @rule(owner=owners)
    def lose(self, owner: str) -> None:
        lost = {job.id for job in self.queue.lost(owner, "killed")}
        assert lost == {
            i for i, (state, who, _) in self.model.items() if (state, who) == ("running", owner)
        }
        for i in lost:
            self.miss(i, self.model[i][2])

    @rule(seconds=st.sampled_from([1, 9, 11]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        late = {
            who
            for i, (state, who, _) in self.model.items()
            if state == "running" and self.until[i] < now
        }
        assert set(self.queue.lapsed()) == late

    @rule()
    def release(self) -> None:
        self.queue.release()
        for row in self.model.values():
            if row[0] == "running":
                row[:2] = ["waiting", ""]

    @rule(again=st.booleans())
    def settle(self, again: bool) -> None:
        for job in self.queue.judged():
            if again:
                self.queue.again(job, "damaged")
                self.miss(job.id, job.tries)
            else:
                self.queue.settle(job, receipt="r")
                self.model[job.id][0] = "done"

    def miss(self, job: int, tries: int) -> None:
        state = "person" if tries + 1 >= TRIES else "waiting"
        self.model[job] = [state, "", tries + 1]

    @invariant()
    def agrees(self) -> None:
        assert {j.id: [j.state, j.owner, j.tries] for j in self.queue.jobs()} == self.model
        left = sum(state not in ("done", "person") for state, _, _ in self.model.values())
        assert self.queue.left("judge") == left


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTheQueue = Model.TestCase


def test_a_new_run_takes_back_what_an_old_one_left(tmp_path: Path) -> None:
    """Its coordinator and workers are gone; one that is not cannot enter a thing any more."""
    path = tmp_path / "q.sqlite"
    with queue(path, "old") as old:
        old.enter([entry("ann"), entry("bob"), entry("cid", cached=True)])
        held = old.claim("worker", "judge")
        assert held is not None
        with queue(path, "new") as new:
            new.enter([entry("ann"), entry("bob"), entry("cid", cached=True)])
            states = {job.learner: job.state for job in new.jobs()}
            assert states == {"ann": "waiting", "bob": "waiting", "cid": "judged"}
            assert not old.renew(held, "worker")
            assert not old.finish(held, "worker")
            assert not old.give_back(held, "worker", "trouble")
            assert old.claim("worker", "judge") is None
            assert {job.learner: job.state for job in new.jobs()} == states


def test_what_is_done_and_unchanged_may_stay_done(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with queue(path, "old") as old:
        old.enter([entry("ann", "1"), entry("bob", "1"), entry("cid", "1", cached=True)])
        for _ in range(2):
            job = old.claim("w", "judge")
            assert job is not None
            old.finish(job, "w")
        for job in old.judged():
            then = Entry(job.learner, 1, "races", "r", b"", True) if job.learner == "ann" else None
            old.settle(job, verdict=b"v", then=then)
    with queue(path, "new") as new:
        later = [entry("ann", "1", cached=True), entry("bob", "2"), entry("cid", "1", cached=True)]
        new.enter(later, only_changed=True)
        assert [(j.learner, j.lane, j.state, j.verdict) for j in new.jobs()] == [
            ("ann", "judge", "judged", b""),  # its races were not done
            ("bob", "judge", "waiting", b""),
            ("cid", "judge", "done", b"v"),
        ]


def claim_all(path: str, owner: str, out: Any) -> None:
    with queue(Path(path)) as own:
        while (job := own.claim(owner, "judge")) is not None:
            out.put((job.id, own.finish(job, owner)))


def test_processes_share_the_jobs_and_none_is_had_twice(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    with queue(path) as own:
        own.enter(entry(f"learner{i}") for i in range(60))
        workers = [
            context.Process(target=claim_all, args=(str(path), f"w{i}", out)) for i in range(3)
        ]
        for worker in workers:
            worker.start()
        claimed = [out.get(timeout=120) for _ in range(60)]
        for worker in workers:
            worker.join(60)
        assert sorted(claimed) == [(job.id, True) for job in own.judged()]


def test_a_job_that_is_not_there(tmp_path: Path) -> None:
    with queue(tmp_path / "q.sqlite") as own:
        with pytest.raises(KeyError, match="no job 7"):
            own.read(7)
        with pytest.raises(KeyError, match="attempt 2 of ann"):
            own.first("ann", 2)


@pytest.mark.parametrize("content", [b"not a database " * 100, b"{}" * 2000])
def test_what_is_no_queue(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q.sqlite"
    path.write_bytes(content)
    with pytest.raises(QueueError, match="not a queue"):
        queue(path)
    assert path.read_bytes() == content


def test_a_queue_on_a_full_disk_is_a_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.cohort.queue.SCHEMA", "PRAGMA max_page_count = 1;" + SCHEMA)
    with pytest.raises(
        QueueError, match=r"cannot be used \(database or disk is full\)\. Make room"
    ):
        Queue(tmp_path / "q.sqlite", "run", capstone="c", mode="submit")


def test_a_queue_of_the_future(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(QueueError, match="written by version 99"):
        queue(path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/q.sqlite", "ext4"),
        ("/home/ann/q.sqlite", "nfs4"),
        ("/home/ann/local disk/q.sqlite", "xfs"),
        ("/homestead/q.sqlite", "ext4"),
        ("/mnt/share/q.sqlite", "cifs"),
    ],
)
def test_a_network_disk_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_system(Path(path), mounts) == kind
    if kind in ("nfs4", "cifs"):
        with pytest.raises(QueueError, match=f"network disk .{kind}.*--queue"):
            refuse_network_disk(Path(path), mounts)
    else:
        refuse_network_disk(Path(path), mounts)


def test_where_mounts_cannot_be_told(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "none") == ""
    (tmp_path / "odd").write_text("garbage\n\n1 2 3 - \n")
    assert file_system(tmp_path, tmp_path / "odd") == ""
    refuse_network_disk(tmp_path / "q", tmp_path / "none")


def test_one_coordinator_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with alone_on(path):
        with pytest.raises(CohortBusy, match=r"process \d+"), alone_on(path):
            raise AssertionError
        told: list[BaseException] = []

        def other() -> None:
            try:
                with alone_on(path):
                    raise AssertionError
            except CohortBusy as error:
                told.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert told
    with alone_on(path):
        pass

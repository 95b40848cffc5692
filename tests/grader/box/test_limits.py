"""Every limit that is hit is a named outcome, for one process and for the box as a whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from grader.box.meter import BoxMeter, below, peak_bytes
from grader.box.system import tasks_of_this_user
from grader.box.workers import Workshop, library_folders
from grader.errors import WorkerLost
from grader.limits import MIB, Limits
from grader.proxy.submission import Submission
from tests.grader.conftest import need

Laboratory = Callable[..., Workshop]

LIMITS = Limits(
    question_s=60,
    cpu_s=1,
    memory_bytes=256 * MIB,
    box_memory_bytes=300 * MIB,
    processes=16,
    open_files=64,
    file_bytes=MIB,
    scratch_bytes=4 * MIB,
    scratch_files=300,
    output_bytes=MIB,
)


@pytest.fixture
def boxed(walls: str, laboratory: Laboratory) -> Iterator[Submission]:
    submission = Submission(laboratory(walls, LIMITS), "lab")
    yield submission
    submission.close()


def test_limits_are_set_and_cannot_be_raised(boxed: Submission) -> None:
    processes = 16 + (tasks_of_this_user() or 0)
    wanted = {"AS": 256 * MIB, "FSIZE": MIB, "NOFILE": 64, "NPROC": processes, "CORE": 1, "CPU": 1}
    for name, amount in wanted.items():
        soft, hard = boxed.do(f"result = resource.getrlimit(resource.RLIMIT_{name})")
        if name == "NPROC" and os.geteuid() != 0:  # others of this user come and go
            assert soft == hard >= 16
        else:
            assert (soft, hard) == (amount, amount + (name == "CPU"))
        with boxed.raises("ValueError", "PermissionError", "OSError"):
            boxed.do(f"resource.setrlimit(resource.RLIMIT_{name}, (-1, -1))")


def test_processor_time_of_one_process(boxed: Submission) -> None:
    with pytest.raises(WorkerLost, match="CPU time") as lost:
        boxed.do("while True: pass")
    assert lost.value.outcome == "timeout"


BURN = """
for _ in range(2):
    if os.fork() == 0:
        while True: pass
time.sleep(100)
"""


@pytest.mark.parametrize(
    ("which", "words"), [("question_cpu_s", "for one question"), ("job_cpu_s", "in all")]
)
def test_processor_time_of_all_processes(
    which: str, words: str, walls: str, laboratory: Laboratory
) -> None:
    limits = msgspec.structs.replace(LIMITS, cpu_s=100, **{which: 0.5})
    submission = Submission(laboratory(walls, limits), "lab")
    with pytest.raises(WorkerLost, match=f"CPU time: 0.5 s {words}") as lost:
        submission.do(BURN)
    assert lost.value.outcome == "timeout"
    submission.close()


def test_processor_time_of_earlier_workers_counts_for_the_job(
    walls: str, laboratory: Laboratory
) -> None:
    limits = msgspec.structs.replace(LIMITS, cpu_s=100, job_cpu_s=1.0)
    workshop = laboratory(walls, limits)
    burn = "end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"

    def one_worker() -> None:
        submission = Submission(workshop, "lab")
        try:
            submission.do(burn)
        finally:
            submission.close()

    def many() -> None:
        for _ in range(8):
            one_worker()

    with pytest.raises(WorkerLost, match="in all"):
        many()
    assert workshop.cpu_s() > 1.0


SPREAD = """
for _ in range(4):
    if os.fork() == 0:
        block = bytearray(100 << 20)
        for i in range(0, len(block), 4096): block[i] = 1
        time.sleep(100)
time.sleep(100)
"""


def test_memory_of_all_processes(boxed: Submission) -> None:
    with pytest.raises(WorkerLost, match="All its processes together") as lost:
        boxed.do(SPREAD)
    assert lost.value.outcome == "memory"


def test_memory_of_one_process_is_an_exception(boxed: Submission) -> None:
    with boxed.raises("MemoryError"):
        boxed.do("bytearray(400 << 20)")


def test_shared_memory_counts(boxed: Submission) -> None:
    with pytest.raises(WorkerLost, match="All its processes together"):
        boxed.do(
            "import mmap\n"
            "for i in range(4):\n"
            "    if os.fork() == 0:\n"
            "        block = mmap.mmap(-1, 100 << 20)\n"
            "        for i in range(0, len(block), 4096): block[i] = 1\n"
            "        time.sleep(100)\n"
            "time.sleep(100)"
        )


def test_the_boxs_own_tmpfs_counts_and_is_small(laboratory: Laboratory) -> None:
    need("bwrap")
    fill = (
        "for i in range(200):\n    open(f'{place}/{i}', 'wb').write(bytes(1 << 20))\n    n = i\n"
        "time.sleep(100)"
    )
    limits = msgspec.structs.replace(LIMITS, box_memory_bytes=50 * MIB)
    for place in ("/tmp", "/dev/shm"):
        submission = Submission(laboratory("bwrap", LIMITS), "lab")
        with submission.raises("OSError") as caught:
            submission.do(fill, place=place)
        assert caught.error is not None
        assert caught.error.fields["errno"] == 28
        submission.close()
        small = Submission(laboratory("bwrap", limits), "lab")
        with pytest.raises(WorkerLost, match="All its processes together"):
            small.do(
                "for i in range(50): open(f'{p}/{i}', 'wb').write(bytes(1 << 20))\ntime.sleep(100)",
                p=place,
            )
        small.close()


def test_empty_files_in_the_boxs_tmpfs_count(laboratory: Laboratory) -> None:
    need("bwrap")
    submission = Submission(laboratory("bwrap", LIMITS), "lab")
    with pytest.raises(WorkerLost, match="Made more than 300 files"):
        submission.do("for i in range(1000): open(f'/tmp/{i}', 'w')\ntime.sleep(100)")
    submission.close()


def test_temporary_files_count_as_the_workers_own(boxed: Submission) -> None:
    with pytest.raises(WorkerLost, match="Wrote more than"):
        boxed.do(
            "import tempfile\nfor i in range(20):\n"
            "    os.write(tempfile.mkstemp()[0], bytes(900 << 10))\ntime.sleep(100)"
        )


def test_processes_and_threads(boxed: Submission) -> None:
    for source in (
        "for _ in range(100):\n    if os.fork() == 0: time.sleep(600)",
        "for _ in range(100): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ):
        with boxed.raises("BlockingIOError", "RuntimeError"):
            boxed.do(source)
        boxed.restart()


def test_memory_that_no_limit_sees_is_not_to_be_had(boxed: Submission) -> None:
    with boxed.raises("PermissionError"):
        boxed.do("os.memfd_create('x')")
    shared = "import ctypes\nresult = ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)"
    assert boxed.do(shared) == -1


def test_numba_has_the_address_space_it_reserves(walls: str, laboratory: Laboratory) -> None:
    pytest.importorskip("numba", reason="numba is not installed: uv sync")
    workshop = laboratory(walls, LIMITS, extra=library_folders(), preload=("numpy", "numba"))
    submission = Submission(workshop, "lab")
    assert submission.do("result = resource.getrlimit(resource.RLIMIT_AS)[0]") >= 8 * 1024 * MIB
    with pytest.raises(WorkerLost, match="All its processes together") as lost:
        submission.do("import numpy\nblocks = numpy.ones(200 << 20)\ntime.sleep(100)")
    assert lost.value.outcome == "memory"
    submission.close()


def test_a_core_is_never_written(boxed: Submission) -> None:
    boxed.do("pid = os.fork()\nif pid == 0: os.abort()\nos.waitpid(pid, 0)")
    status = boxed.do("pid = os.fork()\nif pid == 0: os.abort()\nresult = os.waitpid(pid, 0)[1]")
    assert not os.WCOREDUMP(status)
    assert boxed.do("result = os.listdir('.')") == []


def test_the_meter_reads_what_the_kernel_keeps() -> None:
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc: on Linux, mount it: sudo mount -t proc proc /proc")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        block = bytearray(50 * MIB)
        os.write(write, b"x")
        os.read(os.pipe()[0], len(block))
    try:
        os.read(read, 1)
        assert pid in below(os.getpid())
        used = BoxMeter(os.getpid()).read()
        assert used.memory_bytes > 50 * MIB
        assert used.processes >= 1
        assert peak_bytes(pid) > 50 * MIB
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
    assert peak_bytes(pid) == 0


def test_a_judge_that_was_stopped_takes_no_time_from_the_question(
    boxed: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        """What `poll` waits with; the first turn without an answer lasts ten minutes."""

        def __init__(self, poll: Any) -> None:
            self.waits, self.away_s = poll, 0.0
            self.register, self.unregister = poll.register, poll.unregister

        def poll(self, wait_ms: float) -> Any:
            ready = self.waits.poll(min(wait_ms, 20))
            self.away_s = self.away_s or (0 if ready else 600)
            return ready

    assert boxed.do("result = 1") == 1
    transport = boxed.module()._connection._transport
    stopped = transport._poll = Stopped(transport._poll)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + stopped.away_s)
    monkeypatch.setattr("grader.box.transport.time", clock)
    assert boxed.do("time.sleep(0.2); result = 2") == 2
    assert stopped.away_s == 600

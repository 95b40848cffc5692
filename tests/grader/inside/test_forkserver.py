"""Workers forked from a warm server: fresh each time, ended with all they started."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from grader.box import BoxUnavailable
from grader.box.boxset import HASH_SEEDS
from grader.box.meter import below
from grader.box.workers import Workshop, library_folders
from grader.errors import WorkerLost
from grader.inside.forkserver import receive, send
from grader.proxy.submission import Submission
from tests.grader.conftest import TIGHT, living, need
from tests.grader.waiting import until

Laboratory = Callable[..., Workshop]

FORK_AWAY = """
import ctypes
for hidden in range(3):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        if os.fork() == 0:
            while True:
                time.sleep(60)
        os._exit(0)
result = os.getpid()
"""


def test_every_worker_is_a_new_process_of_the_same_box(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    seen = []
    for _ in range(2 * len(HASH_SEEDS)):
        submission = Submission(workshop, "lab")
        seen.append(submission.do("result = os.getpid(), hash('a'), os.listdir('.')"))
        submission.do("open('left', 'w'); sys.modules['lab'].left = 1")
        submission.close()
    assert [files for _, _, files in seen] == [[]] * len(seen)
    hashes = [number for _, number, _ in seen]
    assert len(set(hashes)) == len(HASH_SEEDS)
    assert hashes[: len(HASH_SEEDS)] == hashes[len(HASH_SEEDS) :]


def test_a_restart_keeps_the_files_and_changes_the_hash_seed(
    walls: str, laboratory: Laboratory
) -> None:
    submission = Submission(laboratory(walls), "lab")
    before = submission.do("open('kept', 'w').write('x'); result = hash('a')")
    submission.restart()
    assert submission.do("result = open('kept').read()") == "x"
    assert submission.do("result = hash('a')") != before
    submission.close()


@pytest.mark.parametrize("tier", ["bwrap", "landlock", "rlimits"])
def test_what_a_worker_started_ends_with_it(tier: str, laboratory: Laboratory) -> None:
    """Orphans too, and those that wrote over the environment by which they could be known."""
    need(tier)
    workshop = laboratory(tier)
    submission = Submission(workshop, "lab")
    submission.do(FORK_AWAY)
    meter = workshop._running().latest().meter
    assert meter is not None
    assert len(below(meter._server)) >= 4
    submission.kill()
    assert below(meter._server) == []
    submission.close()


@pytest.mark.parametrize("tier", ["bwrap", "landlock", "rlimits"])
def test_a_chain_of_forks_does_not_outrun_the_end(tier: str, laboratory: Laboratory) -> None:
    """A process that lives only to fork the next: none of them is there long enough to be named."""
    need(tier)
    workshop = laboratory(tier)
    submission = Submission(workshop, "lab")
    submission.do("if os.fork() == 0:\n    while True:\n        if os.fork(): os._exit(0)")
    meter = workshop._running().latest().meter
    assert meter is not None
    if tier == "rlimits":
        submission.close()  # without walls only the box's own end is sure; see docs/grader/box.md
        return
    submission.kill()
    assert below(meter._server) == []
    again = Submission(workshop, "lab")
    assert again.do("result = 1") == 1
    again.close()
    submission.close()


def test_one_worker_ends_without_the_other(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    three = [Submission(workshop, "lab") for _ in range(3)]
    pids = [each.do("if os.fork() == 0: time.sleep(600)\nresult = os.getpid()") for each in three]
    assert len(pids) == 3
    assert len(living(workshop)) == 6
    three[0].kill()
    assert len(living(workshop)) == 4
    assert [each.do("result = os.getpid()") for each in three[1:]] == pids[1:]
    for each in three:
        each.close()


def test_leftovers_outside_the_scratch_folder_retire_the_box(laboratory: Laboratory) -> None:
    need("bwrap")
    workshop = laboratory("bwrap")
    for place in ("/tmp", "/dev/shm"):
        for _ in HASH_SEEDS:
            submission = Submission(workshop, "lab")
            assert submission.do("result = os.listdir(place)", place=place) == []
            submission.do("open(f'{place}/left', 'w').write('x')", place=place)
            submission.close()
        last = Submission(workshop, "lab")
        assert last.do("result = os.listdir(place)", place=place) == []
        last.close()


def test_in_landlock_nothing_outside_the_scratch_folder_takes_files(laboratory: Laboratory) -> None:
    need("landlock")
    submission = Submission(laboratory("landlock"), "lab")
    for place in ("/tmp", "/dev/shm", "/var/tmp"):
        with submission.raises("PermissionError"):
            submission.do("open(f'{place}/left-by-a-test', 'w')", place=place)
    assert submission.do("import tempfile\nresult = tempfile.mkdtemp()").endswith != ""
    submission.close()


def test_a_worker_is_cheap_with_numba_loaded(walls: str, laboratory: Laboratory) -> None:
    """It is a fork: what the server loaded is there, and is not loaded again."""
    pytest.importorskip("numba", reason="numba is not installed: uv sync")
    workshop = laboratory(walls, extra=library_folders(), preload=("numpy", "numba"))
    submission = Submission(workshop, "lab")
    loaded = "result = sorted({'numpy', 'numba'} & set(sys.modules))"
    assert submission.do(loaded) == ["numba", "numpy"]
    source = """
import numba, numpy

@numba.njit
def total(values):
    s = 0.0
    for v in values:
        s += v
    return s

result = float(total(numpy.arange(5.0)))
"""
    assert submission.do(source) == 10.0
    submission.close()


def test_the_control_socket_is_not_in_reach(walls: str, laboratory: Laboratory) -> None:
    submission = Submission(laboratory(walls), "lab")
    kinds = """
import stat
result = []
for fd in range(1024):
    try:
        result.append(stat.S_ISSOCK(os.fstat(fd).st_mode))
    except OSError:
        pass
"""
    assert submission.do(kinds) == [False] * 5
    submission.close()


def test_a_dead_server_is_replaced(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    first = Submission(workshop, "lab")
    first.do("pass")
    meter = workshop._running().latest().meter
    assert meter is not None
    os.kill(meter._server, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        first.do("time.sleep(60)")
    first.close()
    for _ in HASH_SEEDS:
        again = Submission(workshop, "lab")
        assert again.do("result = 2") == 2
        again.close()


def test_a_server_that_is_killed_leaves_nothing(laboratory: Laboratory) -> None:
    """Neither a worker nor what it started, where no namespace ends them."""
    need("landlock")
    workshop = laboratory("landlock")
    submission = Submission(workshop, "lab")
    submission.do("if os.fork() == 0: time.sleep(600)")
    pids = living(workshop)
    assert len(pids) == 2
    meter = workshop._running().latest().meter
    assert meter is not None
    os.kill(meter._server, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        submission.do("time.sleep(60)")
    assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    submission.close()


def test_park_stops_all_of_a_box_between_questions(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    submission = Submission(workshop, "lab")
    submission.do("if os.fork() == 0:\n    while True: pass")

    def states() -> set[str]:
        found = set()
        for pid in below(meter._server):
            with open(f"/proc/{pid}/stat") as file:
                found.add(file.read().rpartition(")")[2].split()[0])
        return found

    meter = workshop._running().latest().meter
    assert meter is not None
    workshop.park(True)
    assert until(lambda: states() == {"T"})
    assert submission.do("result = 3") == 3
    assert until(lambda: states() == {"T"})
    other = Submission(workshop, "lab")
    assert other.do("result = 4") == 4
    workshop.park(False)
    assert until(lambda: states() != {"T"})
    assert submission.do("result = 5") == 5
    workshop.park(True)
    other.close()
    submission.close()


def test_nothing_wakes_what_is_parked(walls: str, laboratory: Laboratory) -> None:
    submission = Submission(laboratory(walls), "lab")
    attempts = """
import ctypes, fcntl
libc = ctypes.CDLL(None, use_errno=True)
timer = ctypes.c_void_p()
event = (ctypes.c_int * 16)(0, 0, int(signal.SIGCONT), 0)
result = [libc.timer_create(0, event, ctypes.byref(timer))]
read, write = os.pipe()
try:
    fcntl.fcntl(read, fcntl.F_SETSIG, signal.SIGCONT)
    result.append(0)
except OSError:
    result.append(-1)
"""
    assert submission.do(attempts) == [-1, -1]
    submission.close()


@pytest.mark.parametrize("tier", ["bwrap", "landlock", "rlimits"])
def test_dial_reaches_a_server_in_the_box(tier: str, laboratory: Laboratory) -> None:
    need(tier)
    workshop = laboratory(tier, msgspec.structs.replace(TIGHT, network=True))
    submission = Submission(workshop, "lab")
    serve = """
server = socket.create_server(('127.0.0.1', 0))
def echo():
    while True:
        peer, _ = server.accept()
        peer.sendall(peer.recv(100).upper())
        peer.close()
threading.Thread(target=echo, daemon=True).start()
result = server.getsockname()[1]
"""
    port = submission.do(serve)
    for _ in range(3):
        with workshop.dial(port) as peer:
            peer.sendall(b"ping")
            assert peer.recv(100) == b"PING"
    with pytest.raises(ValueError, match="loopback"):
        workshop.dial(port, host="192.0.2.1")
    submission.kill()
    with pytest.raises(OSError, match="refused"):
        workshop.dial(port)
    submission.close()


def test_a_server_in_landlock_cannot_call_out(laboratory: Laboratory) -> None:
    need("landlock")
    workshop = laboratory("landlock", msgspec.structs.replace(TIGHT, network=True))
    submission = Submission(workshop, "lab")
    with socket.create_server(("127.0.0.1", 0)) as server:
        for attempt in (
            "socket.create_connection(address, 1)",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', address)",
            "s = socket.socket(); s.sendto(b'x', socket.MSG_FASTOPEN, address)",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
            "socket.create_server(('127.0.0.1', 45671))",
        ):
            with submission.raises("OSError"):
                submission.do(attempt, address=server.getsockname())
    submission.close()


def test_a_network_is_refused_where_it_cannot_be_fenced(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("landlock")
    monkeypatch.setattr("grader.inside.landlock.abi", lambda: 3)
    workshop = laboratory("landlock", msgspec.structs.replace(TIGHT, network=True))
    with pytest.raises(BoxUnavailable, match="cannot keep a server off"):
        Submission(workshop, "lab")


def test_peak_memory_is_the_kernels_number(walls: str, laboratory: Laboratory) -> None:
    submission = Submission(laboratory(walls), "lab")
    submission.do("pass")
    connection = submission._connection
    assert connection is not None
    before = connection._transport.peak_memory()
    submission.do("x = bytearray(64 << 20); del x")
    peak = connection._transport.peak_memory()
    assert before + (60 << 20) < peak < before + (90 << 20)
    submission.close()
    assert connection._transport.peak_memory() >= peak


def test_closing_twice_and_asking_afterwards(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    submission = Submission(workshop, "lab")
    submission.do("pass")
    workshop.close()
    workshop.close()
    with pytest.raises(WorkerLost):
        submission.do("pass")
    with pytest.raises(RuntimeError, match="closed"):
        workshop.connect(submission._scratch)
    submission.close()


def test_messages_carry_descriptors_and_end_with_the_other_side() -> None:
    one, two = socket.socketpair()
    read, write = os.pipe()
    big: dict[str, Any] = {"text": "x" * 300_000, "n": 1}
    sender = threading.Thread(target=send, args=(one, big, (read, write)))
    sender.start()
    received = receive(two)
    sender.join()
    assert received is not None
    message, fds = received
    assert message == big
    assert len(fds) == 2
    os.write(fds[1], b"x")
    assert os.read(read, 1) == b"x"
    one.close()
    assert receive(two) is None
    for fd in (read, write, *fds):
        os.close(fd)
    two.close()

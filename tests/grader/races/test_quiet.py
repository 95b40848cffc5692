"""Locks of races: shared and alone, between processes and within one, whatever dies."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.races.quiet import (
    FOLDER_VARIABLE,
    MachineBusy,
    Quiet,
    RuntimeFolderUnsafe,
    runtime_folder,
)

PATIENCE_S = 60.0

# Enters blocks as it is told, one line a command, and answers when it is inside.
PROCESS = """
import sys
from pathlib import Path
from grader.races.quiet import Quiet

quiet = Quiet(Path(sys.argv[1]), on_wait=lambda said: print(said, flush=True))
blocks = []
for line in sys.stdin:
    if line.strip() == "leave":
        blocks.pop().__exit__(None, None, None)
    else:
        blocks.append(getattr(quiet, line.strip())())
        blocks[-1].__enter__()
    print("done", flush=True)
"""


class Process:
    """Another judging process."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, os.fspath(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.heard = b""

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")

    def hears(self) -> str:
        assert self.process.stdout is not None
        while b"\n" not in self.heard:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
            assert ready, "no answer"
            chunk = os.read(self.process.stdout.fileno(), 4096)
            assert chunk, "it ended"
            self.heard += chunk
        line, _, self.heard = self.heard.partition(b"\n")
        return line.decode()

    def does(self, command: str) -> None:
        self.tell(command)
        self.hears_done()

    def hears_done(self) -> None:
        while (said := self.hears()) != "done":
            assert said == "waiting for other jobs"

    def waits(self, command: str) -> None:
        """It was told to enter, and cannot yet."""
        self.tell(command)
        assert self.hears() == "waiting for other jobs"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.end()


def blocked(folder: Path, kind: str) -> MachineBusy:
    """What a process is told that may wait no time at all."""
    with (
        pytest.raises(MachineBusy) as caught,
        getattr(Quiet(folder, wait_s=0), kind)(),
    ):
        pass
    return caught.value


def test_many_work_and_one_races(tmp_path: Path, another: Callable[[], Process]) -> None:
    one, two = another(), another()
    one.does("working")
    two.does("working")
    with Quiet(tmp_path, wait_s=0).working():
        pass
    told = blocked(tmp_path, "alone")
    assert isinstance(told, TimeoutError)
    if Path("/proc/locks").exists():
        assert set(told.holders) == {one.process.pid, two.process.pid}
        assert str(one.process.pid) in str(told)
    assert str(tmp_path) in str(told)
    one.does("leave")
    two.does("leave")
    one.does("alone")
    blocked(tmp_path, "working")
    blocked(tmp_path, "alone")
    one.does("leave")
    with Quiet(tmp_path, wait_s=0).alone():
        pass


def test_a_race_that_waits_lets_no_new_job_in(
    tmp_path: Path, another: Callable[[], Process]
) -> None:
    """Else a cohort's jobs, one after the other, would keep a race waiting for ever."""
    old, racer, new = another(), another(), another()
    old.does("working")
    racer.waits("alone")
    new.waits("working")
    old.does("leave")
    assert racer.hears() == "done"  # before the newcomer
    blocked(tmp_path, "working")
    racer.does("leave")
    assert new.hears() == "done"


def test_what_is_killed_holds_nothing(tmp_path: Path, another: Callable[[], Process]) -> None:
    for kind in ("working", "alone"):
        victim = another()
        victim.does(kind)
        blocked(tmp_path, "alone")
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait()
        with Quiet(tmp_path, wait_s=0).alone():
            pass


def test_a_killed_waiter_opens_the_door(tmp_path: Path, another: Callable[[], Process]) -> None:
    old, racer = another(), another()
    old.does("working")
    racer.waits("alone")
    blocked(tmp_path, "working")
    racer.process.kill()
    racer.process.wait()
    with Quiet(tmp_path, wait_s=0).working():
        pass


def test_two_jobs_that_both_go_on_to_a_race(tmp_path: Path, another: Callable[[], Process]) -> None:
    """Each gives its shared lock up before it waits; neither waits for the other."""
    one, two = another(), another()
    one.does("working")
    two.does("working")
    one.waits("alone")  # two still works
    two.tell("alone")
    assert one.hears() == "done"
    for _ in "race", "work":
        one.tell("leave")  # back to its shared lock, before or after the race of the other
    two.hears_done()
    for _ in "race", "work":
        two.tell("leave")
    for process in (one, one, two, two):
        process.hears_done()
    with Quiet(tmp_path, wait_s=0).alone():
        pass


def test_blocks_inside_blocks(tmp_path: Path) -> None:
    quiet = Quiet(tmp_path, wait_s=0)
    with quiet.working(), quiet.working(), Quiet(tmp_path, wait_s=0).alone():
        with quiet.alone(), quiet.working():
            _from_a_thread(lambda: blocked(tmp_path, "working"))
        _from_a_thread(lambda: blocked(tmp_path, "working"))
    with quiet.working():
        with quiet.alone():
            pass
        _from_a_thread(lambda: blocked(tmp_path, "alone"))  # shared again
    with pytest.raises(KeyError), quiet.working(), quiet.alone():
        raise KeyError
    with quiet.alone():
        pass


def test_a_race_that_gives_up_leaves_the_job_as_it_was(
    tmp_path: Path, another: Callable[[], Process]
) -> None:
    other = another()
    other.does("working")
    quiet = Quiet(tmp_path, wait_s=0)
    with quiet.working():
        with pytest.raises(MachineBusy), quiet.alone():
            pass
        other.does("leave")
        _from_a_thread(lambda: blocked(tmp_path, "alone"))
    with quiet.alone():
        pass


def _from_a_thread(check: Callable[[], object]) -> None:
    """Threads exclude each other like processes."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            check()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not failures, failures


def test_waiting_is_told_and_so_is_how_long_it_was(
    tmp_path: Path, another: Callable[[], Process]
) -> None:
    racer = another()
    racer.does("alone")
    told: list[str] = []

    def on_wait(said: str) -> None:
        told.append(said)
        racer.tell("leave")

    quiet, waited_s = Quiet(tmp_path, on_wait=on_wait, wait_s=PATIENCE_S), list[float]()
    quiet.on_waited = waited_s.append
    with quiet.working():
        assert told == ["waiting for other jobs"]
    with quiet.working():
        pass
    assert told == ["waiting for other jobs"]
    assert waited_s[0] > 0.2
    assert waited_s[1] < 10


def test_a_child_keeps_no_lock_of_its_parent(tmp_path: Path) -> None:
    quiet = Quiet(tmp_path, wait_s=0)
    reading, writing = os.pipe()
    with quiet.alone():
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)  # lives longer than its parent's lock
            with Quiet(tmp_path, wait_s=0).alone():  # and starts with none
                os._exit(0)
        os.close(reading)
    with Quiet(tmp_path, wait_s=0).alone():
        pass
    os.close(writing)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_removed_file_excludes_nobody_by_itself(
    tmp_path: Path, another: Callable[[], Process]
) -> None:
    """A lock on a file that is gone is no lock: whoever waits for it takes the new one."""
    racer, late = another(), another()
    racer.does("alone")
    late.waits("alone")
    (tmp_path / "room").unlink()
    racer.does("leave")
    assert late.hears() == "done"
    blocked(tmp_path, "working")


def test_the_folder_belongs_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "deep" / "runtime"
    monkeypatch.setenv(FOLDER_VARIABLE, os.fspath(named))
    assert runtime_folder() == named
    with Quiet().alone():
        assert sorted(path.name for path in named.iterdir()) == ["door", "room"]
    monkeypatch.delenv(FOLDER_VARIABLE)
    usual = runtime_folder()
    assert usual.stat().st_uid == os.geteuid()
    assert runtime_folder() == usual
    monkeypatch.setattr(os, "geteuid", lambda: int(usual.name.rsplit("-")[-1]) + 54_321)
    theirs = Path("/tmp") / f"meridian-{os.geteuid()}"
    theirs.mkdir()
    try:
        with pytest.raises(RuntimeFolderUnsafe, match="belongs to user"):
            runtime_folder()
        theirs.rmdir()
        theirs.symlink_to(tmp_path)
        with pytest.raises(RuntimeFolderUnsafe, match="not a folder"):
            Quiet().alone().__enter__()
        theirs.unlink()
        theirs.mkdir()
        monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid)
    finally:
        theirs.rmdir()


def test_a_folder_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    folder = runtime_folder()
    mode = folder.stat().st_mode
    seen = os.stat_result((mode | 0o022, *folder.stat()[1:]))
    monkeypatch.setattr(Path, "lstat", lambda _self: seen)
    with pytest.raises(RuntimeFolderUnsafe, match="others may write"):
        runtime_folder()


# Enters blocks at random and writes down when it was inside, by one clock for all.
RANDOM = """
import json, random, sys, time
from pathlib import Path
from grader.races.quiet import Quiet

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
rng, quiet, spans = random.Random(seed), Quiet(folder), []

def inside(kind, depth=0):
    with getattr(quiet, kind)():
        start = time.monotonic_ns()
        if depth < 2 and rng.random() < 0.4:
            spans.append((kind, start, time.monotonic_ns()))
            inside(rng.choice(("working", "alone")), depth + 1)
            start = time.monotonic_ns()
        time.sleep(rng.random() * 0.004)
        spans.append((kind, start, time.monotonic_ns()))

for _ in range(12):
    inside(rng.choice(("working", "working", "alone")))
print(json.dumps(spans))
"""


def test_nothing_ever_overlaps_a_race(tmp_path: Path) -> None:
    seed = random.Random(5).randrange(1000)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANDOM, os.fspath(tmp_path), str(seed + i)],
            stdout=subprocess.PIPE,
        )
        for i in range(4)
    ]
    spans = []
    for number, process in enumerate(processes):
        out, _ = process.communicate(timeout=2 * PATIENCE_S)
        assert process.returncode == 0
        spans += [(number, *span) for span in json.loads(out)]
    races = [span for span in spans if span[1] == "alone"]
    assert len(races) >= 8
    assert len(races) < len(spans)
    for number, _, start, end in races:
        for other, kind, begun, ended in spans:
            overlap = min(end, ended) - max(start, begun)
            assert other == number or overlap <= 0, (number, other, kind)

"""What a boxed process can see and reach, on every tier with walls, and how surely it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.box import BoxUnavailable, Plan, detect, open_box, survey
from grader.box.bwrap import BwrapBox
from grader.box.landlock import LandlockBox
from grader.box.process import BoxProcess
from grader.box.system import spare_uid
from grader.box.tiers import Detection
from grader.box.workers import Workshop, library_folders
from grader.proxy.submission import Submission
from tests.grader.conftest import TIGHT, living, need, processes_with
from tests.grader.waiting import until

Run = Callable[..., Any]
Laboratory = Callable[..., Workshop]


@pytest.fixture
def boxed(walls: str, laboratory: Laboratory) -> Iterator[Submission]:
    submission = Submission(laboratory(walls), "lab")
    yield submission
    submission.close()


@pytest.fixture
def run(boxed: Submission) -> Run:
    return boxed.do  # type: ignore[no-any-return]


def test_the_file_system_of_the_box_holds_only_what_was_given(tmp_path: Path) -> None:
    need("bwrap")
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o777)
    code = "import json, os; print(json.dumps([os.listdir(p) for p in ('/', '/tmp', '/scratch')]))"
    spawn = open_box("bwrap").spawn(Plan(runtime=tmp_path, submission=tmp_path, scratch=scratch))
    process = BoxProcess(
        spawn, ["-I", "-S", "-c", code], scratch=scratch, environment={}, limits=TIGHT
    )
    assert process.wait(30) == 0
    process.end()
    top, *others = json.loads(process.output()[0])
    given = {"submission", "scratch", "runtime", "etc", "usr", "lib", "lib64", "tmp", "dev", "proc"}
    assert set(top) <= given | {Path(sys.base_prefix).parts[1]}
    assert others == [[], []]


def test_nothing_else_of_the_machine_can_be_read(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the expected values")
    places = [*map(str, (tmp_path, secret, Path(__file__).parent, os.getcwd())), "/var", "/home"]
    code = """
result = []
for place in places:
    for look in (os.listdir, open):
        try:
            look(place)
        except OSError:
            continue
        result.append(place)
"""
    assert run(code, places=[*places, "/", "/etc/passwd", "/root", "/usr/bin"]) in ([], ["/"])


@pytest.mark.parametrize("place", ["usr/lib/x", "etc/x", "x", "var/tmp/x", "dev/x"])
def test_nothing_of_the_system_can_be_written(boxed: Submission, place: str) -> None:
    with boxed.raises("OSError"):
        boxed.do("open(place, 'w')", place=f"/{place}")


def test_only_its_own_folders_can_be_written(walls: str, laboratory: Laboratory) -> None:
    workshop = laboratory(walls)
    one, two = Submission(workshop, "lab"), Submission(workshop, "lab")
    try:
        one.do("open(path, 'w').write('x')", path=one.path("mine"))
        assert one.read("mine") == b"x"
        one.do("import tempfile\nwith tempfile.NamedTemporaryFile() as file: file.write(b'x')")
        code = one.do("result = sys.modules['lab'].__file__")
        for path in (two.path("theirs"), code, f"{Path(code).parent}/new.py"):
            with one.raises("OSError"):
                one.do("open(path, 'a')", path=path)
        with one.raises("OSError"):
            one.do("result = os.listdir(path)", path=str(Path(two.path("x")).parent))
    finally:
        one.close()
        two.close()


def test_attributes_of_files_outside_cannot_be_changed(boxed: Submission) -> None:
    with boxed.raises("OSError"):
        boxed.do("os.chmod(os.path.realpath(sys.executable), 0o777)")
    with boxed.raises("OSError"):
        boxed.do("os.utime(os.path.realpath(sys.executable))")


def test_no_other_process_can_be_seen_or_hit(run: Run, walls: str) -> None:
    if walls == "bwrap":
        pids = run("result = [int(p) for p in os.listdir('/proc') if p.isdigit()]")
        assert len(pids) <= 4
        assert max(pids) < 20
        assert run("result = open('/proc/1/cmdline', 'rb').read()").split(b"\0")[1] == b"--args"
    attempt = """
result = []
for pid in pids:
    for n, act in enumerate((
        lambda: os.kill(pid, 0),
        lambda: open(f'/proc/{pid}/environ', 'rb').read(),
        lambda: open(f'/proc/{pid}/mem', 'rb'),
        lambda: os.readlink(f'/proc/{pid}/fd/0'),
        lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (16, 16)),
        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        lambda: os.sched_setaffinity(pid, {0}),
    )):
        try:
            act()
            result.append((pid, n))
        except OSError:
            pass
"""
    judge, server = os.getpid(), run("result = os.getppid()")
    assert run(attempt, pids=[judge, server, 1]) == []
    assert run("os.kill(-1, 9); result = 'still here'") == "still here"
    assert run("result = os.getppid()") == server


def test_the_worker_is_nobody_and_has_no_capability(run: Run, walls: str) -> None:
    uid, effective, gid = run("result = os.getuid(), os.geteuid(), os.getgid()")
    if os.geteuid() == 0:
        assert uid == effective == gid
        assert uid not in (0, os.getuid())
    elif walls == "bwrap":
        assert (uid, gid) == (65534, 65534)
    status = run("result = open('/proc/self/status').read()").splitlines()
    facts = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    # Reading for another user, where root gave the user away and Landlock says what can be read.
    allowed = {0, 4} if walls == "landlock" and os.geteuid() == 0 else {0}
    assert int(facts["CapEff"], 16) in allowed
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


def test_nothing_of_the_judge_is_in_its_environment(run: Run) -> None:
    names = set(run("result = sorted(os.environ)"))
    assert names <= {
        *("HOME", "LANG", "LC_CTYPE", "MERIDIAN_BOX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("PWD", "PYTHONHASHSEED", "PYTHONUTF8", "TMPDIR"),
    }
    assert run("result = sys.argv") == ["worker"]
    kinds = """
result = []
for fd in range(1024):
    try:
        result.append(os.readlink(f'/proc/self/fd/{fd}').partition(':')[0])
    except OSError:
        pass
"""
    assert sorted(run(kinds)) == ["/dev/null", "pipe", "pipe", "pipe", "pipe"]


def test_there_is_no_network(run: Run) -> None:
    attempts = """
import ctypes
result = []
for family, kind in (
    (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM),
    (socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_STREAM),
    (socket.AF_UNIX, socket.SOCK_DGRAM), (16, socket.SOCK_RAW),
):
    try:
        socket.socket(family, kind)
        result.append((int(family), int(kind)))
    except OSError as error:
        assert error.errno == 1
"""
    assert run(attempts) == []
    # An event loop needs a pair of connected sockets, which reach nobody.
    assert run("import asyncio\nresult = asyncio.run(asyncio.sleep(0, 'done'))") == "done"


def test_installed_packages_are_there_only_when_given(
    run: Run, walls: str, laboratory: Laboratory
) -> None:
    imports = "try:\n    import numpy\n    result = True\nexcept ImportError:\n    result = False"
    assert run(imports) is False
    folder = library_folders()[0]
    workshop = laboratory(walls, extra=library_folders(), hidden=(folder / "pytest",))
    given = Submission(workshop, "lab")
    assert given.do("import numpy\nresult = int(numpy.arange(4).sum())") == 6
    with given.raises("ImportError", "PermissionError", "AttributeError"):
        given.do("import pytest\npytest.main")
    given.close()


@pytest.mark.parametrize("tier", ["bwrap", "landlock", "rlimits"])
def test_a_daemon_dies_with_its_worker(tier: str, laboratory: Laboratory) -> None:
    need(tier)
    workshop = laboratory(tier)
    submission = Submission(workshop, "lab")
    daemon = """
if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        for fd in range(256):
            try: os.close(fd)
            except OSError: pass
        time.sleep(600)
    os._exit(0)
os.wait()
"""
    pids: set[int] = set()
    for _ in range(2):
        submission.do(daemon)
        pids |= set(living(workshop))
    assert len(pids) == 3  # the worker and two daemons
    submission.kill()
    assert living(workshop) == []
    submission.close()


def test_detection_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> Detection:
        survey.cache_clear()
        detect.cache_clear()
        return survey()[0]

    try:
        monkeypatch.setattr("shutil.which", lambda _: None)
        found = again()
        assert (found.tier, found.reason) == ("bwrap", "bubblewrap is not installed")
        assert "apt-get install bubblewrap" in found.fix
        with pytest.raises(BoxUnavailable, match="not installed"):
            open_box("bwrap")
        assert detect().tier in ("landlock", "rlimits")
        assert detect().reason == "bubblewrap is not installed"
        monkeypatch.setattr("grader.inside.landlock.abi", lambda: 0)
        again()
        assert "no Landlock" in survey()[1].reason
        assert "lsm=landlock" in survey()[1].fix
        assert open_box("auto").tier == "rlimits"
        with pytest.raises(BoxUnavailable, match="Landlock"):
            open_box("landlock")
        monkeypatch.setattr("shutil.which", lambda _: "/bin/false")
        broken = again()
        assert "cannot build its box" in broken.reason
        assert "namespaces" in broken.fix
        monkeypatch.setattr("sys.platform", "darwin")
        again()
        assert [each.reason.split()[-1] for each in survey()[:2]] == ["Linux", "Linux"]
        assert detect().tier == "rlimits"
    finally:
        monkeypatch.undo()
        again()


@pytest.mark.parametrize(
    ("switch", "says", "words"),
    [
        ("_UBUNTU_SWITCH", "1", "/etc/apparmor.d/bwrap"),
        ("_DEBIAN_SWITCH", "0", "kernel.unprivileged_userns_clone=1"),
        ("_COUNT_SWITCH", "0", "user.max_user_namespaces"),
    ],
)
def test_the_fix_is_the_one_for_this_system(
    switch: str, says: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grader.box import tiers

    for name in ("_UBUNTU_SWITCH", "_DEBIAN_SWITCH", "_COUNT_SWITCH"):
        monkeypatch.setattr(tiers, name, tmp_path / "missing")
    assert "containers" not in tiers._allow("/usr/bin/bwrap")
    (tmp_path / "switch").write_text(f"{says}\n")
    monkeypatch.setattr(tiers, switch, tmp_path / "switch")
    assert words in tiers._allow("/usr/bin/bwrap")


def test_the_tier_asked_for_is_the_tier_used() -> None:
    need("bwrap")
    need("landlock")
    assert open_box("auto").tier == "bwrap"
    assert isinstance(open_box("bwrap"), BwrapBox)
    assert isinstance(open_box("landlock"), LandlockBox)
    assert open_box("rlimits").tier == "rlimits"
    assert [each.tier for each in survey()] == ["bwrap", "landlock", "rlimits"]
    assert detect() == Detection("bwrap")
    with pytest.raises(ValueError, match="Expected box"):
        open_box("docker")


def test_every_box_of_root_has_a_user_of_its_own() -> None:
    if os.geteuid() != 0:
        assert spare_uid() is None
        pytest.skip("only root has users to spare: run the tests as root to see them")
    drawn = [spare_uid() for _ in range(10)]
    assert len(set(drawn)) == 10
    assert None not in drawn


@pytest.mark.parametrize("tier", ["bwrap", "landlock", "rlimits"])
@pytest.mark.parametrize("after_ms", [0, 3, 10, 40, 150])
def test_nothing_is_left_when_the_judge_is_killed(tier: str, after_ms: int, tmp_path: Path) -> None:
    """At any moment from the first: before bubblewrap runs, before Python does, in a question."""
    need(tier)
    script = f"""
import os, sys, time
from pathlib import Path
from grader.box import open_box
from grader.limits import Limits
from grader.proxy.submission import Submission
from grader.box.workers import Workshop
here = Path({str(tmp_path)!r})
(here / "code" / "lab").mkdir(parents=True)
(here / "code" / "lab" / "__init__.py").write_text(
    "import os, time\\nif os.fork() == 0:\\n    time.sleep(600)\\ntime.sleep(600)"
)
(here / "work").mkdir()
workshop = Workshop(here / "code", here / "work", box=open_box({tier!r}), limits=Limits(),
                    seed="", deadline=time.monotonic() + 600)
scratch = workshop.scratch()
workshop._running().plan  # everything but the start
print("ready", flush=True)
Submission(workshop, "lab").module()
"""
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    judge = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, "JUDGE": str(tmp_path)},
    )
    assert judge.stdout is not None
    assert judge.stdout.readline() == b"ready\n"
    moment = time.monotonic() + after_ms / 1000
    while time.monotonic() < moment:
        os.sched_yield()
    judge.kill()
    judge.wait()
    judge.stdout.close()
    # Between fork and exec a process still has the judge's own environment.
    marks = (f"MERIDIAN_BOX={judge.pid}-", f"JUDGE={tmp_path}")
    until(lambda: processes_with(*marks) == [])
    assert processes_with(*marks) == []


def test_loopback_of_the_machine_is_not_the_boxs(laboratory: Laboratory) -> None:
    need("bwrap")
    import msgspec

    limits = msgspec.structs.replace(TIGHT, network=True)
    submission = Submission(laboratory("bwrap", limits), "lab")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        connect = "try:\n    socket.create_connection(address, 1)\n    result = 'in'\n"
        connect += "except OSError as error:\n    result = error.strerror"
        assert submission.do(connect, address=address) == "Connection refused"
        assert submission.do(connect, address=("1.1.1.1", 53)) == "Network is unreachable"
    own = (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname(), 1)\n"
        "client.send(b'x'); result = server.accept()[0].recv(1)"
    )
    assert submission.do(own) == b"x"
    submission.close()

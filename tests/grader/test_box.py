"""What a boxed process can see and reach, and how surely it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.box import BoxUnavailable, detect, open_box
from grader.box.bwrap import BwrapBox, spare_uid
from grader.box.tiers import Detection
from grader.errors import WorkerLost
from grader.limits import MIB, Limits
from grader.submission import Submission
from grader.workers import Workshop, library_folders

SOURCE = """
import os, resource, signal, socket, subprocess, sys, threading, time

def run(source, **names):
    scope = {**globals(), **names}
    exec(source, scope)
    return scope.get("result")
"""
LIMITS = Limits(
    question_s=30,
    cpu_s=1,
    memory_bytes=256 * MIB,
    processes=16,
    open_files=64,
    file_bytes=MIB,
    scratch_bytes=4 * MIB,
    output_bytes=MIB,
)

Run = Callable[..., Any]


@pytest.fixture
def workshop(tmp_path: Path) -> Callable[..., Workshop]:
    (tmp_path / "code" / "lab").mkdir(parents=True)
    (tmp_path / "code" / "lab" / "__init__.py").write_text(SOURCE)
    (tmp_path / "work").mkdir()

    def make(tier: str = "bwrap", **settings: Any) -> Workshop:
        return Workshop(
            tmp_path / "code",
            tmp_path / "work",
            box=open_box(tier),
            limits=LIMITS,
            seed="seed",
            deadline=time.monotonic() + 60,
            **settings,
        )

    return make


@pytest.fixture
def boxed(bwrap: None, workshop: Callable[..., Workshop]) -> Iterator[Submission]:
    submission = Submission(workshop(), "lab")
    yield submission
    submission.close()


@pytest.fixture
def run(boxed: Submission) -> Run:
    return boxed.run  # type: ignore[no-any-return]


def test_the_file_system_holds_only_what_was_given(run: Run, tmp_path: Path) -> None:
    top = set(run("result = os.listdir('/')"))
    parts = Path(sys.base_prefix).parts[1]
    assert top <= {
        "submission",
        "scratch",
        "runtime",
        "etc",
        "usr",
        "lib",
        "lib64",
        "tmp",
        "dev",
    } | {
        "proc",
        parts,
    }
    hidden = [str(tmp_path), str(Path(__file__).parent), os.getcwd(), "/var", "/sys", "/usr/bin"]
    assert run("result = [p for p in paths if os.path.exists(p)]", paths=hidden) == []
    assert run("result = os.listdir('/submission')") == ["lab"]
    assert run("result = os.listdir('/tmp') + os.listdir('/scratch')") == []


@pytest.mark.parametrize("place", ["/submission/x", "/runtime/x", "/usr/lib/x", "/etc/x", "/x"])
def test_nothing_but_scratch_and_tmp_can_be_written(boxed: Submission, place: str) -> None:
    with boxed.raises("OSError"):
        boxed.run("open(place, 'w')", place=place)
    boxed.run("open('/tmp/x', 'w'); open('/scratch/x', 'w')")


def test_tmp_is_small(boxed: Submission) -> None:
    fill = "for i in range(200):\n    open(f'/tmp/{i}', 'wb').write(bytes(2**20))"
    with boxed.raises("OSError") as caught:
        boxed.run(fill)
    assert caught.error is not None
    assert caught.error.fields["errno"] == 28


def test_no_other_process_can_be_seen_or_hit(run: Run) -> None:
    pids = run("result = [int(p) for p in os.listdir('/proc') if p.isdigit()]")
    assert len(pids) <= 3
    assert max(pids) < 10
    assert run("result = open('/proc/1/cmdline', 'rb').read()").split(b"\0")[1] == b"--args"


def test_the_worker_is_nobody_and_has_no_capability(run: Run) -> None:
    uid = run("result = os.getuid(), os.geteuid(), os.getgid()")
    assert uid == ((spare_uid(),) * 3 if os.geteuid() == 0 else (65534,) * 3)
    status = run("result = open('/proc/self/status').read()")
    capabilities = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
    assert capabilities == ["0" * 16]
    assert "NoNewPrivs:\t1" in status
    assert run("result = sorted(os.environ)") == sorted(
        ["HOME", "LANG", "MERIDIAN_BOX", "PWD", "PYTHONHASHSEED", "PYTHONUTF8"]
    )


def test_there_is_no_network_but_loopback_of_its_own(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        connect = "try:\n    socket.create_connection(address, 1)\n    result = 'in'\n"
        connect += "except OSError as error:\n    result = error.strerror"
        assert run(connect, address=address) == "Connection refused"
        assert run(connect, address=("1.1.1.1", 53)) == "Network is unreachable"
    own = (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname(), 1)\n"
        "client.send(b'x'); result = server.accept()[0].recv(1)"
    )
    assert run(own) == b"x"


def test_installed_packages_are_there_only_when_given(
    bwrap: None, workshop: Callable[..., Workshop], run: Run
) -> None:
    imports = "try:\n    import numpy\n    result = True\nexcept ImportError:\n    result = False"
    assert run(imports) is False
    folder = library_folders()[0]
    given = Submission(workshop(extra=library_folders(), hidden=(folder / "pytest",)), "lab")
    assert given.run("import importlib.util as u\nresult = u.find_spec('numpy') is not None")
    assert given.run("result = os.listdir('/libraries/0/pytest')") == []
    given.close()


def test_limits_are_set_and_cannot_be_raised(boxed: Submission) -> None:
    wanted = {"AS": 256 * MIB, "FSIZE": MIB, "NOFILE": 64, "NPROC": 16, "CORE": 0, "CPU": 1}
    for name, amount in wanted.items():
        soft, hard = boxed.run(f"result = resource.getrlimit(resource.RLIMIT_{name})")
        assert (soft, hard) == (amount, amount + (name == "CPU"))
        raised = f"resource.setrlimit(resource.RLIMIT_{name}, (-1, -1))"
        with boxed.raises("ValueError", "PermissionError", "OSError"):
            boxed.run(raised)


def test_processor_time_is_a_limit_of_its_own(boxed: Submission) -> None:
    with pytest.raises(WorkerLost, match="CPU time") as lost:
        boxed.run("while True: pass")
    assert lost.value.outcome == "timeout"


@pytest.mark.parametrize("tier", ["bwrap", "rlimits"])
def test_a_daemon_dies_with_the_box(
    tier: str, request: pytest.FixtureRequest, workshop: Callable[..., Workshop]
) -> None:
    if tier == "bwrap":
        request.getfixturevalue("bwrap")
    submission = Submission(workshop(tier), "lab")
    daemon = (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n"
        "    os._exit(0)\nos.wait()\nresult = os.getpid()"
    )
    submission.run(daemon)
    mark = f"MERIDIAN_BOX={os.getpid()}-".encode()

    def alive() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                found += [entry.name] if mark in (entry / "environ").read_bytes() else []
            except OSError:
                continue
        return found

    assert len(alive()) >= 2
    submission.close()
    assert alive() == []


def test_the_box_dies_with_the_judge(bwrap: None, tmp_path: Path) -> None:
    marker = f"judge-{os.getpid()}-{time.monotonic_ns()}"
    script = f"""
import os, subprocess, sys, time
from pathlib import Path
from grader.box import open_box, Plan
scratch = Path({str(tmp_path)!r})
spawn = open_box("bwrap").spawn(Plan(runtime=scratch, submission=scratch, scratch=scratch))
read, write = os.pipe()
hidden = [part.replace("{{info}}", "2") for part in spawn.hidden]
os.write(write, b"".join(part.encode() + bytes(1) for part in hidden)); os.close(write)
argv = [part.replace("{{hidden}}", str(read)) for part in spawn.argv]
subprocess.Popen([*argv, "-c", "import time; time.sleep(600)", {marker!r}], pass_fds=(read,))
print("started", flush=True)
time.sleep(600)
"""
    judge = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert judge.stdout is not None
    assert judge.stdout.readline() == b"started\n"

    def boxed() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [entry.name] if marker.encode() in words else []
        return found

    deadline = time.monotonic() + 10
    while len(boxed()) < 3 and time.monotonic() < deadline:  # two of bubblewrap, one of Python
        os.sched_yield()
    assert len(boxed()) == 3
    judge.kill()
    judge.wait()
    judge.stdout.close()
    while boxed() and time.monotonic() < deadline:
        os.sched_yield()
    assert boxed() == []


def test_detection_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    detect.cache_clear()
    try:
        monkeypatch.setattr("shutil.which", lambda _: None)
        found = detect()
        assert (found.tier, found.reason) == ("rlimits", "bubblewrap is not installed")
        assert "apt-get install bubblewrap" in found.fix
        with pytest.raises(BoxUnavailable, match="not installed"):
            open_box("bwrap")
        assert open_box("auto").tier == "rlimits"
        detect.cache_clear()
        monkeypatch.setattr("shutil.which", lambda _: "/bin/false")
        broken = detect()
        assert broken.tier == "rlimits"
        assert "cannot build its box" in broken.reason
        assert "sysctl" in broken.fix
        detect.cache_clear()
        monkeypatch.setattr("sys.platform", "darwin")
        assert "needs Linux" in detect().reason
    finally:
        detect.cache_clear()


def test_the_tier_asked_for_is_the_tier_used(bwrap: None) -> None:
    assert open_box("auto").tier == "bwrap"
    assert open_box("rlimits").tier == "rlimits"
    assert isinstance(open_box("bwrap"), BwrapBox)
    assert detect() == Detection("bwrap")
    with pytest.raises(ValueError, match="Expected box"):
        open_box("docker")

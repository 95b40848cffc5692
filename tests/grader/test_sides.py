"""Submission, peer and model answer have the same walls, network and libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.box.pool import BoxPool
from grader.job import JobSpec, run_one
from grader.limits import Limits
from grader.report import Report
from grader.sides import libraries_of, shape_of
from grader.spec import complete
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.conftest import Toy

LIMITS = Limits(question_s=40, start_s=60, job_s=240)

RELAY = '''
import anyio

async def serve(*, task_status):
    """Answer every line in capitals; report the port once it listens."""
    async def answer(client):
        async with client:
            await client.send((await client.receive()).upper())
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    task_status.started(listener.listeners[0].extra(anyio.abc.SocketAttribute.local_port))
    await listener.serve(answer)
'''
PEER = """
import socketserver, threading

class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())

def serve():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
"""
RELAY_SUITE = """
import pytest
from grader.judging.compare import expect

def ask(side, port):
    with side.dial(port, within_s=30) as client:
        client.sendall(b"25544 rises\\n")
        expect(client.recv(100), b"25544 RISES\\n")

@pytest.mark.criterion("1", points=30)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_relay(submission, reference, backend):
    '''The relay answers over TCP, on both event loops.'''
    for side in (submission, reference):
        with side.loop(backend) as loop:
            server = loop.serve(side.serve)
            ask(side, server.ready)
            server.cancel()

@pytest.mark.criterion("2", points=40)
def test_peer(submission, peer):
    '''The peer has a network as well.'''
    submission.serve
    ask(peer, peer.serve())
"""


def relay(**settings: Any) -> Capstone:
    criteria = (
        Criterion(id="1", title="Relay", points=60, required=True),
        Criterion(id="2", title="Peer", points=40),
    )
    return Capstone(
        **{
            "title": "Relay",
            "package": "relay",
            "allowed_imports": ("anyio", "trio"),
            "network": True,
            "criteria": criteria,
            **settings,
        }
    )


Judging = Callable[..., Report]


@pytest.fixture
def judging(toy: Toy, tmp_path: Path) -> Judging:
    """Judges a package `source` beside a model answer of the same source."""

    def judge(capstone: Capstone, source: str, suite: str, peer: str = "", **more: Any) -> Report:
        solution = tmp_path / "solution"
        (solution / capstone.package).mkdir(parents=True, exist_ok=True)
        (solution / capstone.package / "__init__.py").write_text(source)
        home = tmp_path / "suites"
        home.mkdir(exist_ok=True)
        (home / "test_own.py").write_text(suite)
        if peer:
            (home / "peer_own.py").write_text(peer)
        return run_one(
            JobSpec(
                **{
                    "capstone": "toy/02",
                    "submission": solution,
                    "out": toy.out,
                    "mode": "check",
                    "definition": capstone,
                    "suite": home / "test_own.py",
                    "solution": solution,
                    "key": Toy.key,
                    "limits": LIMITS,
                    **more,
                }
            )
        )

    return judge


def told(report: Report) -> dict[str, str]:
    return {entry.id: f"{entry.outcome} {entry.message}".strip() for entry in report.criteria}


def test_a_networked_capstone_serves_on_both_backends(walls: str, judging: Judging) -> None:
    report = judging(relay(), RELAY, RELAY_SUITE, PEER, box=walls)
    assert told(report) == {"1": "passed", "2": "passed"}
    assert (report.score, report.box) == (100, walls)


def test_a_box_in_reserve_has_the_network_too(walls: str, judging: Judging) -> None:
    with BoxPool(1) as pool:
        report = judging(relay(), RELAY, RELAY_SUITE, PEER, box=walls, pool=pool)
        assert pool._shape is not None
        assert pool._shape.limits.network
    assert told(report) == {"1": "passed", "2": "passed"}


def test_without_network_nobody_opens_a_socket(walls: str, judging: Judging) -> None:
    report = judging(relay(network=False), RELAY, RELAY_SUITE, PEER, box=walls)
    outcomes = {entry.id: entry.outcome for entry in report.criteria}
    assert outcomes == {"1": "error", "2": "error"}
    assert "PermissionError" in report.criteria[0].message, told(report)


SUMS = """
import numba
import numpy as np

@numba.njit
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found

def up_to(count):
    return float(total(np.arange(count, dtype=np.float64)))
"""
SUMS_SUITE = """
import pytest
from grader.races.race import timed

@pytest.mark.criterion("1", points=100)
def test_race(submission, reference, race):
    '''As fast as the model answer.'''
    def side(of):
        assert of.up_to(5) == 10.0
        return lambda: timed(lambda: of.up_to(1000))

    result = race.compare("Sums", side(submission), side(reference), peer_name="model answer",
                          unit="sum", per=1, rounds=8)
    assert result.ratio > 0
"""


def test_the_model_answer_may_import_what_the_submission_may(walls: str, judging: Judging) -> None:
    raced = Criterion(id="1", title="Sums", points=100, benchmark=True)
    capstone = Capstone(
        title="Sums", package="sums", allowed_imports=("numpy", "numba"), criteria=(raced,)
    )
    report = judging(capstone, SUMS, SUMS_SUITE, box=walls, mode="bench")
    assert told(report) == {"1": "passed"}
    assert [entry.name for entry in report.benchmarks] == ["Sums"]


# -- what flows from the entry -------------------------------------------------------------------


def spec_of(capstone: Capstone, **more: Any) -> JobSpec:
    return JobSpec(
        capstone="toy/02",
        submission=Path("s"),
        out=Path("o"),
        definition=capstone,
        suite=Path("test_own.py"),
        key=Toy.key,
        **more,
    )


def test_the_network_of_the_entry_or_of_the_caller_is_given() -> None:
    assert complete(spec_of(relay())).limits.network
    assert not complete(spec_of(relay(network=False))).limits.network
    asked = spec_of(relay(network=False), limits=Limits(network=True, processes=7))
    assert complete(asked).limits == Limits(network=True, processes=7)


def test_libraries_follow_the_allowed_imports() -> None:
    plain = libraries_of(spec_of(relay(allowed_imports=("os", "asyncio"))))
    assert (plain.folders, plain.preload) == ((), ())
    asked = libraries_of(spec_of(relay(allowed_imports=("os", "anyio", "numpy.linalg"))))
    assert asked.folders
    assert asked.preload == ("numpy", "anyio._backends._asyncio")
    assert {path.name for path in asked.hidden} == {"meridian", "grader"}


def test_own_code_may_import_all_that_is_installed() -> None:
    trusted = libraries_of(spec_of(relay(allowed_imports=()), trusted=True))
    assert (Path(__file__).parents[2] / "grader").parent in trusted.folders
    assert (trusted.hidden, trusted.preload) == ((), ("numpy", "numba"))


def test_a_box_in_reserve_fits_jobs_alike() -> None:
    class Walls:
        tier = "bwrap"

    made = shape_of(complete(spec_of(relay())), Walls())  # type: ignore[arg-type]
    assert made == shape_of(complete(spec_of(relay(title="Other"))), Walls())  # type: ignore[arg-type]
    assert made != shape_of(complete(spec_of(relay(network=False))), Walls())  # type: ignore[arg-type]
    assert (made.tier, made.limits.network) == ("bwrap", True)


# -- parts of meridian ---------------------------------------------------------------------------

STOPPING = """
from meridian.foundation.tasks import CancellationToken

async def stop_at_once():
    token = CancellationToken()
    child = token.child_token()
    token.cancel("now")
    return await child.cancelled()
"""
STOPPING_SUITE = """
import pytest
from grader.judging.compare import expect

@pytest.mark.criterion("1", points=50)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_stopping(submission, reference, backend):
    '''The token of the library stops both.'''
    for side in (submission, reference):
        with side.loop(backend) as loop:
            expect(loop.call(side.stop_at_once), "now")
"""
ON_TOKENS = Capstone(
    title="Stopping",
    package="stopping",
    library=("meridian.foundation.tasks.cancel",),
    criteria=(Criterion(id="1", title="Stopping", points=100),),
)


def test_a_capstone_stands_on_parts_of_meridian(walls: str, judging: Judging) -> None:
    report = judging(ON_TOKENS, STOPPING, STOPPING_SUITE, box=walls)
    assert told(report) == {"1": "passed"}


@pytest.mark.parametrize(
    ("line", "told_as"),
    [
        ("from meridian.foundation.tasks.tracker import TaskTracker", "import of meridian."),
        ("import meridian.orbital.tle", "import of meridian.orbital.tle"),
        ("from meridian.orbital import tle", "import of meridian.orbital"),
        ("from meridian.foundation.tasks import TaskTracker", "meridian.foundation.tasks.tracker"),
    ],
)
def test_the_rest_of_meridian_is_out_of_reach(
    walls: str, judging: Judging, line: str, told_as: str
) -> None:
    report = judging(ON_TOKENS, f"{line}\n{STOPPING}", STOPPING_SUITE, box=walls)
    assert report.score == 0
    assert not report.judged  # and no attempt is lost
    assert told_as in report.criteria[0].message


def test_libraries_follow_the_parts_of_meridian() -> None:
    asked = libraries_of(spec_of(ON_TOKENS))
    assert (asked.folders[0] / "meridian/foundation/tasks/cancel.py").is_file()
    assert asked.preload == ("trio", "anyio._backends._asyncio", *ON_TOKENS.library)
    assert {path.name for path in asked.hidden} == {"meridian", "grader"}

"""Objects of a submission as the judge sees them: in a box and in this process, just the same."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from grader.box.workers import Workshop
from grader.errors import WorkerLost
from grader.judging.compare import CriterionFailed
from grader.limits import MIB, Limits
from grader.proxy.proxy import Remote, RemoteBuffer, RemoteError, WrongType
from grader.proxy.submission import Submission
from tests.grader.proxy.conftest import Lab

SOURCE = """
import dataclasses
import enum
import os
from typing import NamedTuple

class Place(NamedTuple):
    page: int
    slot: int

class Kind(enum.IntEnum):
    DATA = 1

@dataclasses.dataclass(frozen=True)
class Header:
    page_id: int
    name: str

@dataclasses.dataclass
class Stats:
    hits: int = 0

class Odd(NamedTuple):
    thing: object

class Full(ValueError):
    def __init__(self, page):
        self.page = page
        self.thing = object()
        super().__init__(f"Page {page} is full")

class Pool:
    def __init__(self):
        self.stats = Stats()
        self.open = 0
        self.left = None
    def hit(self, n=1):
        self.stats.hits += n
        return self.stats.hits
    def __enter__(self):
        self.open += 1
        return self
    def __exit__(self, kind, error, trace):
        self.open -= 1
        self.left = kind.__name__ if kind else None
        return kind is RuntimeError and "forgiven" in str(error)
    def __len__(self):
        return 3
    def __getitem__(self, key):
        return ["a", "b", "c"][key]
    def __contains__(self, item):
        return item == "a"
    def __bytes__(self):
        return b"pool"
    def __str__(self):
        return "a pool"

def echo(value): return value
def kinds(value): return [type(item).__name__ for item in value]
def place(): return Place(3, 4)
def slot_of(place): return place.slot
def odd(): return Odd(object())
def kind(): return Kind.DATA
def header(): return Header(7, "x")
def full(page): raise Full(page)
def fill(buffer, data): buffer[: len(data)] = data
def half(n):
    if n % 2:
        raise Full(n)
    return n // 2
def numbers(n):
    yield from range(n)
    if n == 13:
        raise Full(n)
def shout(): print("out loud")
def pid(): return os.getpid()
def save(path, data):
    with open(path, "wb") as file: file.write(data)
def load(path):
    with open(path, "r+b") as file: return file.read()
def count_live(): return LIVE
LIVE = 0
class Tracked:
    def __init__(self):
        global LIVE; LIVE += 1
    def __del__(self):
        global LIVE; LIVE -= 1
"""


@pytest.fixture
def lab(lab_of: Lab) -> Submission:
    """A submission of the source above."""
    limits = Limits(question_s=5, memory_bytes=256 * MIB, job_s=60)
    return lab_of(SOURCE, limits=limits, page="SIZE = 4096\n")


def test_plain_data_goes_both_ways_with_its_type(lab: Submission) -> None:
    for value in (None, True, 1, 2**70, 1.5, "é\ud800", b"\0", [1, [2]], (1, (2,)), {1: (2, [3])}):
        got = lab.echo(value)
        assert type(got) is type(value)
        assert got == value
    assert lab.kinds([True, 1, 1.0, (), [], {}]) == [
        "bool",
        "int",
        "float",
        "tuple",
        "list",
        "dict",
    ]


def test_what_is_not_plain_does_not_leave_the_judge(lab: Submission) -> None:
    for value in (object(), bytearray(3), range(3)):
        with pytest.raises(TypeError, match="Expected plain data or a Remote"):
            lab.echo(value)
    assert lab.echo(1) == 1


def test_a_named_tuple_has_its_fields_at_hand(lab: Submission) -> None:
    place = lab.place()
    assert isinstance(place, Remote)
    assert place.class_name == "Place"
    assert place.fields == {"page": 3, "slot": 4}
    assert (place.page, place.slot, place[1], tuple(place)) == (3, 4, 4, (3, 4))
    assert lab.slot_of(place) == 4  # and goes back as the object it is
    odd = lab.odd()
    assert odd.fields is None
    assert odd.thing.class_name == "object"


def test_enums_and_dataclasses_have_snapshots(lab: Submission) -> None:
    assert lab.kind().fields == {"name": "DATA", "value": 1}
    assert int(lab.kind()) == 1
    header = lab.header()
    assert (header.page_id, header.name, header.class_name) == (7, "x", "Header")


def test_a_snapshot_never_stands_in_for_something_that_changes(lab: Submission) -> None:
    pool = lab.Pool()
    stats = pool.stats
    assert stats.fields == {"hits": 0}
    assert pool.hit(5) == 5
    assert stats.hits == 5  # asked anew, because the dataclass is not frozen
    stats.hits = 8
    assert pool.hit(n=2) == 10


def test_special_methods_reach_the_object(lab: Submission) -> None:
    pool = lab.Pool()
    assert (len(pool), pool[1], "a" in pool, "z" in pool) == (3, "b", True, False)
    assert (bytes(pool), str(pool)) == (b"pool", "a pool")
    with pytest.raises(RemoteError, match="IndexError"):
        pool[9]
    assert not hasattr(pool, "nothing_like_this")
    assert hasattr(pool, "stats")


def test_with_enters_and_leaves_even_when_the_block_raises(lab: Submission) -> None:
    pool = lab.Pool()
    with pool as entered:
        assert entered.open == 1
    assert (pool.open, pool.left) == (0, None)
    with pytest.raises(KeyError), pool:
        raise KeyError("mine")
    assert (pool.open, pool.left) == (0, "KeyError")


def test_comparing_a_remote_is_a_mistake_and_says_so(lab: Submission) -> None:
    place = lab.place()
    for compare in (lambda: place == (3, 4), lambda: place != 3, lambda: not place):
        with pytest.raises(WrongType, match="Expected plain data"):
            compare()
    with pytest.raises(TypeError, match="unhashable"):
        {place}  # noqa: B018


def test_exceptions_bring_names_fields_and_line(lab: Submission) -> None:
    with pytest.raises(RemoteError) as caught:
        lab.full(7)
    error = caught.value
    assert error.class_name == "Full"
    assert error.mro[:3] == ("Full", "ValueError", "Exception")
    assert error.fields == {"page": 7}  # what is not plain stays behind
    assert error.message == "Page 7 is full"
    assert error.where.startswith("lab/__init__.py:")
    assert str(error) == "full raised Full: Page 7 is full"
    assert error.is_a("ValueError")
    assert not error.is_a("KeyError")


def test_raises_accepts_any_name_of_the_mro_and_nothing_else(lab: Submission) -> None:
    with lab.raises("ValueError") as caught:
        lab.full(7)
    assert caught.error is not None
    assert caught.error.fields["page"] == 7
    wrong = pytest.raises(CriterionFailed, match=r"full raised Full.*; it must raise KeyError")
    with wrong, lab.raises("KeyError"):
        lab.full(7)
    none = pytest.raises(CriterionFailed, match=r"echo\(1\) must raise KeyError; it returned")
    with none, lab.raises("KeyError", call="echo(1)"):
        lab.echo(1)
    with pytest.raises(ZeroDivisionError), lab.raises("ZeroDivisionError"):
        raise ZeroDivisionError  # the judge's own trouble is not the submission's


def test_buffers_are_passed_by_reference(lab: Submission) -> None:
    buffer = lab.buffer(8)
    assert isinstance(buffer, RemoteBuffer)
    lab.fill(buffer.view(2, 6), b"abcd")
    assert bytes(buffer) == b"\0\0abcd\0\0"
    buffer[:2] = b"xy"
    buffer[7] = 9
    assert (buffer[:3], buffer[7], len(buffer)) == (b"xya", 9, 8)
    assert bytes(lab.buffer(b"abc")) == b"abc"


def test_map_is_one_question_and_keeps_exceptions_as_values(lab: Submission) -> None:
    got = lab.map(lab.half, [(n,) for n in range(6)])
    assert [item for item in got if not isinstance(item, RemoteError)] == [0, 1, 2]
    errors = [item for item in got if isinstance(item, RemoteError)]
    assert [error.fields["page"] for error in errors] == [1, 3, 5]
    assert lab.map(lab.half, []) == []


def test_a_batch_runs_what_was_prepared(lab: Submission) -> None:
    batch = lab.prepare(lab.half, [(n,) for n in range(0, 2_000, 2)])
    batch.run()
    batch.run()
    assert batch.results() == list(range(1_000))
    assert batch.results([999, 0]) == [999, 0]
    assert batch.results([]) == []
    with pytest.raises(RemoteError, match="index"):
        batch.results([1_000])
    with pytest.raises(RemoteError, match="Full"):
        lab.prepare(lab.half, [(1,)]).run()


def test_iteration_comes_in_chunks_and_ends_as_it_should(lab: Submission) -> None:
    assert list(lab.numbers(1_000)) == list(range(1_000))
    assert list(lab.numbers(0)) == []
    seen = []
    with pytest.raises(RemoteError, match="Page 13 is full"):
        seen.extend(lab.numbers(13))
    assert seen == list(range(13))
    iterator = lab.numbers(2)
    assert (next(iterator), next(iterator)) == (0, 1)
    with pytest.raises(StopIteration):
        next(iterator)


def test_files_are_shared_and_survive_a_new_worker(lab: Submission) -> None:
    lab.save(lab.path("a.bin"), b"one")
    assert lab.read("a.bin") == b"one"
    assert lab.host_path("a.bin").read_bytes() == b"one"
    lab.write("a.bin", b"X", offset=1)
    lab.write("b.bin", b"mine")
    lab.restart()
    assert lab.load(lab.path("a.bin")) == b"oXe"
    assert lab.load(lab.path("b.bin")) == b"mine"  # opened for writing: it is theirs as well


def test_paths_stay_in_the_scratch_folder(lab: Submission) -> None:
    for name in ("../x", "/etc/passwd", "", "a/../../x"):
        with pytest.raises(ValueError, match="relative path inside"):
            lab.path(name)
    lab.host_path("link").symlink_to("/etc/passwd")
    for call in (lab.host_path, lab.read):
        with pytest.raises(CriterionFailed, match="not a plain file"):
            call("link")
    with pytest.raises(CriterionFailed, match="not a plain file"):
        lab.write("link", b"harm")


def test_modules_and_what_is_not_there(lab: Submission) -> None:
    assert lab.module("page").SIZE == 4096
    with pytest.raises(RemoteError, match="ModuleNotFoundError"):
        lab.module("nothing")
    with pytest.raises(RemoteError, match="AttributeError"):
        lab.Nothing()


def test_what_the_judge_drops_the_worker_drops(lab: Submission) -> None:
    kept = lab.Tracked()
    for _ in range(5):
        lab.Tracked()
    gc.collect()
    lab.echo(1)  # brings the releases along
    assert lab.count_live() == 1
    del kept
    gc.collect()
    lab.echo(1)
    assert lab.count_live() == 0


def test_a_killed_worker_is_replaced_by_a_fresh_one(lab: Submission) -> None:
    counter = lab.Pool()
    counter.hit()
    lab.kill()
    lab.kill()
    with pytest.raises(WorkerLost, match="ended"):
        counter.hit()
    assert lab.Pool().hit() == 1
    with pytest.raises(ValueError, match="another worker"):
        lab.echo(counter)


def test_boxed_output_is_kept_apart(lab: Submission, capfd: pytest.CaptureFixture[str]) -> None:
    lab.shout()
    assert lab.output() == "out loud\n"
    lab.restart()
    lab.shout()
    assert lab.output() == "out loud\nout loud\n"
    assert capfd.readouterr().out == ""


def test_packages_of_one_name_live_side_by_side_in_this_process(tmp_path: Path) -> None:
    """Also beside one that was imported before, which is there again afterwards."""
    sides = []
    for name in ("one", "two"):
        package = tmp_path / name / "twin"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(
            "def say():\n    from . import late\n    print(late.WHO)\n    return late.WHO\n"
        )
        (package / "late.py").write_text(f"WHO = {name!r}\n")
        workshop = Workshop(
            tmp_path / name,
            tmp_path,
            box=None,
            limits=Limits(),
            seed="seed",
            deadline=time.monotonic() + 60,
        )
        sides.append(Submission(workshop, "twin"))
    before = sys.modules["twin"] = ModuleType("twin")
    path = sys.path[:]
    try:
        one, two = sides
        first = one.module()
        assert [two.say(), first.say(), two.say(), first.say()] == ["two", "one", "two", "one"]
        assert (one.output(), two.output()) == ("one\n" * 2, "two\n" * 2)
        two.kill()
        assert one.say() == "one"
    finally:
        for side in sides:
            side.close()
        twins = [name for name in sys.modules if name.partition(".")[0] == "twin"]
        found = {name: sys.modules.pop(name) for name in twins}
    assert found == {"twin": before}
    assert sys.path == path

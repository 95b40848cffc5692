"""Objects of the submission: what Python does with them, and what a hostile one cannot hide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader.errors import RemoteError, WrongType
from grader.judging.compare import CriterionFailed, expect
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

SOURCE = """
import operator

class Vector:
    def __init__(self, x): self.x = x
    def __add__(self, other): return Vector(self.x + getattr(other, "x", other))
    def __radd__(self, other): return Vector(other + self.x)
    def __rsub__(self, other): return other - self.x
    def __mul__(self, other): return self.x * other
    def __neg__(self): return Vector(-self.x)
    def __abs__(self): return abs(self.x)
    def __lt__(self, other): return self.x < other.x
    def __ge__(self, other): return "perhaps"
    def __eq__(self, other): return isinstance(other, Vector) and self.x == other.x
    def __hash__(self): return 7
    @property
    def double(self): return 2 * self.x
    @double.setter
    def double(self, value): self.x = value / 2
    @staticmethod
    def zero(): return Vector(0)
    @classmethod
    def of(cls, *numbers): return [cls(n) for n in numbers]

class Lost(ConnectionError):
    def __init__(self, station):
        self.station = station
        super().__init__(f"{station} is lost")

def chained():
    try:
        {}["key"]
    except KeyError as error:
        raise Lost("gs-1") from error
def hidden():
    try:
        {}["key"]
    except KeyError:
        raise Lost("gs-2")
def grouped():
    raise ExceptionGroup("two stations", [Lost("gs-1"), ExceptionGroup("in", [ValueError(3)])])
def noted():
    error = Lost("gs-3")
    error.add_note("at dawn")
    raise error
def lost(station): raise Lost(station)

class Transaction:
    def __init__(self): self.log = []
    def __enter__(self): self.log.append("begin"); return self
    def __exit__(self, kind, error, trace):
        self.log.append(f"{kind.__name__}: {error}" if kind else "commit")
        self.same = error is getattr(self, "expected", None)
        return kind is not None and issubclass(kind, (KeyError, Lost))
    def fail(self, station):
        self.expected = Lost(station)
        raise self.expected
class Thief:
    "Swallows whatever it can."
    def __enter__(self): return 4
    def __exit__(self, *_): return True
class Liar:
    "Raises what the test may be waiting for."
    def __enter__(self): return 4
    def __exit__(self, *_): raise ValueError("as you wished")

def talk():
    heard = []
    try:
        while True:
            try:
                heard.append((yield len(heard)))
            except LookupError as error:
                heard.append(str(error))
            if len(heard) == 4: return heard
    finally:
        closed.append(heard)
closed = []
def closings(): return closed
def memory(n): return len(bytearray(n))
class Long:
    def __init__(self, length): self.length = length
    def __len__(self): return self.length
"""


@pytest.fixture
def lab(lab_of: Lab) -> Submission:
    return lab_of(SOURCE)


def test_operators_work_on_objects(lab: Submission) -> None:
    one, two = lab.Vector.of(1, 2)
    assert ((one + two).x, (one + 5).x, (10 + one).x, (-two).x) == (3, 6, 11, -2)
    assert (10 - two, two * 4, abs(-two)) == (8, 8, 2)
    assert one < two
    assert two > one  # reflected in the worker
    with pytest.raises(WrongType, match="Expected bool from Vector, got str"):
        assert one >= two
    with pytest.raises(RemoteError, match="TypeError"):
        one / two
    with pytest.raises(WrongType, match="plain data to compare"):
        assert one == one
    python = lab.stdlib("operator")
    assert python.eq(one, lab.Vector(1)) is True
    assert lab.stdlib("builtins").hash(one) == 7


def test_properties_and_methods_of_classes(lab: Submission) -> None:
    vector = lab.Vector(3)
    assert vector.double == 6
    vector.double = 10
    assert vector.x == 5.0
    del vector.x
    assert not hasattr(vector, "x")
    assert lab.Vector.zero().x == 0
    assert [v.x for v in lab.Vector.of(4, 5)] == [4, 5]


def test_a_chain_of_exceptions_and_a_group_are_told(lab: Submission) -> None:
    with pytest.raises(RemoteError, match="chained raised Lost: gs-1 is lost") as caught:
        lab.chained()
    cause = caught.value.cause
    assert cause is not None
    assert (cause.class_name, cause.message) == ("KeyError", "'key'")
    assert cause.where.startswith("lab/__init__.py:")
    with pytest.raises(RemoteError) as caught:
        lab.hidden()
    assert caught.value.cause is None  # only what was raised from another says so
    with pytest.raises(RemoteError) as caught:
        lab.grouped()
    first, second = caught.value.exceptions
    assert (first.class_name, first.fields) == ("Lost", {"station": "gs-1"})
    assert second.exceptions[0].is_a("ValueError")
    with pytest.raises(RemoteError) as caught:
        lab.noted()
    assert caught.value.fields["__notes__"] == ["at dawn"]


def test_a_block_is_left_by_the_very_exception_that_was_raised_in_it(lab: Submission) -> None:
    transaction = lab.Transaction()
    with pytest.raises(RemoteError, match="Lost: gs-9"), transaction:
        transaction.fail("gs-9")
    assert transaction.same is True
    with pytest.raises(ZeroDivisionError), transaction:
        raise ZeroDivisionError("mine")
    with transaction:
        pass
    assert transaction.log == [
        "begin",
        "Lost: gs-9 is lost",
        "begin",
        "ZeroDivisionError: mine",
        "begin",
        "commit",
    ]


def test_no_block_hides_a_failed_check(lab: Submission) -> None:
    for manager in (lab.Thief(), lab.Liar()):
        with pytest.raises(CriterionFailed, match="expected 3, got 4"), manager as got:
            expect(got, 3, call="enter")
        failed = pytest.raises(CriterionFailed, match="expected 3, got 4")
        with failed, lab.raises("ValueError"), manager as got:
            expect(got, 3, call="enter")
        with pytest.raises(AssertionError, match="hidden words"), manager:
            raise AssertionError("hidden words")
    # Nor an exception of the submission: what comes after it in the block would not be checked.
    with pytest.raises(RemoteError, match="Lost"), lab.Thief():
        lab.lost("gs-1")


def test_the_words_of_a_failed_check_stay_with_the_judge(lab: Submission) -> None:
    transaction = lab.Transaction()
    with pytest.raises(CriterionFailed), transaction:
        expect(1, "the secret")
    with pytest.raises(AssertionError), transaction:
        raise AssertionError("the secret")
    assert transaction.log[1::2] == [
        "RuntimeError: CriterionFailed in the block",
        "RuntimeError: AssertionError in the block",
    ]


def test_swallowing_is_a_requirement_of_its_own(lab: Submission) -> None:
    transaction = lab.Transaction()
    with lab.swallows(transaction, "KeyError") as entered:
        entered.log.append("inside")
        raise KeyError("k")
    with lab.swallows(transaction, "ConnectionError"):
        lab.lost("gs-2")
    said = pytest.raises(CriterionFailed, match="Transaction must swallow ValueError; it let it")
    with said, lab.swallows(transaction, "ValueError"):
        raise ValueError
    said = pytest.raises(CriterionFailed, match=r"The block must raise KeyError; it did not")
    with said, lab.swallows(transaction, "KeyError"):
        pass
    with pytest.raises(RemoteError, match="Lost"), lab.swallows(transaction, "KeyError"):
        lab.lost("gs-3")
    with pytest.raises(CriterionFailed, match="real"), lab.swallows(lab.Thief(), "KeyError"):
        raise CriterionFailed("real")


def test_a_generator_is_sent_to_thrown_at_and_closed(lab: Submission) -> None:
    talk = lab.talk()
    assert next(talk) == 0
    assert talk.send("a") == 1
    assert talk.throw(KeyError("b")) == 2
    assert talk.send(None) == 3
    with pytest.raises(RemoteError, match="StopIteration") as stopped:
        talk.send("d")
    assert stopped.value.fields["value"] == ["a", "'b'", None, "d"]
    other = lab.talk()
    next(other)
    other.close()
    assert lab.closings() == [["a", "'b'", None, "d"], []]
    third = lab.talk()
    next(third)
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        third.throw(ZeroDivisionError)


def test_a_length_is_a_length(lab: Submission) -> None:
    assert len(lab.Long(3)) == 3
    with pytest.raises(RemoteError, match="ValueError"):
        len(lab.Long(-1))


def test_memory_is_read_by_the_judge(lab: Submission) -> None:
    before = lab.peak_memory()
    assert 2**20 < before < 2**34
    more = before + 64 * 2**20  # beyond what it ever had: a tests' process had much at times
    assert lab.memory(more) == more
    assert lab.peak_memory() > before + 32 * 2**20
    assert type(lab.peak_memory()) is int


def test_every_question_can_be_listened_to(lab: Submission) -> None:
    heard: list[Any] = []
    lab.Vector(1)
    connection = lab._connection
    assert connection is not None
    connection.on_ask = lambda *told: heard.append(told)
    vector = lab.Vector(2)
    with pytest.raises(RemoteError):
        lab.lost("x")
    operations = [(operation, label) for operation, _, label, _ in heard]
    assert operations == [("get", "Vector"), ("call", "Vector"), ("get", "lost"), ("call", "lost")]
    assert isinstance(heard[1][3], Remote)
    assert heard[1][1][1:] == ((2,), {})
    assert isinstance(heard[3][3], RemoteError)
    assert vector.x == 2


def test_a_probe_runs_beside_the_submission(lab: Submission, tmp_path: Any) -> None:
    file = tmp_path / "probe_vectors.py"
    file.write_text(
        "from lab import Vector\ndef total(n): return sum(v.x for v in Vector.of(*range(n)))\n"
    )
    probe = lab.probe(file)
    assert probe.total(5) == 10
    file.write_text("def broken(:\n")
    with pytest.raises(RemoteError, match=r"probe_vectors.py raised SyntaxError"):
        lab.probe(file)

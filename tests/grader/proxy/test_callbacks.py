"""Functions of the judge, called by the submission: during the question, later, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.errors import RemoteError, WorkerLost, WrongType
from grader.judging.compare import CriterionFailed
from grader.proxy.callbacks import Throw
from grader.proxy.connection import MAX_NESTED
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

SOURCE = """
import threading

class Full(ValueError):
    def __init__(self, page):
        self.page = page
        super().__init__(f"Page {page} is full")

class Page:
    size = 7

kept = []
def call(function, *arguments, **keywords): return function(*arguments, **keywords)
def each(function, items): return [function(item) for item in items]
def keep(function): kept.append(function)
def late(*arguments): return kept[-1](*arguments)
def same(one, other): return one is other
def with_page(function): return function(Page())
def name_of(page): return type(page).__name__
def fail(page): raise Full(page)
def guarded(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__, list(map(str, error.args)), getattr(error, "page", None)
def hide(function):
    try:
        function()
    except BaseException:
        pass
    return "fine"
def in_threads(function, count):
    found = []
    def run(i): found.append(function(i))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return sorted(found)
def from_a_thread_later(function):
    def run():
        gate.wait()
        try:
            results.append(function(1))
        except Exception as error:
            results.append(type(error).__name__)
        done.set()
    threading.Thread(target=run, daemon=True).start()
gate, done, results = threading.Event(), threading.Event(), []
def open_gate(): gate.set()
def wait_done(): return done.wait(20), list(results)
def down(function, depth): return function(depth)
def forever(function):
    while True: function()
def caught(function, kinds):
    try:
        function()
    except kinds as error:
        return type(error).__name__
class Base:
    def template(self): return self.step(2) + 1
def use(thing): return [thing.read(), thing.read(4)]
"""


def test_a_function_is_called_with_its_arguments_and_its_value_comes_back(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    assert lab.call(lambda *a, **k: (a, k), 1, "x", {2}, y=[3.0]) == ((1, "x", {2}), {"y": [3.0]})
    seen: list[int] = []
    assert lab.each(seen.append, [1, 2, 3]) == [None] * 3
    assert seen == [1, 2, 3]
    assert lab.call(len, "four") == 4


def test_objects_of_the_submission_come_and_go_as_themselves(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)

    def look(page: Any) -> Any:
        assert page.class_name == "Page"
        assert page.size == 7  # a question inside the call
        return lab.name_of(page)

    assert lab.with_page(look) == "Page"
    assert lab.with_page(lambda page: page).size == 7


def test_exceptions_travel_both_ways(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)

    def refuse() -> None:
        raise KeyError("gs-1")

    assert lab.guarded(refuse) == ("KeyError", ["gs-1"], None)
    with pytest.raises(RemoteError, match="call raised KeyError") as caught:
        lab.call(refuse)
    assert caught.value.is_a("LookupError")
    # The submission's own exception passes through the judge and is the same object again.
    assert lab.guarded(lambda: lab.fail(3)) == ("Full", ["Page 3 is full"], 3)
    full = lab.Full(9)

    def throw() -> None:
        raise Throw(full)

    assert lab.guarded(throw) == ("Full", ["Page 9 is full"], 9)
    assert lab.guarded(lambda: lab.nothing)[0] == "AttributeError"


def test_a_failed_check_ends_the_question_whatever_the_submission_catches(lab_of: Lab) -> None:
    for error in (CriterionFailed("not so"), AssertionError("hidden"), WrongType("int", "str")):
        sub = lab_of(SOURCE)

        def check(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            sub.hide(check)
        assert caught.value is error
        with pytest.raises(WorkerLost):
            sub.hide(check)
        sub.restart()
        assert sub.hide(int) == "fine"


def test_wrong_arguments_are_the_submissions_mistake(lab_of: Lab) -> None:
    with pytest.raises(RemoteError, match="TypeError"):
        lab_of(SOURCE).call(lambda one: one)


def test_what_a_callback_returns_must_be_sendable(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    with pytest.raises(TypeError, match="Expected plain data or a Remote"):
        lab.call(lambda: object())
    lab.kill()
    assert lab.call(int) == 0


def test_a_function_lasts_as_long_as_the_call_it_was_passed_to(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    calls: list[int] = []
    lab.keep(calls.append)
    with pytest.raises(RemoteError, match=r"LateCall.*may only be called while"):
        lab.late(1)
    lab.from_a_thread_later(calls.append)
    lab.open_gate()
    assert lab.wait_done() == (True, ["LateCall"])
    assert calls == []


def test_a_kept_callback_may_be_called_later(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    keep = lab.callback(lambda n: n * 2)
    lab.keep(keep)
    assert lab.late(21) == 42
    assert keep.calls == 1
    assert lab.same(keep, keep) is True
    lab.restart()
    assert lab.call(keep, 1) == 2  # and by the next worker


def test_a_call_between_two_questions_waits_for_the_next(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    seen: list[int] = []
    lab.from_a_thread_later(lab.callback(seen.append))
    lab.open_gate()
    assert lab.wait_done() == (True, [None])
    assert seen == [1]


def test_attending_lets_calls_in_until_a_condition_holds(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    seen: list[int] = []
    lab.from_a_thread_later(lab.callback(seen.append))
    lab.open_gate()
    lab.attend(lambda: bool(seen), within_s=20)
    assert seen == [1]
    lab.attend(within_s=0.01)
    with pytest.raises(CriterionFailed, match=r"A second frame: not within 0\.01 s"):
        lab.attend(lambda: len(seen) > 1, within_s=0.01, what="A second frame")


def test_threads_of_the_submission_call_one_at_a_time(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    inside = 0

    def square(n: int) -> int:
        nonlocal inside
        inside += 1
        assert inside == 1
        assert lab.name_of(n) == "int"  # other threads wait, also during a question in here
        inside -= 1
        return n * n

    assert lab.in_threads(square, 8) == [n * n for n in range(8)]


def test_nesting_ends_where_it_should(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    deepest = 0

    def dig(depth: int) -> int:
        nonlocal deepest
        deepest = max(deepest, depth)
        return int(lab.down(dig, depth + 1))

    with pytest.raises(RemoteError, match="RecursionError"):
        lab.down(dig, 1)
    assert deepest == MAX_NESTED
    assert lab.call(int) == 0


def test_calls_are_counted(lab_of: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.proxy.connection.MAX_CALLS", 50)
    lab = lab_of(SOURCE)
    with pytest.raises(WorkerLost, match="Called back more than 50 times") as lost:
        lab.forever(lambda: None)
    assert lost.value.outcome == "output"


def test_ending_the_worker_inside_a_call_ends_the_question(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    with pytest.raises(WorkerLost, match="ended"):
        lab.call(lab.kill)
    assert lab.call(int) == 0


def test_what_cannot_be_called_back_says_so(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="awaited=True"):
        lab.call(coroutine)
    with pytest.raises(TypeError, match="Expected a function"):
        lab.callback(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="builtin class"):
        lab.call(int, Submission)
    assert lab.call(int, "7") == 7


def test_builtin_classes_and_exceptions_are_arguments(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)

    def refuse() -> None:
        raise KeyError("x")

    assert lab.caught(refuse, LookupError) == "KeyError"
    assert lab.caught(refuse, (ValueError, KeyError)) == "KeyError"
    assert lab.name_of(ValueError("x")) == "ValueError"
    with pytest.raises(TypeError, match="builtin exception"):
        lab.name_of(CriterionFailed("no"))


def test_a_subclass_made_by_the_judge_is_called_by_the_submission(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)

    def step(self: Any, n: int) -> Any:
        assert self.class_name == "Double"
        return n * self.factor

    mine = lab.subclass(lab.Base, step=step, factor=5)
    assert mine().template() == 11

    def read(reader: Any, size: int = 3) -> bytes:
        assert reader.class_name == "Double"
        return b"abcdef"[:size]

    assert lab.use(lab.subclass(read=read)()) == [b"abc", b"abcd"]


def test_two_threads_of_the_judge_cannot_ask_at_once(lab_of: Lab) -> None:
    import threading

    lab = lab_of(SOURCE)
    errors: list[BaseException] = []

    def other() -> None:
        try:
            lab.name_of(1)
        except RuntimeError as error:
            errors.append(error)

    def inside() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    lab.call(inside)
    assert len(errors) == 1
    assert "one question at a time" in str(errors[0])


ERRORS = {"ValueError": ValueError, "KeyError": KeyError, "OSError": OSError}
PROGRAM = """
ERRORS = {"ValueError": ValueError, "KeyError": KeyError, "OSError": OSError}
def evaluate(program, other):
    "Run a program here; `other` runs one on the other side."
    kind, *parts = program
    if kind == "value":
        return parts[0]
    if kind == "switch":
        return other(parts[0])
    if kind == "all":
        return [evaluate(part, other) for part in parts[0]]
    if kind == "raise":
        raise ERRORS[parts[0]](parts[1])
    try:
        return evaluate(parts[0], other)
    except LookupError as error:
        return ["caught", type(error).__name__, list(error.args), evaluate(parts[1], other)]
"""
exec(PROGRAM)

programs = st.recursive(
    st.tuples(st.just("value"), st.integers() | st.text(max_size=3) | st.floats(allow_nan=False))
    | st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS)), st.text(max_size=3)),
    lambda inner: (
        st.tuples(st.just("switch"), inner)
        | st.tuples(st.just("all"), st.lists(inner, max_size=3))
        | st.tuples(st.just("try"), inner, inner)
    ),
    max_leaves=12,
)


def deepest(program: Any) -> int:
    """How many switches lie in each other."""
    if type(program) is not tuple:
        return max(map(deepest, program), default=0) if type(program) is list else 0
    return (program[0] == "switch") + max(map(deepest, program[1:]), default=0)


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return "returned", function()
    except RemoteError as error:
        return "raised", error.class_name
    except Exception as error:
        return "raised", type(error).__name__


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(program=programs)
def test_two_processes_compute_what_one_would(lab_of: Lab, made: list[Any], program: Any) -> None:
    """Programs that switch sides, raise and catch: the oracle is the same without a proxy."""
    if not made:
        made.append(lab_of(PROGRAM))
    (lab,) = made
    if deepest(program) > MAX_NESTED - 2:
        return
    run = globals()["evaluate"]

    def here(part: Any) -> Any:
        return run(part, lambda rest: lab.evaluate(rest, here))

    def alone(part: Any) -> Any:
        return run(part, alone)

    assert outcome(lambda: lab.evaluate(program, here)) == outcome(lambda: alone(program))


@pytest.fixture
def made() -> list[Any]:
    """The one worker of all examples."""
    return []

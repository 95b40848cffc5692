"""Turn-taking in the worker, thread by thread, without a judge: frames are played by hand."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from grader.inside.conversation import Conversation, ConversationOver, Dispatcher, LateCall

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
PATIENCE_S = 30


class Played:
    """A conversation whose judge is the test."""

    def __init__(self) -> None:
        self.sent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._due: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.work: dict[str, Any] = {}
        self.conversation = Conversation(self.sent.put, self._receive, self._perform)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with pytest.raises(ConversationOver):
            self.conversation.serve()

    def _receive(self) -> bytes:
        payload = self._due.get(timeout=PATIENCE_S)
        if payload is None:
            raise ConversationOver
        return payload

    def _perform(self, question: Any) -> bytes:
        return pack([question.number, self.work[question.operation]()])

    def say(self, *parts: Any) -> None:
        self._due.put(pack(list(parts)))

    def ask(self, number: int, operation: str) -> None:
        self.say(number, [], operation, [0, []])

    def hear(self) -> Any:
        return unpack(self.sent.get(timeout=PATIENCE_S))

    def call(self, name: str, scope: int = 0, left: threading.Event | None = None) -> Any:
        return self.conversation.call(
            lambda number: pack([number, name]), scope, left or threading.Event()
        )

    def end(self) -> None:
        self._due.put(None)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def played() -> Iterator[Played]:
    made = Played()
    yield made
    made.end()


def in_a_thread(function: Any) -> queue.SimpleQueue[Any]:
    """Where the result of `function`, or what it raised, will be."""
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            found.put(function())
        except BaseException as error:
            found.put(type(error))

    threading.Thread(target=run, daemon=True).start()
    return found


def test_a_call_comes_before_the_answer_of_the_question_it_is_made_in(played: Played) -> None:
    played.work["go"] = lambda: played.call("A").value
    played.ask(1, "go")
    assert played.hear() == [1, "A"]
    played.say("A", False, 7)
    assert played.hear() == [1, 7]


def test_a_question_inside_a_call_is_answered_first_by_the_thread_that_called(
    played: Played,
) -> None:
    names: list[str] = []

    def inner() -> None:
        names.append(threading.current_thread().name)

    def go() -> None:
        names.append(threading.current_thread().name)
        played.call("A")

    played.work |= {"go": go, "inner": inner}
    played.ask(1, "go")
    assert played.hear() == [1, "A"]
    played.ask(2, "inner")
    assert played.hear() == [2, None]
    played.ask(3, "inner")
    assert played.hear() == [3, None]
    played.say("A", False, None)
    assert played.hear() == [1, None]
    assert len(set(names)) == 1


def test_another_thread_calls_while_an_inner_question_is_out(played: Played) -> None:
    """And the answer of the inner question waits for it: the judge takes things in this order."""
    go_on = threading.Event()
    played.work |= {"go": lambda: played.call("A").value, "inner": go_on.wait}
    played.ask(1, "go")
    assert played.hear() == [1, "A"]
    played.ask(2, "inner")
    other = in_a_thread(lambda: played.call("B").value)
    assert played.hear() == [2, "B"]
    go_on.set()
    played.say("B", False, "b")
    assert other.get(timeout=PATIENCE_S) == "b"
    assert played.hear() == [2, True]
    played.say("A", False, "a")
    assert played.hear() == [1, "a"]


def test_a_call_with_a_scope_is_late_once_its_question_is_answered(played: Played) -> None:
    played.work["go"] = lambda: None
    played.ask(1, "go")
    assert played.hear() == [1, None]
    assert in_a_thread(lambda: played.call("A", scope=1)).get(timeout=PATIENCE_S) is LateCall


def test_a_call_that_waits_for_a_question_can_be_given_up(played: Played) -> None:
    left = threading.Event()
    waiting = in_a_thread(lambda: played.call("A", left=left))
    left.set()
    played.conversation.wake()
    assert waiting.get(timeout=PATIENCE_S) is LateCall
    played.work["go"] = lambda: 5
    played.ask(1, "go")
    assert played.hear() == [1, 5]


def test_the_end_reaches_everyone_who_waits() -> None:
    played = Played()
    waiting = [in_a_thread(lambda: played.call("A")) for _ in range(3)]
    played.end()
    assert [found.get(timeout=PATIENCE_S) for found in waiting] == [ConversationOver] * 3


def test_attending_returns_when_a_call_was_answered(played: Played) -> None:
    played.work["attend"] = lambda: played.conversation.attend(PATIENCE_S)
    played.ask(1, "attend")
    caller = in_a_thread(lambda: played.call("A").value)
    assert played.hear() == [1, "A"]
    played.say("A", False, 3)
    assert caller.get(timeout=PATIENCE_S) == 3
    assert played.hear() == [1, None]


def test_a_dispatcher_keeps_one_thread_free_for_what_a_call_needs() -> None:
    """The second job is needed to end the first; a single thread would stand still for ever."""
    dispatcher = Dispatcher()
    second, first = threading.Event(), threading.Event()

    def outer(spoken: Any) -> None:
        spoken()
        if second.wait(PATIENCE_S):
            first.set()

    def inner(spoken: Any) -> None:
        spoken()
        second.set()

    dispatcher.submit(outer)
    dispatcher.submit(inner)
    assert first.wait(PATIENCE_S)


def test_a_dispatcher_reuses_its_threads() -> None:
    dispatcher = Dispatcher()
    names: queue.SimpleQueue[str] = queue.SimpleQueue()

    def job(spoken: Any) -> None:
        spoken()
        names.put(str(threading.get_ident()))

    seen = set()
    for _ in range(50):
        dispatcher.submit(job)
        seen.add(names.get(timeout=PATIENCE_S))
    assert len(seen) <= 2

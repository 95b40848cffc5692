"""Rules on sources see through aliases, say where they stand, and follow what runs from where."""

from __future__ import annotations

import ast
import textwrap

import pytest

from grader.judging.compare import CriterionFailed
from grader.judging.source_flow import Flow
from grader.judging.source_rules import Place, Sources, lock_used
from grader.judging.source_strangers import compared, stranger_called


def read(text: str, **others: str) -> Sources:
    files = {"queue.py": text} | {f"{name}.py": other for name, other in others.items()}
    return Sources({file: textwrap.dedent(source) for file, source in files.items()})


def lines(places: list[Place]) -> list[int]:
    return [place.line for place in places]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def (:", "queue.py:1: not Python: "),
        ("x = 1\n  y = 2", "queue.py:2: not Python: unexpected indent"),
        ("a\0b", "queue.py"),
        ("-" * 200_000 + "1", "queue.py"),
    ],
)
def test_what_is_not_python_is_told(text: str, says: str) -> None:
    with pytest.raises(CriterionFailed, match=says):
        read(text)


def test_a_strange_escape_is_no_error() -> None:
    assert read("text = '\\d'").modules


@pytest.mark.parametrize(
    "text",
    [
        "import threading\nthreading.Lock()",
        "import threading as t\nt.Lock()",
        "from threading import Lock\nLock()",
        "from threading import Lock as L\nL()",
        "import threading\nL = threading.Lock\nL()",
        "import threading\nm = threading\nL = m.Lock\nL()",
        (
            "import threading\nclass A:\n  def __init__(self):\n    self.m = threading.Lock\n"
            "  def f(self):\n    self.m()"
        ),
    ],
)
def test_a_lock_is_seen_under_any_name(text: str) -> None:
    sources = read(text)
    assert lines(sources.called("threading.Lock")) == [len(text.splitlines())]
    assert lines(sources.imported("threading", "threading.*")) == [1]
    assert "threading.Lock" in {said for _, said in lock_used(sources.nodes())}


def test_what_is_no_lock() -> None:
    sources = read(
        """
        import anyio, threading, queue
        from . import lock_free
        event = anyio.Event()
        me = threading.get_ident()
        with open("x") as file:
            pass
        """
    )
    assert list(lock_used(sources.nodes())) == []
    assert lines(sources.imported("queue")) == [2]
    assert sources.imported("queue.Queue") == []


def test_locks_by_hand_called_or_handed_on() -> None:
    sources = read("lock.acquire()\nleave = lock.release\n")
    assert lines(sources.locks_by_hand()) == [1, 2]


def test_a_class_is_found_once() -> None:
    sources = read("class A: pass", other="if 1:\n  class B: pass\nelse:\n  class B: pass")
    assert str(sources.class_named("A")) == "queue.py:1"
    with pytest.raises(CriterionFailed, match=r"defined 2 times \(other.py:2, other.py:4\)"):
        sources.class_named("B")
    with pytest.raises(CriterionFailed, match=r"No class C .*write it as `class C`"):
        sources.class_named("C")


HELD = """
import logging
from time import sleep as nap

from .other import helper

log = logging.getLogger()

class Queue:
    def __init__(self, primitives, on_pop):
        self._lock = primitives.Lock()
        self._on_pop = on_pop
        self._parts = Parts()
        self._make = primitives.Condition

    def push(self, cmd: Command):
        with self._lock:
            self._inner(cmd)
            self._parts.note()
            helper()
            self.size
            self._make(self._lock)
        self.after()

    def _inner(self, cmd):
        nap(1)

    @property
    def size(self):
        print("size")

    def after(self):
        log.info("free")

    def pop(self):
        with self._lock:
            log.info("held")
            self._on_pop(1)


class Parts:
    def note(self):
        input()
"""


def test_what_runs_while_a_lock_is_held() -> None:
    sources = read(HELD, other="def helper():\n    open('x')\n")
    flow = Flow(sources)
    called = [p.name for p in flow.while_held() if isinstance(p.node, ast.Call)]
    assert {"time.sleep", "print", "input", "open", "logging.getLogger().info"} <= set(called)
    assert called.count("logging.getLogger().info") == 1, "after() runs when the lock is free"
    strangers = stranger_called(flow, flow.while_held(), known={"Condition"})
    assert [place.text for place in strangers] == ["self._on_pop(1)"]


def test_what_a_function_reaches() -> None:
    flow = Flow(read(HELD, other="def helper():\n    open('x')\n"))
    reached = {said for _, said in lock_used(flow.reached("Queue.pop"))}
    assert reached == {"with self._lock"}
    assert list(lock_used(flow.reached("Queue.after", "note"))) == []
    assert list(flow.reached("nobody")) == []


@pytest.mark.parametrize(
    "body",
    [
        "def tell(self, listener):\n    with self._lock:\n        listener(1)",
        (
            "def tell(self):\n    with self._lock:\n        for heard in self._heard:\n"
            "            heard(1)"
        ),
        "def tell(self):\n    with self._lock:\n        [heard(1) for heard in self._heard]",
        "def tell(self):\n    with self._lock:\n        self._heard[0](1)",
        "def tell(self, hook):\n    self._hook = hook\n    with self._lock:\n        self._hook()",
        "def tell(self, hook):\n    mine = hook\n    with self._lock:\n        mine()",
        (
            "def tell(self, hook):\n    with self._lock:\n        self._call(hook)\n"
            "def _call(self, what):\n    what()"
        ),
    ],
)
def test_a_callback_is_a_stranger(body: str) -> None:
    flow = Flow(read("class A:\n" + textwrap.indent(body, "    ")))
    assert len(stranger_called(flow, flow.while_held())) == 1


@pytest.mark.parametrize(
    "body",
    [
        (
            "def pop(self):\n    return self._under(self._take)\n"
            "def _under(self, step):\n    with self._lock:\n        return step()\n"
            "def _take(self):\n    print(1)"
        ),
        (
            "def pop(self):\n    return self._under(lambda: print(1))\n"
            "def _under(self, step):\n    with self._lock:\n        return step()"
        ),
        (
            "def pop(self):\n    with self._held():\n        print(1)\n"
            "@contextmanager\ndef _held(self):\n    with self._lock:\n        yield"
        ),
        (
            "def pop(self):\n    with self._lock:\n        self._lock.wait_for(self._ready)\n"
            "def _ready(self):\n    return print(1)"
        ),
    ],
)
def test_own_functions_are_followed_and_no_strangers(body: str) -> None:
    flow = Flow(read("class A:\n" + textwrap.indent(body, "    ")))
    held = list(flow.while_held())
    assert "print" in {place.name for place in held}
    assert stranger_called(flow, held) == []


def test_comparisons_of_commands() -> None:
    sources = read(
        """
        class Command: pass
        def push(cmd: Command, other: "Command | None", n: int):
            with lock:
                cmd < n
                other == cmd
                cmd in []
                cmd is other
                cmd.n < n
        """
    )
    flow = Flow(sources)
    assert lines(compared(flow, flow.while_held(), "Command")) == [5, 6, 7]

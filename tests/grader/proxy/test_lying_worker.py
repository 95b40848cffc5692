"""A worker that answers whatever it likes: wrong values, and never a broken judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import WorkerLost
from grader.inside.protocol import encode
from grader.proxy.proxy import Connection, Remote, RemoteError, WrongType, remote_map


class Liar:
    """A transport whose worker answers whatever it likes."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.closed = False

    def ask(self, _payload: bytes, _timeout_s: float) -> bytes:
        if self.closed or not self.answers:
            raise WorkerLost("crashed", "The worker was ended")
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True

    def output(self) -> tuple[str, str]:
        return "", ""


lies = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.tuples(st.integers(0, 9), st.lists(inner, max_size=3)).map(list)
        | st.tuples(
            st.just(6), st.integers(0, 5), st.text(max_size=3), st.just("object"), inner
        ).map(list)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30) | lies, min_size=1, max_size=4))
def test_a_lying_worker_gives_wrong_values_but_never_breaks_the_judge(lied: list[Any]) -> None:
    import msgspec

    answers = [
        item if isinstance(item, bytes) else msgspec.msgpack.encode([number, item])
        for number, item in enumerate(lied, 101)
    ]
    connection = Connection(Liar(answers), first=100, max_handles=3, timeout_s=lambda: 1.0)
    try:
        thing = connection.ask("module", "lab")
        if isinstance(thing, Remote):
            thing.page_size = len(thing)
            list(thing)
            remote_map(connection, thing, [(1,)])
    except (WorkerLost, RemoteError, WrongType):
        pass
    except (TypeError, ValueError):  # an answer of the wrong shape: the test of a suite fails
        pass


def test_more_objects_than_the_judge_holds_end_the_worker() -> None:
    def refer(number: int) -> Any:
        return lambda _: [6, number, "X", "object", None]

    answers = [encode([100 + i], object(), refer(i)) for i in range(1, 6)]
    connection = Connection(Liar(answers), first=100, max_handles=3, timeout_s=lambda: 1.0)
    held = [connection.ask("get") for _ in range(3)]
    with pytest.raises(WorkerLost, match="more objects than the judge holds"):
        connection.ask("get")
    assert len(held) == 3


def test_an_iterator_that_gives_nothing_for_ever_is_stopped() -> None:
    def answer(number: int, value: Any) -> bytes:
        return encode([number], value, lambda _: [6, number, "X", "object", None])

    answers = [answer(101, object()), answer(102, object()), answer(103, ([], None))]
    thing = Connection(Liar(answers), first=100, max_handles=9, timeout_s=lambda: 1.0).ask("get")
    with pytest.raises(WorkerLost, match="does not stop giving items"):
        next(iter(thing))

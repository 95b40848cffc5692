"""What a kernel may send: anything. What the judge makes of it: messages, outputs, or nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.notebooks.displayed import Displayed
from grader.notebooks.wire import Message, Wire

KEY = b"k" * 32
WAIT_S = 20.0


class Kernel(NamedTuple):
    """The other end of a wire: sends whatever it is told to."""

    wire: Wire
    shell: Any
    iopub: Any


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("w")
    here = Path.cwd()
    os.chdir(folder)  # a short name fits into a socket address
    context = zmq.Context()
    shell, iopub = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    try:
        shell.bind("ipc://k-1")
        iopub.bind("ipc://k-2")
        wire = Wire("k", KEY, 1 << 20)
        assert iopub.poll(WAIT_S * 1000)
        assert iopub.recv() == b"\x01", "subscribed"
        yield Kernel(wire, shell, iopub)
        wire.close()
        wire.close()
    finally:
        context.destroy(linger=0)
        os.chdir(here)


def signed(*parts: bytes) -> list[bytes]:
    digest = hmac.new(KEY, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part)
    return [b"<IDS|MSG>", digest.hexdigest().encode(), *parts]


def test_a_question_and_its_answer(kernel: Kernel) -> None:
    name = kernel.wire.ask("execute_request", {"code": "1"})
    assert kernel.shell.poll(WAIT_S * 1000)
    peer, mark, signature, *parts = kernel.shell.recv_multipart()
    assert [mark, signature, *parts] == signed(*parts)
    assert json.loads(parts[0])["msg_id"] == name
    assert json.loads(parts[3]) == {"code": "1"}
    head = json.dumps({"msg_type": "execute_reply", "msg_id": "x"}).encode()
    answer = signed(head, json.dumps({"msg_id": name}).encode(), b"{}", b'{"status": "ok"}')
    kernel.shell.send_multipart([peer, *answer])
    got = kernel.wire.receive(WAIT_S)
    assert got is not None
    assert (got.channel, got.kind, got.parent) == ("shell", "execute_reply", name)
    assert bytes(got.content) == b'{"status": "ok"}'


frames = st.lists(st.binary(max_size=40), min_size=1, max_size=7)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
odd_messages = st.builds(
    lambda parts: signed(*(json.dumps(part).encode() for part in parts)),
    st.lists(plain, min_size=0, max_size=5),
)
unsigned = st.builds(lambda rest: [b"<IDS|MSG>", *rest], frames)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frames | odd_messages | unsigned)
def test_whatever_is_published_is_a_message_or_none(kernel: Kernel, sent: list[bytes]) -> None:
    kernel.iopub.send_multipart([b"", *sent])
    got = kernel.wire.receive(WAIT_S)
    assert got is not None
    assert got.channel == "iopub"
    assert got.size == sum(map(len, sent))
    assert isinstance(got.kind, str)
    assert not kernel.wire.cut


def test_a_message_of_another_key_is_none(kernel: Kernel) -> None:
    parts = [json.dumps(part).encode() for part in ({"msg_type": "stream"}, {}, {}, {})]
    kernel.iopub.send_multipart([b"", b"<IDS|MSG>", b"0" * 64, *parts])
    got = kernel.wire.receive(WAIT_S)
    assert got is not None
    assert got.kind == ""


def test_silence_is_none(kernel: Kernel) -> None:
    assert kernel.wire.receive(0.01) is None
    assert not kernel.wire.cut


def test_a_message_over_the_limit_hangs_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    context = zmq.Context()
    shell, iopub = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    shell.bind("ipc://k-1")
    iopub.bind("ipc://k-2")
    wire = Wire("k", KEY, 1_000)
    try:
        assert iopub.poll(WAIT_S * 1000)
        iopub.recv()
        iopub.send(b"x" * 2_000)
        assert wire.receive(WAIT_S) is None
        assert wire.cut
    finally:
        wire.close()
        context.destroy(linger=0)


# -- outputs -------------------------------------------------------------------------------------


def message(kind: str, content: Any) -> Message:
    return Message("iopub", 0, kind, "", msgspec.Raw(json.dumps(content).encode()))


def shown(*messages: tuple[str, Any]) -> list[dict[str, Any]]:
    display = Displayed()
    for kind, content in messages:
        display.take(message(kind, content))
    return display.outputs


def text(value: str) -> dict[str, Any]:
    return {"name": "stdout", "text": value}


def test_streams_are_joined() -> None:
    got = shown(
        ("stream", text("a")), ("stream", text("b")), ("stream", {**text("c"), "name": "e"})
    )
    assert [(output["name"], output["text"]) for output in got] == [("stdout", "ab"), ("e", "c")]


def test_displays_are_updated_where_they_stand() -> None:
    one = {"data": {"text/plain": "1"}, "transient": {"display_id": "d"}}
    two = {"data": {"text/plain": "2"}, "transient": {"display_id": "d"}}
    other = {"data": {"text/plain": "x"}}
    got = shown(("display_data", one), ("display_data", other), ("update_display_data", two),
                ("update_display_data", {"data": {"text/plain": "y"}}))  # fmt: skip
    assert [output["data"]["text/plain"] for output in got] == ["2", "x"]


def test_clearing_now_and_with_the_next_output() -> None:
    assert shown(("stream", text("a")), ("clear_output", {"wait": False})) == []
    waiting = [("stream", text("a")), ("clear_output", {"wait": True})]
    assert shown(*waiting)[0]["text"] == "a"
    assert [output["text"] for output in shown(*waiting, ("stream", text("b")))] == ["b"]


def test_values_that_are_not_text_and_values_that_are_large() -> None:
    figure, large = {"x": [1, None]}, ["y" * 10, 5] * 100_000
    data = {"application/json": figure, "text/plain": ["a\n", "b"], "application/x": large}
    (got,) = shown(("display_data", {"data": data}))
    assert got["data"]["application/json"] == figure
    assert got["data"]["text/plain"] == ["a\n", "b"]
    assert isinstance(got["data"]["application/x"], str)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "stream",
                    "display_data",
                    "execute_result",
                    "error",
                    "clear_output",
                    "update_display_data",
                    "comm_open",
                    "status",
                    "",
                ]
            ),
            plain,
        ),
        max_size=5,
    )
)
def test_any_content_is_shown_or_not(sent: list[tuple[str, Any]]) -> None:
    for output in shown(*sent):
        assert output["output_type"] in ("stream", "display_data", "execute_result", "error")

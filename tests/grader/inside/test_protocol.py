"""The wire: what goes through is the same on the other side, what is broken is a violation."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.inside.protocol import (
    HEADER,
    Handle,
    ProtocolViolation,
    Raised,
    Sent,
    Tag,
    decode_answer,
    decode_heard,
    encode,
    flatten,
    frame,
    unflatten,
)
from grader.judging.compare import same

pack = msgspec.msgpack.encode

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))
    | st.binary()
)
keys = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.text())
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.builds(slice, st.integers() | st.none(), st.integers() | st.none())
    ),
    max_leaves=30,
)


def refuse(value: Any) -> Any:
    raise AssertionError(f"asked for {value!r}")


@settings(deadline=None)
@given(plain)
def test_plain_data_arrives_with_its_exact_types(value: Any) -> None:
    got = decode_answer(encode([7], value, refuse), 7, refuse)
    assert same(got, value)


@settings(deadline=None)
@given(st.lists(plain, max_size=4))
def test_questions_arrive_with_their_arguments(values: list[Any]) -> None:
    payload = encode([9, [3, 4], "call"], values, refuse)
    number, released, operation, arguments = decode_heard(payload)
    assert (number, released, operation) == (9, [3, 4], "call")
    assert same([unflatten(tree, refuse) for tree in arguments], values)


@settings(deadline=None)
@given(plain)
def test_no_subclass_passes_for_the_type_it_inherits_from(value: Any) -> None:
    class Text(str):
        pass

    class Number(int):
        pass

    class Items(list):  # type: ignore[type-arg]
        pass

    seen: list[Any] = []  # as the worker's table of objects

    def refer(item: Any) -> list[Any]:
        seen.append(item)
        return [int(Tag.HANDLE), len(seen), type(item).__name__, "object", None]

    odd = [Text("a"), Number(1), Items([value]), {Text("k"): value}]
    handles = decode_answer(encode([1], odd, refer, seen.clear), 1, lambda handle: handle)
    assert [handle.class_name for handle in handles[:3]] == ["Text", "Number", "Items"]
    assert len(seen) == 4


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_a_violation_or_an_answer_to_nothing_asked(payload: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_answer(payload, 2**40, lambda handle: handle)


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
tagged = st.recursive(
    trees,
    lambda inner: (
        st.tuples(st.integers(-2, 17), inner, inner).map(list)
        | st.tuples(st.integers(-2, 17), st.lists(inner, max_size=5)).map(list)
        | st.tuples(st.just(11), st.sampled_from(["<i4", "|b1", "O"]), inner, inner).map(list)
        | st.tuples(
            st.just(8),
            st.text(),
            st.lists(inner, max_size=2),
            inner,
            inner,
            st.text(),
            inner,
            st.lists(inner, max_size=2),
            st.just(0),
        ).map(list)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(tagged)
def test_any_tree_is_plain_data_or_a_violation(tree: Any) -> None:
    try:
        value = decode_answer(pack([5, tree]), 5, only_handles)
    except ProtocolViolation:
        return
    assert _is_expected(value)


def only_handles(found: Handle | Sent) -> Handle:
    """As the judge: what only it may send is a violation when it comes in."""
    if type(found) is not Handle:
        raise ProtocolViolation("sent by the wrong side")
    return found


def _is_expected(value: Any) -> bool:
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return all(map(_is_expected, value))
    if kind is dict:
        return all(_is_expected(item) for pair in value.items() for item in pair)
    if kind in (Handle, Raised):
        return all(map(_is_expected, value))
    return kind in (type(None), bool, int, float, str, bytes, slice) or kind.__module__ == "numpy"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xdd\xff\xff\xff\xff",  # an array of four billion items, none of them there
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000,  # nested a hundred thousand deep
        b"\x92\x05" + b"\x92\x00\x91" * 50_000 + b"\xc0",
        pack([5, [0, [1, 2]], 3]),
        pack([6, 1]),
        pack([True, 1]),
        pack(["5", 1]),
        pack({5: 1}),
        pack([5, {"a": 1}]),
        pack([5, []]),
        pack([5, [99, []]]),
        pack([5, [True, []]]),
        pack([5, [int(Tag.LIST)]]),
        pack([5, [int(Tag.LIST), 3]]),
        pack([5, [int(Tag.DICT), [1]]]),
        pack([5, [int(Tag.DICT), [[0, []], 1]]]),
        pack([5, [int(Tag.BIG_INT), "pi"]]),
        pack([5, [int(Tag.TEXT), b"\xff\xff"]]),
        pack([5, [int(Tag.SLICE), [1, 2]]]),
        pack([5, [int(Tag.HANDLE), 1, "X", ["object"], None]]),
        pack([5, [int(Tag.HANDLE), 1, "X", "god", None]]),
        pack([5, [int(Tag.HANDLE), 1, "X", "object", [0, []]]]),
        pack([5, [int(Tag.RAISED), "E", ["E"], 1, [2, []], "", None, [], 0]]),
        pack([5, [int(Tag.RAISED), "E", [1], "m", [2, []], "", None, [], 0]]),
        msgspec.msgpack.encode([5, msgspec.msgpack.Ext(3, b"x")]),
    ],
)
def test_known_broken_answers_are_violations(payload: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_answer(payload, 5, lambda handle: handle)


def test_a_datetime_extension_is_not_plain_data() -> None:
    seconds = struct.pack(">I", 0)
    with pytest.raises(ProtocolViolation, match="datetime"):
        decode_answer(b"\x92\x05\xd6\xff" + seconds, 5, lambda handle: handle)


def test_data_that_contains_itself_does_not_travel() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        encode([1], loop, refuse)


def test_long_names_and_messages_are_cut() -> None:
    raised = Raised("E" * 5_000, ("E" * 5_000,) * 500, "m" * 50_000, {}, "w" * 5_000)
    got = decode_answer(encode([1], raised, refuse), 1, refuse)
    assert (len(got.class_name), len(got.mro), len(got.message), len(got.where)) == (
        200,
        64,
        4_000,
        200,
    )


def test_a_frame_carries_its_length() -> None:
    assert frame(b"abc") == b"\x03\x00\x00\x00abc"
    assert HEADER.size == 4


def test_scalars_keep_sign_and_width() -> None:
    for value in (-0.0, math.inf, 2**64, -(2**63) - 1, 2**5_000, "\ud800", True, 1):
        got = unflatten(flatten(value, refuse, careful=True), refuse)
        assert (type(got), repr(got) if value != 2**5_000 else got) == (
            type(value),
            repr(value) if value != 2**5_000 else value,
        )

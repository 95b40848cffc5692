"""Exact comparison, and what a learner is told about a difference."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.compare import CriterionFailed, expect, same, show

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(values, values)
def test_same_means_equal_and_of_equal_types(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)
    if same(one, other):
        assert one == other
        assert repr(one) == repr(other) or isinstance(one, dict | list | tuple | float)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (True, 1),
        (1, 1.0),
        ([1], (1,)),
        ([True], [1]),
        ({"a": 1}, {"a": 1.0}),
        ({1: "a"}, {True: "a"}),
        ({}, {"a": 1}),
        (b"a", "a"),
        (OrderedDict(a=1), {"a": 1}),
        (None, 0),
    ],
)
def test_equal_is_not_the_same(got: object, want: object) -> None:
    assert not same(got, want)
    with pytest.raises(CriterionFailed):
        expect(got, want)


def test_nan_is_nan_and_the_order_of_a_dict_does_not_matter() -> None:
    assert same([float("nan")], [float("nan")])
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_a_difference_names_call_values_and_place() -> None:
    with pytest.raises(CriterionFailed, match=r"f\(3\): expected 1, got True"):
        expect(True, 1, call="f(3)")
    with pytest.raises(CriterionFailed, match=r"byte 17 of 32 to be 0x00, got 0x01"):
        expect(bytes(17) + b"\1" + bytes(14), bytes(32), call="read")
    with pytest.raises(CriterionFailed) as failed:
        expect(1, 2, counterexample="[0]")
    assert failed.value.counterexample == "[0]"


def test_long_values_are_shown_short() -> None:
    assert len(show(list(range(10_000)))) == 300
    assert show(bytes(4096)).startswith("4096 bytes 0000")

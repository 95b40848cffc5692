"""Exact comparison, and what a learner is told about a difference."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.judging.compare import CriterionFailed, expect, same, show

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


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (np.zeros(3), np.zeros(3, "f4"), r"an array of float32 with shape \(3,\), got .*float64"),
        (np.zeros((2, 3)), np.zeros((3, 2)), r"shape \(3, 2\), got .*shape \(2, 3\)"),
        (np.zeros(3, "<i4"), np.zeros(3, ">i4"), "an array of >i4"),
        (np.eye(3), np.ones((3, 3)), r"\[0, 1\] to be .*1\.0.*, got .*0\.0.*\(6 of 9 differ\)"),
        (np.array(3), np.array(4), r"array\(4\), got array\(3\)"),
        ([1.0], np.ones(1), "array of float64"),
        (np.float32(1), 1.0, r"Expected 1\.0, got np\.float32"),
        (np.float64(1), 1.0, r"Expected 1\.0, got np\.float64"),
        (np.array([b"ab"], "V2"), np.array([b"ac"], "V2"), r"\[0\] to be"),
        (np.array(["NaT", 1], "M8[s]"), np.array([1, "NaT"], "M8[s]"), r"\(2 of 2 differ\)"),
        (np.array([1, 2], "M8[s]"), np.array([1, 2], "M8[ms]"), r"datetime64\[ms\]"),
    ],
)
def test_arrays_differ_in_dtype_shape_or_the_first_value(got: Any, want: Any, said: str) -> None:
    assert not same(got, want)
    with pytest.raises(CriterionFailed, match=said):
        expect(got, want)


def test_nan_stands_at_the_same_place_in_arrays_and_zero_has_no_sign() -> None:
    assert same(np.array([1, np.nan]), np.array([1, np.nan]))
    assert not same(np.array([np.nan, 1]), np.array([1, np.nan]))
    assert same(np.array([-0.0]), np.array([0.0]))
    assert same(-0.0, 0.0)
    assert same(np.array(["NaT"], "m8[D]"), np.array(["NaT"], "m8[D]"))
    assert same(np.float32("nan"), np.float32("nan"))
    assert same(np.array([1j, complex("nan")]), np.array([1j, complex("nan")]))


def test_records_are_compared_field_by_field() -> None:
    dtype = np.dtype({"names": ["t", "grid"], "formats": ["u1", ("f8", 2)], "itemsize": 40})
    want = np.zeros(3, dtype)
    want["grid"] = np.nan
    got = want.copy()
    got.view("u1")[1:7] = 9  # between the fields
    assert same(got, want)
    got["grid"][2, 1] = 4.5
    with pytest.raises(CriterionFailed, match=r"\[2\]\['grid'\] to be .*nan.*4\.5.*\(1 of 3"):
        expect(got, want, call="decode")


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(st.sampled_from(["f8", "i2", "?", "M8[ns]", "S3"]), hnp.array_shapes()), st.data()
)
def test_one_changed_value_is_found_where_it_is(array: Any, data: Any) -> None:
    index = tuple(data.draw(st.integers(0, n - 1)) for n in array.shape)
    other = array.copy()
    other.view("u1").reshape(*array.shape, -1)[(*index, 0)] ^= 1
    if same(other[index], array[index]):  # another NaN, or bytes that NumPy cuts off
        assert same(other, array)
        return
    with pytest.raises(CriterionFailed) as failed:
        expect(other, array)
    assert str(failed.value).startswith(f"Expected [{', '.join(map(str, index))}] to be ")
    assert "(1 of " in str(failed.value)


def test_sets_are_compared_with_the_types_of_their_elements() -> None:
    assert same({1, (2, "x")}, {(2, "x"), 1})
    assert same({float("nan")}, {float("nan")})
    assert not same({1}, {True})
    assert not same({(1,)}, {(True,)})
    assert not same({(1,): 0}, {(True,): 0})
    assert not same({1}, frozenset({1}))


def test_each_nan_in_a_set_or_among_keys_counts() -> None:
    one, other = float("nan"), float("nan")
    assert not same({one, other}, {one})
    assert not same({one}, {one, other})
    assert not same({one: 1, other: 2}, {one: 2})
    assert not same({one: 1, other: 2}, {one: 3, other: 2})
    assert not same({one, other, (one,)}, {one, (one,), (other,)})
    assert same({one: 1, other: 2}, {one: 2, other: 1}), "no NaN comes first"
    assert same({one, other}, {float("nan"), float("nan")})


def test_a_difference_deep_in_long_values_is_told_by_its_place() -> None:
    want = [{"page": n, "slots": [n] * 40} for n in range(50)]
    got = [dict(item) for item in want]
    got[31]["slots"] = [31] * 39 + [7]
    with pytest.raises(
        CriterionFailed, match=r"^Expected \[31\]\['slots'\]\[39\] to be 31, got 7$"
    ):
        expect(got, want)
    said = r"50 items, got 49; the first that differs is \[49\]: \{.*\}, got nothing"
    with pytest.raises(CriterionFailed, match=said):
        expect(want[:49], want)


def test_values_without_an_end_are_shown_short() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    for value in (2**100_000, [2**100_000], deep, np.zeros((500, 500)), "x" * 10**6):
        assert len(show(value)) <= 300
    assert show(2**100_000) == "an int of 100001 bits"
    assert show(np.zeros((2, 2), "i2")) == "an array of int16 with shape (2, 2): [[0, 0], [0, 0]]"

"""Arrays, sets and odd numbers: exactly the same on the other side, or refused before they cost."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.inside.protocol import (
    MAX_ITEMS,
    Handle,
    ProtocolViolation,
    Sent,
    Tag,
    decode_answer,
    encode,
)
from grader.judging.compare import CriterionFailed, expect, same, show
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]
pack = msgspec.msgpack.encode

FRAME = np.dtype(
    {
        "names": ["satellite", "sequence", "time", "flags", "grid"],
        "formats": ["<u8", ">u4", "<M8[ns]", "?", ("<f4", (2, 3))],
        "offsets": [0, 8, 16, 24, 28],
        "itemsize": 64,
    }
)
HELD = (
    "import numpy as np\n"
    "from typing import Any\n"
    "def echo(value): return value\n"
    "def told(array):\n"
    "    return type(array).__name__, str(array.dtype), array.shape, array.flags.owndata\n"
    "def transposed(array): return array.T[::-1]\n"
    "def frozen(array):\n    array.flags.writeable = False\n    return array\n"
    "def odd():\n"
    "    class Mine(np.ndarray): pass\n"
    "    return [np.zeros(2).view(Mine), np.array([object()]), np.array(['']), np.str_(''),\n"
    "            np.zeros(3, np.dtype([(('title', 'a'), 'i4')])), np.ma.array([1])]\n"
)


def refuse(value: Any) -> Any:
    raise AssertionError(f"asked for {value!r}")


def there_and_back(value: Any) -> Any:
    return decode_answer(encode([7], value, refuse), 7, refuse)


dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.byte_string_dtypes(min_len=1),
    hnp.unicode_string_dtypes(min_len=1),
)


def has_title(dtype: np.dtype[Any]) -> bool:
    """A second name for a field: the one thing of a plain dtype that does not travel."""
    fields = (dtype.fields or {}).values()
    inner = [dtype.base] if dtype.shape else [field[0] for field in fields]
    return any(len(field) == 3 for field in fields) or any(map(has_title, inner))


records = hnp.nested_dtypes(dtypes, max_leaves=5, max_itemsize=200).filter(
    lambda dtype: not has_title(dtype)
)
arrays = st.one_of(dtypes, records).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    )
)


@settings(max_examples=300, deadline=None)
@given(arrays, st.booleans(), st.booleans())
def test_arrays_arrive_as_they_left(array: Any, turned: bool, halved: bool) -> None:
    array = array.T if turned else array
    array = array[::2] if halved and array.ndim else array
    got = there_and_back(array)
    assert type(got) is np.ndarray
    assert got.flags.c_contiguous
    assert got.flags.writeable
    assert got.flags.owndata
    assert same(got, np.array(array))


@settings(max_examples=150, deadline=None)
@given(arrays, arrays)
def test_any_two_arrays_can_be_compared_and_told_apart(one: Any, other: Any) -> None:
    assert same(one, one.copy())
    assert same(one, other) == same(other, one)
    for value in (one, one[(0,) * one.ndim] if one.size else one):
        assert len(show(value)) <= 300
    if not same(one, other):
        with pytest.raises(CriterionFailed) as failed:
            expect(one, other)
        assert len(str(failed.value)) < 1_500


@settings(max_examples=200, deadline=None)
@given(dtypes.flatmap(lambda dtype: hnp.arrays(dtype, 1)))
def test_scalars_arrive_as_they_left(array: Any) -> None:
    value = array[0]
    if value.dtype.itemsize:  # NumPy shortens text scalars, down to none
        got = there_and_back(value)
        assert type(got) is type(value)
        assert got.dtype == value.dtype
        assert same(got, value)


def test_records_keep_layout_byte_order_and_alignment() -> None:
    for dtype in (FRAME, np.dtype("u1,f8", align=True), np.dtype([("a", [("b", ">i2", 3)])])):
        got = there_and_back(np.ones(3, dtype)[::2])
        assert got.dtype == dtype
        assert got.dtype.isalignedstruct == dtype.isalignedstruct
        assert (got.dtype.itemsize, got.shape) == (dtype.itemsize, (2,))
    assert type(there_and_back(np.ones(2, FRAME)[0])) is np.void


def test_arrays_go_to_the_submission_and_back(lab_of: Lab) -> None:
    lab = lab_of(HELD, libraries=True)
    record = np.zeros(4, FRAME)
    record["sequence"] = [4, 3, 2, 1]
    cube = np.arange(24.0).reshape(2, 3, 4)
    for array in (record, cube, cube.T, cube[:, ::2], np.array(7), np.zeros((0, 5), "M8[us]")):
        got = lab.echo(array)
        assert type(got) is np.ndarray
        assert same(got, array)
    assert lab.told(cube.T) == ("ndarray", "float64", (4, 3, 2), True)
    assert same(lab.transposed(cube), cube.T[::-1])
    assert lab.frozen(cube).flags.writeable
    assert same(lab.echo({"x": [np.int16(-3), np.bool_(True)]}), {"x": [np.int16(-3), np.True_]})
    assert type(lab.echo(np.float64(1.5))) is np.float64


def test_what_has_no_plain_form_stays_in_the_worker(lab_of: Lab) -> None:
    lab = lab_of(HELD, libraries=True)
    kinds = lab.odd()
    assert [type(item) for item in kinds] == [Remote, Remote, np.ndarray, Remote, Remote, Remote]
    assert [item.class_name for item in kinds if isinstance(item, Remote)] == [
        "Mine",
        "ndarray",
        "str_",
        "ndarray",
        "MaskedArray",
    ]
    with pytest.raises(TypeError, match="got ndarray"):
        lab.echo(np.array([object()]))


def test_a_worker_without_numpy_says_so(tmp_path: Any) -> None:
    """In the box of a capstone that does not allow it there is no NumPy; all else works."""
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from grader.inside.servant import Servant\n"
        "from grader.inside.protocol import Question, decode_answer\n"
        "servant = Servant(__import__, '/nowhere')\n"
        "array = [11, '<i4', [1], b'1234']\n"
        "answer = servant.handle(Question(5, [], 'convert', [array, 'str']))\n"
        "print(decode_answer(answer, 5, None).class_name)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout == "ModuleNotFoundError\n"


def test_neither_side_loads_numpy_before_an_array_comes() -> None:
    code = (
        "import sys\n"
        "from grader.inside.servant import Servant\n"
        "from grader.inside.protocol import Question, decode_answer\n"
        "from grader.judging.compare import same\n"
        "servant = Servant(__import__, '/nowhere')\n"
        "decode_answer(servant.handle(Question(5, [], 'buffer', [8])), 5, str)\n"
        "assert same({1}, {1}) and 'numpy' not in sys.modules and 'asyncio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=120, check=True)


def answer(tree: Any) -> bytes:
    return pack([5, tree])


@pytest.mark.parametrize(
    "parts",
    [
        ["<i4", [2], b"1234"],
        ["<i4", [1], "1234"],
        ["<i4", 1, b"1234"],
        ["<i4", [True], b"1234"],
        ["<i4", [-1], b""],
        ["<i4", [2**62], b""],
        ["<i4", [2**61, 8, 0], b""],
        ["<i4", [1] * 33, b"1234"],
        ["<i4", [1]],
        ["O", [1], b"12345678"],
        ["|O", [1], b"12345678"],
        ["i4", [1], b"1234"],
        ["<i3", [1], b"123"],
        ["<f999999999", [0], b""],
        ["<V0", [10**9], b""],
        ["<U0", [10**9], b""],
        ["<i4,<i4", [1], b"12345678"],
        ["<M8[parsec]", [1], b"12345678"],
        ["|b1", [1], b"\2"],
        ["<U1", [1], b"\xff\xff\xff\xff"],
        [["a"], [1], b"1234"],
        [[["a"], ["<i4"], [0], 4, False, 1], [1], b"1234"],
        [[["a", "a"], ["<i4", "<i4"], [0, 4], 8, False], [1], b"12345678"],
        [[["a"], ["<i4"], [-4], 4, False], [1], b"1234"],
        [[["a"], ["<i4"], [2], 4, False], [1], b"1234"],
        [[["a"], ["<i4"], [0], 2**70, False], [1], b"1234"],
        [[["a"], ["|O"], [0], 8, False], [1], b"12345678"],
        [[["a"], ["<i4"], [1], 5, True], [1], b"12345"],
        [[[1], ["<i4"], [0], 4, False], [1], b"1234"],
        [[[], [], [], 4, False], [1], b"1234"],
        [["<i4", [0]], [1], b""],
        [["<i4", [2**40, 2**40]], [0], b""],
        [[["a"], ["|b1"], [1], 2, False], [1], b"\0\7"],
    ],
)
def test_arrays_that_cannot_be_are_violations(parts: list[Any]) -> None:
    for tag in (Tag.ARRAY, Tag.NUMBER):
        tree = [int(tag), *parts] if tag == Tag.ARRAY else [int(tag), parts[0], parts[-1]]
        if tag == Tag.NUMBER and parts[0] in ("<i4", "<U1") and parts[-1] == b"1234":
            continue  # as a scalar that one is fine
        try:
            with pytest.raises(ProtocolViolation):
                decode_answer(pack([5, tree]), 5, refuse)
        except OverflowError:  # msgpack itself cannot say it
            pass


def test_a_deep_dtype_is_refused() -> None:
    dtype: Any = "<i4"
    for _ in range(50):
        dtype = [["a"], [dtype], [0], 4, False]
    with pytest.raises(ProtocolViolation):
        decode_answer(answer([int(Tag.ARRAY), dtype, [1], b"1234"]), 5, refuse)


def test_a_size_is_checked_before_memory_is_taken() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation, match="does not fit its bytes"):
            decode_answer(answer([int(Tag.ARRAY), "<i8", [2**33], b"x" * 64]), 5, refuse)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_sets_keep_their_type_and_elements(lab_of: Lab) -> None:
    lab = lab_of("def echo(value): return value\n")
    for value in ({1, "a", (2, 3)}, frozenset({b"x"}), set(), {frozenset({1}): {2.5}}):
        assert same(lab.echo(value), value)


@pytest.mark.parametrize(
    "tree",
    [
        [int(Tag.SET), [1, 1]],
        [int(Tag.SET), [1, True]],
        [int(Tag.SET), [[int(Tag.LIST), []]]],
        [int(Tag.FROZENSET), 3],
        [int(Tag.DICT), [1, "a", True, "b"]],
    ],
)
def test_sets_and_dicts_that_cannot_be_are_violations(tree: Any) -> None:
    with pytest.raises(ProtocolViolation):
        decode_answer(answer(tree), 5, refuse)


def test_keys_made_to_collide_are_refused_at_once() -> None:
    """All of these have the hash 0; a dict of them takes quadratic time."""
    modulus = sys.hash_info.modulus
    keys = [[int(Tag.BIG_INT), hex(modulus * n)] for n in range(10, 100_010)]
    for tree in ([int(Tag.SET), keys], [int(Tag.DICT), [x for key in keys for x in (key, 0)]]):
        with pytest.raises(ProtocolViolation, match="collide"):
            decode_answer(answer(tree), 5, refuse)
    honest = set(range(-50_000, 50_000)) | {(n, -1) for n in range(9_000)}
    assert there_and_back(honest) == honest


def test_more_values_than_the_judge_has_room_for_are_refused() -> None:
    empty = b"\x92\x05\x92\x00\xdd" + (MAX_ITEMS + 1).to_bytes(4, "big")
    tracemalloc.start()
    try:
        payload = empty + b"\x90" * (MAX_ITEMS + 1)
        with pytest.raises(ProtocolViolation, match="more than 2,000,000 values"):
            decode_answer(payload, 5, refuse)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(payload)  # of which this test itself made two


def test_large_answers_within_the_limit_arrive() -> None:
    for value in (b"x" * 2**20, "é" * 2**19, list(range(300_000)), ["ab"] * 200_000, 2**4000):
        assert there_and_back(value) == value
    assert there_and_back([-(2**63), 2.5, None, {"k": b"\0"}] * 50_000)[3] == {"k": b"\0"}


def test_what_only_the_judge_may_send_reaches_its_resolver_as_such() -> None:
    seen: list[Handle | Sent] = []
    for tag in (Tag.REFERENCE, Tag.CALLBACK, Tag.BUILTIN, Tag.ERROR):
        decode_answer(answer([int(tag), 1]), 5, seen.append)
    assert [type(item) for item in seen] == [Sent] * 4

"""XXH64 against its project's published vectors and a second implementation, kernels and twins."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.lsm import Columns, hash64, hash_columns, hash_many, norad_key, norad_keys
from meridian.database.lsm import _hash_kernels as kernels
from tests.database.lsm.twins import twins

U64 = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

# https://github.com/Cyan4973/xxHash, XSUM_XXH64_testdata: length of the test buffer, hash, seed 0.
PUBLISHED = [
    (0, 0xEF46DB3751D8E999), (1, 0xE934A84ADB052768), (2, 0x5D48CD60A77E23FF),
    (3, 0xFF7E1959CB50794A), (4, 0x9136A0DCA57457EE), (8, 0xCDBCF538E71D1348),
    (9, 0x554B1AE991EDA6B6), (14, 0x8282DCC4994E35C8), (16, 0x98C90B57FDFCB55C),
    (17, 0x0D39A2D051A30C2C), (31, 0x299B39A290E6D783), (32, 0x18B216492BB44B70),
    (33, 0x55C8DC3E578F5B59), (64, 0xEF558F8ACAC2B5CD), (128, 0x90CA021457D96DC5),
    (222, 0xB641AE8CB691C174), (256, 0x5E3F5BF94D574981), (4096, 0xAB77F4AF85F4E70B),
]  # fmt: skip


def sanity_buffer(length: int) -> bytes:
    """The bytes that the published vectors are hashes of."""
    state, out = 2654435761, bytearray()
    for _ in range(length):
        out.append(state >> 56)
        state = state * 11400714785074694797 & U64
    return bytes(out)


def model(data: bytes) -> int:
    """XXH64, seed 0, in whole numbers and slices, after the specification's text."""

    def rotl(x: int, bits: int) -> int:
        return (x << bits | x >> 64 - bits) & U64

    def lane(acc: int, word: bytes) -> int:
        return rotl((acc + int.from_bytes(word, "little") * P2) & U64, 31) * P1 & U64

    rest = data
    if len(data) >= 32:
        lanes = [(P1 + P2) & U64, P2, 0, -P1 & U64]
        while len(rest) >= 32:
            lanes = [lane(acc, rest[8 * i : 8 * i + 8]) for i, acc in enumerate(lanes)]
            rest = rest[32:]
        h = sum(rotl(acc, bits) for acc, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & U64
        for acc in lanes:
            h = ((h ^ lane(0, acc.to_bytes(8, "little"))) * P1 + P4) & U64
    else:
        h = P5
    h = (h + len(data)) & U64
    while len(rest) >= 8:
        h, rest = (rotl(h ^ lane(0, rest[:8]), 27) * P1 + P4) & U64, rest[8:]
    if len(rest) >= 4:
        word = int.from_bytes(rest[:4], "little") * P1 & U64
        h, rest = (rotl(h ^ word, 23) * P2 + P3) & U64, rest[4:]
    for byte in rest:
        h = rotl(h ^ byte * P5 & U64, 11) * P1 & U64
    h = (h ^ h >> 33) * P2 & U64
    h = (h ^ h >> 29) * P3 & U64
    return h ^ h >> 32


@pytest.mark.parametrize(("length", "expected"), PUBLISHED)
def test_published_vectors(length: int, expected: int) -> None:
    data = sanity_buffer(length)
    assert hash64(data) == expected == model(data)


def test_known_keys() -> None:
    assert hash64(b"a") == 0xD24EC4F1A98C6E5B
    assert hash64(b"abc") == 0x44BC2CF5AD770999
    assert hash64(norad_key(25544)) == 0x55F5F2D4003C6B1F
    assert hash64(bytearray(b"abc")) == hash64(memoryview(b"xabcx")[1:4]) == hash64(b"abc")


@given(st.lists(st.binary(max_size=100), max_size=20), st.integers(0, 3))
def test_every_form_gives_the_same_hash(keys: list[bytes], skipped: int) -> None:
    expected = [model(key) for key in keys]
    assert [hash64(key) for key in keys] == expected
    assert hash_many(keys).tolist() == expected
    assert hash_many([*map(bytearray, keys)]).tolist() == expected
    columns = Columns.of((key, b"") for key in keys)
    assert hash_many(columns).tolist() == hash_columns(columns).tolist() == expected
    assert hash_columns(columns[skipped:]).tolist() == expected[skipped:]


@given(st.integers(0, 70), st.integers(0, 5), st.booleans())
def test_rows(width: int, count: int, strided: bool) -> None:
    data = np.random.default_rng(width).integers(0, 256, (count, 2 * width), dtype=np.uint8)
    rows = data[:, ::2] if strided else np.ascontiguousarray(data[:, :width])
    rows.flags.writeable = not strided
    assert hash_many(rows).tolist() == [model(row.tobytes()) for row in rows]


@given(st.binary(max_size=80), st.integers(0, 9))
def test_kernels_and_their_twins(data: bytes, start: int) -> None:
    start = min(start, len(data))
    length = len(data) - start
    array = np.frombuffer(data, np.uint8)
    starts = np.array([0, start, len(data)], np.int64)
    rows = array[: len(data) // 4 * 4].reshape(-1, 4)
    for form in (kernels, twins(kernels)):
        spans, hashes = np.zeros(2, np.uint64), np.zeros(len(rows), np.uint64)
        with np.errstate(over="ignore"):  # words wrap around, as they should
            assert int(form.xxh64(array, start, length)) == model(data[start:])
            assert int(form.hash_key(data)) == model(data)
            assert form.hash_spans(array, starts, spans) == 2
            form.hash_rows(rows, hashes)
        assert spans.tolist() == [model(data[:start]), model(data[start:])]
        assert hashes.tolist() == [model(row.tobytes()) for row in rows]


@pytest.mark.parametrize("starts", [[0, 9, 8], [0, 4, 3], [-1, 4, 8], [0, 2**40, 8], [5, 9, 9]])
def test_a_key_outside_its_array_is_refused(starts: list[int]) -> None:
    keys = np.zeros(8, np.uint8)
    columns = Columns(keys, np.array(starts), keys, np.zeros(3, np.int64), np.zeros(2, np.bool_))
    with pytest.raises(ValueError, match=r"inside their array of 8 bytes, got key . from"):
        hash_columns(columns)


def test_what_is_no_key() -> None:
    for bad in ("text", None, 5, ["a"]):
        with pytest.raises(TypeError, match="a key as bytes, got"):
            hash64(bad)  # type: ignore[arg-type]
    for bad in (b"one", "text", None, {b"a": 1}, {b"a"}, iter([b"a"])):
        with pytest.raises(TypeError, match="a sequence of keys, got one"):
            hash_many(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys as bytes, got str"):
        hash_many([b"a", "b"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="rows of uint8, got int64"):
        hash_many(np.zeros((1, 4), np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 1 dimensions"):
        hash_many(np.zeros(4, np.uint8))
    assert hash_many([]).shape == hash_many(norad_keys([])).shape == (0,)


def test_another_process_with_another_salt_agrees() -> None:
    code = "from meridian.database.lsm import hash64; print(hash64(b'25544'), hash(b'25544'))"
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert said[0][0] == said[1][0] == str(hash64(b"25544"))
    assert said[0][1] != said[1][1]

"""Filters: no false negative ever, false positives as the formula says, bytes that are checked."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.lsm import BloomFilter, Columns, PrefixBloom, hash64, norad_key, norad_keys
from meridian.database.lsm import _hash_kernels as kernels
from meridian.database.lsm.hashing import hash_many
from tests.database.lsm.twins import twins

KEYS = st.lists(st.binary(max_size=40), max_size=60)


def positions(key: bytes, num_bits: int, num_hashes: int) -> set[int]:
    """The bits of a key, in whole numbers."""
    x = hash64(key)
    step = (x >> 17 | x << 47) % 2**64 | 1
    return {(x + i * step) % 2**64 % num_bits for i in range(num_hashes)}


def set_bits(bloom: BloomFilter) -> set[int]:
    return {*np.flatnonzero(np.unpackbits(bloom.bits, bitorder="little")).tolist()}


@pytest.mark.parametrize(
    ("bits_per_key", "num_hashes"),
    [(1, 1), (5, 4), (10, 7), (14, 10), (20, 14), (43, 30), (99, 30)],
)
def test_sizes(bits_per_key: int, num_hashes: int) -> None:
    bloom = BloomFilter(1000, bits_per_key)
    assert (bloom.num_bits, bloom.num_hashes) == (1000 * bits_per_key, num_hashes)
    assert len(bloom.bits) == math.ceil(bloom.num_bits / 8)
    assert bloom.nbytes == len(bloom.to_bytes())
    assert BloomFilter(1, bits_per_key).num_bits == max(64, bits_per_key)


@given(KEYS, st.integers(0, 60), st.integers(1, 20))
def test_the_bits_are_those_of_the_formula(
    keys: list[bytes], num_keys: int, bits_per_key: int
) -> None:
    one, many, twin = (BloomFilter(num_keys, bits_per_key) for _ in range(3))
    shape = one.num_bits, one.num_hashes
    for key in keys:
        one.insert(key)
    many.insert_many(keys)
    with np.errstate(over="ignore"):
        twins(kernels).insert(hash_many(keys), twin.bits, *shape)
    expected = set().union(*(positions(key, *shape) for key in keys))
    assert set_bits(one) == set_bits(many) == set_bits(twin) == expected
    assert one.to_bytes() == many.to_bytes()


@given(KEYS, KEYS, st.integers(1, 20))
def test_membership_is_that_of_the_bits(
    keys: list[bytes], others: list[bytes], bits_per_key: int
) -> None:
    bloom = BloomFilter(len(keys), bits_per_key)
    bloom.insert_many(keys)
    bits, asked = set_bits(bloom), keys + others
    expected = [positions(key, bloom.num_bits, bloom.num_hashes) <= bits for key in asked]
    assert all(expected[: len(keys)])
    loaded = BloomFilter.from_bytes(bloom.to_bytes())
    for one in (bloom, loaded):
        assert [one.may_contain(key) for key in asked] == expected
        assert one.may_contain_many(asked).tolist() == expected
        assert one.may_contain_many(Columns.of((key, b"") for key in asked)).tolist() == expected
    twin, plain = np.zeros(len(asked), np.bool_), twins(kernels)
    args = bloom.bits, bloom.num_bits, bloom.num_hashes
    with np.errstate(over="ignore"):
        plain.contains(hash_many(asked), *args, twin)
        assert [plain.contains_key(key, *args) for key in asked] == expected
    assert twin.tolist() == expected


def test_a_filter_probed_in_the_middle_of_an_array() -> None:
    bloom = BloomFilter(10)
    bloom.insert(b"here")
    bits = np.concatenate([np.full(5, 255, np.uint8), bloom.bits, np.zeros(5, np.uint8)])
    for key, expected in ((b"here", True), (b"there", False)):
        x = np.uint64(hash64(key))
        assert bool(kernels.probe(bits, 5, bloom.num_bits, bloom.num_hashes, x)) is expected
        assert kernels.probe(bits, 0, 40, 5, x)  # five bytes of ones admit everything


@pytest.mark.parametrize(
    ("bits_per_key", "low", "high"),
    [(5, 0.090, 0.096), (10, 0.0078, 0.0085), (14, 0.00115, 0.00133), (20, 5.7e-5, 8.0e-5)],
)
def test_false_positives_are_as_many_as_the_formula_says(
    bits_per_key: int, low: float, high: float
) -> None:
    bloom = BloomFilter(100_000, bits_per_key)
    bloom.insert_many(norad_keys(np.arange(100_000)))
    assert bloom.may_contain_many(norad_keys(np.arange(100_000))).all()
    rate = bloom.may_contain_many(norad_keys(np.arange(100_000, 3_100_000))).mean()
    assert low < rate < high
    k, m = bloom.num_hashes, bloom.num_bits
    formula = (1 - math.exp(-k * 100_000 / m)) ** k
    assert bloom.theoretical_fpr() == pytest.approx(formula) == bloom.theoretical_fpr(100_000)
    assert low < formula < high
    assert BloomFilter.from_bytes(bloom.to_bytes()).theoretical_fpr() == pytest.approx(
        formula, rel=0.03
    )


def test_theory_at_its_ends() -> None:
    bloom = BloomFilter(0)
    assert bloom.theoretical_fpr() == bloom.theoretical_fpr(0) == 0
    assert bloom.theoretical_fpr(10**9) == pytest.approx(1)
    assert BloomFilter.from_bytes(bloom.to_bytes()).theoretical_fpr() == 0
    with pytest.raises(ValueError, match="n >= 0, got -1"):
        bloom.theoretical_fpr(-1)


def test_no_keys_no_answer_but_no() -> None:
    bloom = BloomFilter(0)
    assert bloom.num_bits == 64
    assert not bloom.may_contain_many(norad_keys(np.arange(10_000))).any()
    assert not bloom.may_contain(b"")
    assert bloom.may_contain_many([]).shape == (0,)


def test_a_filter_of_too_many_keys_still_loses_none() -> None:
    bloom = BloomFilter(10)
    bloom.insert_many(norad_keys(np.arange(10_000)))
    assert bloom.may_contain_many(norad_keys(np.arange(10_000))).all()


@pytest.mark.parametrize("bad", [True, 1.5, "10", None])
def test_what_is_no_number(bad: object) -> None:
    for make in (BloomFilter, lambda n: BloomFilter(10, n), PrefixBloom):
        with pytest.raises(TypeError, match="as an int, got"):
            make(bad)  # type: ignore[arg-type]


def test_sizes_out_of_range() -> None:
    with pytest.raises(ValueError, match="num_keys >= 0, got -1"):
        BloomFilter(-1)
    with pytest.raises(ValueError, match="bits_per_key >= 1, got 0"):
        BloomFilter(10, 0)
    with pytest.raises(ValueError, match="at most 4,294,967,295 bits, got 10,000,000,000"):
        BloomFilter(1_000_000_000)


def test_what_is_no_key() -> None:
    bloom = BloomFilter(10)
    for call in (
        bloom.insert,
        bloom.may_contain,
        PrefixBloom(2).insert,
        PrefixBloom(2).may_contain,
    ):
        with pytest.raises(TypeError, match="a key as bytes, got str"):
            call("25544")  # type: ignore[arg-type]
    for call in (bloom.insert_hashes, bloom.may_contain_hashes):
        with pytest.raises(TypeError, match="array of uint64, got int64"):
            call(np.zeros(1, np.int64))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="array of uint64, got list"):
            call([1])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="one dimension, got 2"):
            call(np.zeros((1, 1), np.uint64))
    assert not bloom.bits.any()


def test_hashes_may_come_read_only_or_with_gaps() -> None:
    bloom, hashes = BloomFilter(10), hash_many([b"a", b"b", b"c", b"d"])
    hashes.flags.writeable = False
    bloom.insert_hashes(hashes[::2])
    assert bloom.may_contain_hashes(hashes[::2]).all()
    assert bloom.may_contain(bytearray(b"a"))
    assert bloom.may_contain(memoryview(b"c"))


def test_bytes_are_as_the_file_says() -> None:
    bloom = BloomFilter(7)
    bloom.insert(b"a")
    data = bloom.to_bytes()
    assert data[:8] == (70).to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert len(data) == 8 + 9
    assert {i for i in range(70) if data[8 + i // 8] >> i % 8 & 1} == positions(b"a", 70, 7)


def test_damaged_bytes_are_refused() -> None:
    bloom = BloomFilter(7)
    bloom.insert(b"a")
    data = bloom.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(ValueError, match="Expected"):
            BloomFilter.from_bytes(data[:cut])
    bad = {
        "got 18": data + b"\0",
        "got 63 and 7": (63).to_bytes(4, "little") + data[4:],
        "got 70 and 0": data[:4] + bytes(4) + data[8:],
        "got 70 and 31": data[:4] + (31).to_bytes(4, "little") + data[8:],
        "beyond 70": data[:-1] + b"\x40",
        "536,870,920 bytes": b"\xff" * 4 + data[4:],
    }
    for message, changed in bad.items():
        with pytest.raises(ValueError, match=message):
            BloomFilter.from_bytes(changed)
    with pytest.raises(TypeError):
        BloomFilter.from_bytes("text")  # type: ignore[arg-type]


def test_loaded_from_a_buffer_it_owns_its_bits() -> None:
    data = bytearray(BloomFilter(7).to_bytes())
    loaded = BloomFilter.from_bytes(memoryview(data))
    data[8:] = b"\xff" * 9
    assert not loaded.bits.any()
    loaded.insert(b"more")
    assert loaded.may_contain(b"more")


def test_bytes_are_the_same_under_another_salt_and_admit_every_key() -> None:
    code = """
import sys, numpy as np
from meridian.database.lsm import BloomFilter, norad_keys
keys = norad_keys(np.arange(2000))
bloom = BloomFilter(2000)
bloom.insert_many(keys)
given = bytes.fromhex(sys.stdin.read())
assert bloom.to_bytes() == given
assert BloomFilter.from_bytes(given).may_contain_many(keys).all()
"""
    bloom = BloomFilter(2000)
    for i in range(2000):
        bloom.insert(norad_key(i))
    env = {**os.environ, "PYTHONHASHSEED": "12345"}
    run = subprocess.run(
        [sys.executable, "-c", code], input=bloom.to_bytes().hex(), env=env, text=True, check=False
    )
    assert run.returncode == 0


def test_a_range_of_ids_is_three_probes() -> None:
    prefixes = PrefixBloom(3)
    low, high = norad_key(40_000), norad_key(40_500)
    assert prefixes.probes(low, high) == 3
    assert not prefixes.may_contain_range(low, high)
    prefixes.insert(norad_key(40_500))
    assert prefixes.may_contain_range(low, high)
    assert prefixes.may_contain(norad_key(40_500)[:3])
    assert not prefixes.may_contain_range(norad_key(39_000), norad_key(39_935))
    assert not prefixes.may_contain(norad_key(40_000)[:3])


@given(
    st.lists(st.binary(min_size=1, max_size=6), max_size=8),
    st.binary(max_size=6),
    st.binary(max_size=6),
    st.integers(1, 5),
)
def test_no_range_or_prefix_is_denied_wrongly(
    keys: list[bytes], low: bytes, high: bytes, prefix_len: int
) -> None:
    one, many = PrefixBloom(prefix_len, 100), PrefixBloom(prefix_len, 100)
    for key in keys:
        one.insert(key)
    many.insert_many(Columns.of((key, b"") for key in keys))
    assert one.to_bytes() == many.to_bytes()
    loaded = PrefixBloom.from_bytes(one.to_bytes())
    assert loaded.prefix_len == prefix_len
    for prefixes in (one, loaded):
        if any(low <= key <= high for key in keys):
            assert prefixes.may_contain_range(low, high)
        for key in keys:
            assert all(prefixes.may_contain(key[:n]) for n in range(len(key) + 1))
    if prefixes.probes(low, high) == 0:
        assert not prefixes.may_contain_range(low, high)


@pytest.mark.parametrize("width", [1, 3, 4, 6])
def test_prefixes_of_rows(width: int) -> None:
    rows = np.random.default_rng(width).integers(0, 256, (50, width), dtype=np.uint8)
    keys = [row.tobytes() for row in rows]
    forms = [rows, keys, Columns.fixed(rows, rows), [*map(bytearray, keys)]]
    made = []
    for form in forms:
        prefixes = PrefixBloom(4, 50)
        prefixes.insert_many(form)
        made.append(prefixes.to_bytes())
    assert len({*made}) == 1
    assert all(PrefixBloom.from_bytes(made[0]).may_contain(key) for key in keys)


def test_prefix_filters_say_no_to_nonsense() -> None:
    with pytest.raises(ValueError, match="prefix_len >= 1, got 0"):
        PrefixBloom(0)
    data = PrefixBloom(3, 10).to_bytes()
    for bad in (b"", data[:3], data[:11], data[:-1], bytes(4) + data[4:], b"\xff" * 4 + data[4:]):
        with pytest.raises(ValueError, match="Expected"):
            PrefixBloom.from_bytes(bad)
    assert PrefixBloom(1, 10).may_contain(b"")  # 256 prefixes: not asked about
    assert "prefix_len=3" in repr(PrefixBloom(3))

"""Blocks: the kernels against a plain reading of the format, and damage of every kind."""

from __future__ import annotations

import random
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import MISSING, TOMBSTONE, Block, Columns, OutOfOrder, encode_block
from meridian.database.lsm import _batch_kernels as batch
from meridian.database.lsm import _block_kernels as writing
from meridian.database.lsm import _read_kernels as reading
from meridian.database.lsm._crc_kernels import crc32, crc_tables
from meridian.database.lsm.types import Value

Entries = list[tuple[bytes, Value]]

KEYS = st.binary(min_size=1, max_size=6) | st.binary(min_size=1, max_size=3).map(
    lambda k: b"\0" + k
)
ENTRIES = st.dictionaries(
    KEYS, st.binary(max_size=40) | st.just(TOMBSTONE), min_size=1, max_size=40
).map(lambda found: sorted(found.items()))


def u8(data: bytes) -> np.ndarray:
    return np.frombuffer(bytearray(data), np.uint8)


def arrays(columns: Columns) -> tuple[np.ndarray, ...]:
    return (
        columns.keys,
        columns.key_starts,
        columns.values,
        columns.value_starts,
        columns.tombstones,
    )


def blocks_of(entries: Entries, block_size: int) -> list[Entries]:
    """How entries are cut into blocks: as many as fit, by the sizes that the format names."""
    cut: list[Entries] = [[]]
    size = 6
    for key, value in entries:
        need = 7 + len(key) + (0 if value is TOMBSTONE else len(value))
        if cut[-1] and size + need > block_size:
            cut.append([])
            size = 6
        cut[-1].append((key, value))
        size += need
    return cut


def encoded(entries: Entries, block_size: int, *, twin: bool = False, room: int = 1 << 16) -> bytes:
    """What the encoder makes of entries, finished blocks taken away as the builder does."""
    encode = writing.encode_entries.py_func if twin else writing.encode_entries
    end = writing.end_block.py_func if twin else writing.end_block
    out, offsets = np.zeros(room, np.uint8), np.zeros(8193, np.uint16)
    state, blocks = np.zeros(4, np.int64), np.zeros((5, 3), np.int64)
    columns, row, written = Columns.of(entries), 0, b""
    while row < len(entries):
        row = int(
            encode(*arrays(columns), row, block_size, out, offsets, state, blocks, crc_tables())
        )
        start, stop = int(state[0]), int(state[1])
        written += out[:start].tobytes()
        out[: stop - start] = out[start:stop].copy()
        state[:] = [0, stop - start, state[2], 0]
    end(out, offsets, state, blocks, crc_tables())
    return written + out[: state[0]].tobytes()


def bounds(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The keys that an index would have of one block."""
    entries = Block.decode(data).entries
    keys = (entries[0][0], entries[-1][0])
    return u8(b"".join(keys)), np.array([0, len(keys[0]), len(keys[0]) + len(keys[1])])


def check(data: bytes, ends: tuple[np.ndarray, np.ndarray], *, twin: bool = False) -> int:
    run = reading.check_blocks.py_func if twin else reading.check_blocks
    lengths = np.array([len(data)])
    bad, reason = run(u8(data), np.array([-1]), np.array([0]), lengths, *ends, crc_tables())
    assert (bad == -1) == (reason == 0)
    return int(reason)


@given(st.binary(max_size=300), st.integers(0, 20), st.integers(0, 20))
def test_the_checksum_is_that_of_zlib(data: bytes, start: int, cut: int) -> None:
    start = min(start, len(data))
    stop = max(start, len(data) - cut)
    want = zlib.crc32(data[start:stop])
    assert crc32(u8(data), start, stop, crc_tables()) == want
    assert crc32.py_func(u8(data), start, stop, crc_tables()) == want


def test_the_checksum_of_the_check_vector() -> None:
    """CRC-32/ISO-HDLC's, from the catalogue of Greg Cook."""
    assert crc32(u8(b"123456789"), 0, 9, crc_tables()) == 0xCBF43926


def test_a_block_by_hand() -> None:
    data = encode_block([(b"a", b"xy"), (b"bc", TOMBSTONE), (b"c", b"")])
    body = b"\1\0a\0\2\0xy" + b"\2\0bc\1\0\0" + b"\1\0c\0\0\0"
    body += struct.pack("<4H", 0, 8, 15, 3)
    assert data == body + struct.pack("<I", zlib.crc32(body))
    block = Block.decode(data)
    assert block.entries == [(b"a", b"xy"), (b"bc", TOMBSTONE), (b"c", b"")]
    assert (block.offsets, block.size, block.crc) == ([0, 8, 15], len(data), zlib.crc32(body))
    assert [block.get(key) for key in (b"a", b"bc", b"c")] == [b"xy", TOMBSTONE, b""]
    assert [block.get(key) for key in (b"0", b"b", b"d")] == [MISSING] * 3


def test_forty_three_element_sets_fill_a_block() -> None:
    entries: Entries = [(i.to_bytes(4, "big"), bytes(82)) for i in range(44)]
    assert len(encode_block(entries[:43])) <= 4096 < len(encode_block(entries))
    assert [len(part) for part in blocks_of(entries, 4096)] == [43, 1]


@settings(max_examples=60)
@given(ENTRIES, st.sampled_from([64, 100, 500, 4096]))
def test_the_encoder_writes_what_the_format_says(entries: Entries, block_size: int) -> None:
    parts = blocks_of(entries, block_size)
    assert all(len(encode_block(part)) <= block_size or len(part) == 1 for part in parts)
    want = b"".join(map(encode_block, parts))
    assert encoded(entries, block_size) == want
    assert encoded(entries, block_size, room=700) == want
    assert encoded(entries, block_size, twin=True) == want


@pytest.mark.parametrize("length", [1, 4083, 4084, 65535])
def test_oversized_entries_have_blocks_of_their_own(length: int) -> None:
    entries: Entries = [(b"a", b"1"), (b"b", bytes(length)), (b"c" * length, b""), (b"d", b"4")]
    data = encoded(entries, 4096, room=1 << 18)
    assert data == b"".join(map(encode_block, blocks_of(entries, 4096)))


@settings(max_examples=60)
@given(ENTRIES)
def test_check_search_and_decode(entries: Entries) -> None:
    data = encode_block(entries)
    ends = bounds(data)
    assert check(data, ends) == check(data, ends, twin=True) == 0
    held = dict(entries)
    keys = sorted({*held, *(key + b"\0" for key in held), *(key[:-1] or b"!" for key in held)})
    block = Block.decode(data)
    padded = u8(b"pad" + data)
    for key in keys:
        place = int(reading.find_key(padded, 3, len(data), key))
        assert place == reading.find_key.py_func(padded, 3, len(data), key)
        if place < 0:
            assert block.get(key) is MISSING
            after = sum(held < key for held in keys_of(entries))
            want = 3 + block.offsets[after] if after < len(entries) else -1
            assert reading.lower_bound(padded, 3, len(data), key, 0, len(key)) == (want, False)
            continue
        begin, length = place >> 17, place >> 1 & 0xFFFF
        value = TOMBSTONE if place & 1 else padded[begin : begin + length].tobytes()
        assert value == block.get(key) == held[key]
        args = (padded, 3, len(data), b"?" + key, 1, 1 + len(key))
        at, same = reading.lower_bound(*args)
        assert (at, same) == reading.lower_bound.py_func(*args)
        assert same
        assert at == 3 + block.offsets[keys_of(entries).index(key)]
    for run in (reading.decode_blocks, reading.decode_blocks.py_func):
        assert decoded(run, data) == entries


def keys_of(entries: Entries) -> list[bytes]:
    return [key for key, _ in entries]


def decoded(run, data: bytes) -> Entries:  # type: ignore[no-untyped-def]
    size, arena = len(data), np.zeros(1, np.uint8)
    columns = (np.zeros(size, np.uint8), np.zeros(size, np.int64)) * 2
    columns = tuple(part.copy() for part in columns)
    dead = np.zeros(size, np.bool_)
    row = run(
        arena, u8(b"pad" + data), np.array([~3]), np.array([size]), np.array([0]),
        *columns, dead, 0,
    )  # fmt: skip
    keys, key_starts, values, value_starts = columns
    found = Columns(keys, key_starts[: row + 1], values, value_starts[: row + 1], dead[:row])
    return list(found.items())


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    data = encode_block([(b"ab", b"value"), (b"b", TOMBSTONE), (b"bb", b""), (b"c", b"last")])
    ends = bounds(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert check(bytes(flipped), ends) != 0
        with pytest.raises(ValueError, match="Expected"):
            Block.decode(flipped)
    for size in range(len(data)):
        assert check(data[:size], ends) != 0
        with pytest.raises(ValueError, match="Expected"):
            Block.decode(data[:size])


def resealed(data: bytes) -> bytes:
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


@settings(max_examples=300)
@given(
    ENTRIES,
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_what_is_checked_can_be_read_whatever_it_is(
    entries: Entries, pokes: list[tuple[int, int]], tail: bool
) -> None:
    """Damage under a checksum that fits: the check lets pass only what reads as a block."""
    data = bytearray(encode_block(entries))
    ends = bounds(bytes(data))
    for at, byte in pokes:
        place = len(data) - 5 - at % min(40, len(data) - 4) if tail else at % (len(data) - 4)
        data[place] = byte
    forged = resealed(bytes(data))
    reason = check(forged, ends)
    assert reason == check(forged, ends, twin=True)
    try:
        block = Block.decode(forged)
    except ValueError:
        assert reason != 0
        return
    same = (block.entries[0][0], block.entries[-1][0]) == (entries[0][0], entries[-1][0])
    assert (reason == 0) == same
    if same:
        assert decoded(reading.decode_blocks, forged) == block.entries


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", reading.BAD_LENGTH),
        (resealed(bytes(14)), reading.BAD_OFFSETS),
        (resealed(b"\1\0a\0\0\0" + struct.pack("<HHI", 0, 9, 0)), reading.BAD_OFFSETS),
        (resealed(b"\1\0a\0\0\0" + struct.pack("<HHI", 1, 1, 0)), reading.BAD_OFFSETS),
        (resealed(b"\0\0a\0\0\0" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\xff\xffa\0\0\0" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\1\0a\2\0\0" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\1\0a\0\1\0" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\1\0a\0\0\0?" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\1\0a\1\1\0v" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_ENTRY),
        (resealed(b"\1\0b\0\0\0" + struct.pack("<HHI", 0, 1, 0)), reading.BAD_BOUNDS),
        (resealed(b"\1\0a\0\0\0" * 2 + struct.pack("<3HI", 0, 6, 2, 0)), reading.BAD_ORDER),
        (b"\1\0a\0\0\0" + struct.pack("<HHI", 0, 1, 7), reading.BAD_CHECKSUM),
        (resealed(b"\1\0a\0\0\0" + struct.pack("<HHI", 0, 1, 0)), 0),
    ],
)
def test_what_is_wrong_is_named(data: bytes, reason: int) -> None:
    ends = (u8(b"aa"), np.array([0, 1, 2]))
    assert check(data, ends) == check(data, ends, twin=True) == reason


def test_a_block_outside_its_buffer() -> None:
    args = (np.array([0]), np.array([50]), u8(b"aa"), np.array([0, 1, 2]), crc_tables())
    for at in (-1, ~20, 3):
        assert reading.check_blocks(u8(bytes(30)), np.array([at]), *args) == (0, reading.BAD_LENGTH)


@settings(max_examples=60)
@given(ENTRIES, st.sampled_from([64, 120]), KEYS)
def test_the_index_leads_to_the_block(entries: Entries, block_size: int, other: bytes) -> None:
    parts = blocks_of(entries, block_size)
    data = b"".join(map(encode_block, parts))
    blocks, at = [], 0
    for part in parts:
        size = len(encode_block(part))
        last = Block.decode(encode_block(part)).offsets[-1]
        blocks.append((at, size, last))
        at += size
    want, offset = b"", 0
    for part, (_, size, _) in zip(parts, blocks, strict=True):
        for key in (part[0][0], part[-1][0]):
            want += struct.pack("<H", len(key)) + key
        want += struct.pack("<QI", offset, size)
        offset += size
    for run in (writing.index_entries, writing.index_entries.py_func):
        assert run(u8(data), np.array(blocks), 0).tobytes() == want
    count, offsets, lengths, keys, starts = parsed(want)
    assert count == len(parts)
    assert offsets.tolist() == [block[0] for block in blocks]
    assert lengths.tolist() == [block[1] for block in blocks]

    asked = [*keys_of(entries), other]
    probe = Columns.of((key, b"") for key in asked)
    answers = [
        next((b for b, p in enumerate(parts) if p[0][0] <= key <= p[-1][0]), -1) for key in asked
    ]
    for run in (batch.route_keys, batch.route_keys.py_func):
        block_of, wanted = np.zeros(len(asked), np.int64), np.zeros(count, np.uint8)
        todo = np.arange(len(asked))
        routed = run(probe.keys, probe.key_starts, todo, keys, starts, block_of, wanted)
        assert block_of.tolist() == answers
        assert routed == sum(b >= 0 for b in answers)
        assert np.flatnonzero(wanted).tolist() == sorted({*answers} - {-1})


def parsed(index: bytes, *, twin: bool = False):  # type: ignore[no-untyped-def]
    most = len(index) // 18 + 1
    offsets, lengths = np.zeros(most, np.int64), np.zeros(most, np.int64)
    keys, starts = np.zeros(len(index), np.uint8), np.zeros(2 * most + 1, np.int64)
    run = reading.parse_index.py_func if twin else reading.parse_index
    count = int(run(u8(index), offsets, lengths, keys, starts))
    return count, offsets[:count], lengths[:count], keys, starts[: 2 * count + 1]


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.tuples(st.integers(0, 60), st.integers(0, 255)))
def test_an_index_of_anything_is_read_or_refused(damage: bytes | tuple[int, int]) -> None:
    index = bytearray()
    for i, (first, last) in enumerate(((b"a", b"b"), (b"c", b"c"), (b"cc", b"d"))):
        index += struct.pack("<H", len(first)) + first + struct.pack("<H", len(last)) + last
        index += struct.pack("<QI", 50 * i, 50)
    if isinstance(damage, tuple):
        index[damage[0] % len(index)] = damage[1]
    else:
        index = bytearray(damage)
    count, _, _, keys, starts = parsed(bytes(index))
    assert count == parsed(bytes(index), twin=True)[0]
    if count > 0:
        cut = [keys[a:b].tobytes() for a, b in pairwise(starts.tolist())]
        assert cut == sorted(cut)
        assert all(cut)


@pytest.mark.parametrize("cut", range(1, 19))
def test_an_index_that_ends_early(cut: int) -> None:
    entry = struct.pack("<H1sH1sQI", 1, b"a", 1, b"b", 0, 50)
    assert parsed(entry)[0] == 1
    assert parsed(entry[:-cut])[0] == (-1 if cut < 18 else 0)


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"key_starts": [0, 1]}, (writing.BAD_COLUMNS, 0)),
        ({"key_starts": [0, 2, 1]}, (writing.BAD_COLUMNS, 1)),
        ({"key_starts": [0, 3, 4]}, (writing.BAD_COLUMNS, 0)),
        ({"key_starts": [-1, 1, 2]}, (writing.BAD_COLUMNS, 0)),
        ({"key_starts": [0, 1, 3]}, (writing.BAD_COLUMNS, 1)),
        ({"value_starts": [0, 1, 99]}, (writing.BAD_COLUMNS, 1)),
        ({"key_starts": [0, 1, 1]}, (writing.BAD_KEY, 1)),
        ({"tombstones": [True, False]}, (writing.BAD_TOMBSTONE, 0)),
        ({"keys": b"ba"}, (writing.NOT_ASCENDING, 1)),
        ({"keys": b"aa"}, (writing.NOT_ASCENDING, 1)),
        ({"keys": b"\0b"}, (writing.NOT_ASCENDING, 0)),
        ({}, (writing.OK, -1)),
    ],
)
def test_columns_are_checked_before_they_are_written(
    change: dict[str, object], want: tuple[int, int]
) -> None:
    parts: dict[str, object] = {
        "keys": b"ab", "key_starts": [0, 1, 2], "values": b"xy",
        "value_starts": [0, 1, 2], "tombstones": [False, False],
    } | change  # fmt: skip
    kinds = {"key_starts": np.int64, "value_starts": np.int64, "tombstones": np.bool_}
    given = [
        u8(part) if isinstance(part, bytes) else np.array(part, kinds[name])
        for name, part in parts.items()
    ]
    for run in (writing.check_entries, writing.check_entries.py_func):
        assert run(*given, u8(b"\0b")) == want


def test_lengths_beyond_sixteen_bits() -> None:
    for key, value, want in (
        (b"k" * 65535, b"v" * 65535, writing.OK),
        (b"k" * 65536, b"", writing.BAD_KEY),
        (b"k", b"v" * 65536, writing.BAD_VALUE),
    ):
        columns = Columns.of([(key, value)])
        assert writing.check_entries(*arrays(columns), u8(b""))[0] == want


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_bytes_compare_as_bytes(a: bytes, b: bytes) -> None:
    want = (a > b) - (a < b)
    assert writing.compare(u8(b"x" + a), 1, 1 + len(a), u8(b), 0, len(b)) == want
    assert writing.compare.py_func(u8(b"x" + a), 1, 1 + len(a), u8(b), 0, len(b)) == want


def test_what_makes_no_block() -> None:
    with pytest.raises(ValueError, match="Expected 1 to"):
        encode_block([])
    with pytest.raises(OutOfOrder):
        encode_block([(b"a", b""), (b"a", b"")])
    with pytest.raises(ValueError, match="65,535 bytes before the last entry"):
        encode_block([(b"a", bytes(65535)), (b"b", b""), (b"c", b"")])
    with pytest.raises(TypeError, match="a key as bytes, got str: encode"):
        encode_block([("a", b"")])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a value as bytes, got NoneType"):
        encode_block([(b"a", None)])  # type: ignore[list-item]


@settings(max_examples=40)
@given(ENTRIES, st.lists(KEYS, max_size=8), st.randoms(use_true_random=False))
def test_batches_and_their_twins(entries: Entries, others: list[bytes], rng: random.Random) -> None:
    """Blocks in the arena and in a buffer, keys in any order: what a dict says."""
    parts = blocks_of(entries, 80)
    arena, buffer, at = b"-", b"--", []
    for part in parts:
        data = encode_block(part)
        if rng.random() < 0.5:
            at.append(len(arena))
            arena += data
        else:
            at.append(~len(buffer))
            buffer += data
    lengths = [len(encode_block(part)) for part in parts]
    asked = [*keys_of(entries), *others]
    rng.shuffle(asked)
    probe = Columns.of((key, b"") for key in asked)
    block_of = np.array(
        [next((b for b, p in enumerate(parts) if p[0][0] <= k <= p[-1][0]), -1) for k in asked]
    )
    todo = np.array(sorted(rng.sample(range(len(asked)), rng.randint(0, len(asked)))), np.int64)
    held, width = dict(entries), rng.choice([0, 5])
    common = (
        u8(arena), u8(buffer), np.array(at), np.array(lengths),
        probe.keys, probe.key_starts, todo, block_of[todo],
    )  # fmt: skip
    for twin in (False, True):
        rows = batch.get_rows.py_func if twin else batch.get_rows
        spans_of = batch.get_spans.py_func if twin else batch.get_spans
        gather = batch.gather.py_func if twin else batch.gather
        out, status = np.zeros((len(asked), width), np.uint8), np.zeros(len(asked), np.uint8)
        rows(*common, out, status)
        spans, found = np.zeros((len(todo), 2), np.int64), np.zeros(len(asked), np.uint8)
        spans_of(*common, found, spans)
        values, starts = np.zeros(int(spans[:, 1].sum()), np.uint8), np.zeros(len(todo) + 1, int)
        gather(u8(arena), u8(buffer), spans, values, starts)
        chosen = {*todo.tolist()}
        for i, key in enumerate(asked):
            value = held.get(key, MISSING) if i in chosen else MISSING
            if value is MISSING or value is TOMBSTONE:
                want = batch.PENDING if value is MISSING else batch.DELETED
                assert status[i] == found[i] == want
                continue
            assert isinstance(value, bytes)
            assert found[i] == batch.FOUND
            assert status[i] == (batch.FOUND if len(value) == width else batch.OTHER)
            if status[i] == batch.FOUND:
                assert out[i].tobytes() == value
        for j, i in enumerate(todo.tolist()):
            value = held.get(asked[i], b"")
            assert values[starts[j] : starts[j + 1]].tobytes() == (
                b"" if value is TOMBSTONE else value
            )


@settings(max_examples=40)
@given(ENTRIES, st.lists(KEYS, max_size=8), st.randoms(use_true_random=False))
def test_one_key_of_a_cached_table(
    entries: Entries, others: list[bytes], rng: random.Random
) -> None:
    parts = [part for part in blocks_of(entries, 100) if len(encode_block(part)) <= 128]
    if not parts:
        return
    held = dict(entry for part in parts for entry in part)
    frames = [block if rng.random() < 0.7 else -1 for block in range(len(parts))]
    frame_of = np.array(frames, np.int32)
    arena = b"".join(encode_block(part).ljust(128, b"?") for part in parts)
    ends = [key for part in parts for key in (part[0][0], part[-1][0])]
    bounds_of = Columns.of((key, b"") for key in ends)
    lengths = [len(encode_block(part)) for part in parts]
    head = [128, len(arena), 0]
    for key in [*held, *others]:
        block = next((b for b, p in enumerate(parts) if p[0][0] <= key <= p[-1][0]), -1)
        for run in (
            reading.find_cached, reading.find_cached.py_func, reading.find_cached_directly()
        ):  # fmt: skip
            memory = u8(arena + bytes(len(parts)))
            places = np.concatenate([head, lengths, bounds_of.key_starts]).astype(np.int64)
            place = int(run(memory, frame_of, places, bounds_of.keys.copy(), key))
            searched = block >= 0 and frames[block] >= 0
            assert places[2] == searched
            assert np.flatnonzero(memory[len(arena) :]).tolist() == [block] * searched
            if block < 0:
                assert place == -1
            elif not searched:
                assert divmod(-2 - place, 4) == (block, reading.IN_FILE)
            elif key not in held:
                assert divmod(-2 - place, 4) == (block, reading.ABSENT)
            elif held[key] is TOMBSTONE:
                assert divmod(-2 - place, 4) == (block, reading.DEAD)
            else:
                begin = place >> 16
                assert arena[begin : begin + (place & 0xFFFF)] == held[key]

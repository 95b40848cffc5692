"""Frames survive any split of the stream, and nothing is taken that is not theirs."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc

import pytest
from anyio import EndOfStream
from hypothesis import given
from hypothesis import strategies as st

from meridian.orbital.framing import (
    MAX_PAYLOAD,
    ByteOrder,
    FrameDecoder,
    FrameTooLarge,
    TruncatedFrame,
    encode_frame,
    encode_frames,
    read_frame,
)

LIMIT = 300
payload_lists = st.lists(st.binary(max_size=LIMIT), max_size=20)
byte_orders = st.sampled_from(["big", "little"])


def slow_decode(wire: bytes, limit: int, byteorder: ByteOrder) -> tuple[list[bytes], str, int]:
    """The format read off its description: payloads, how it ended, and the bytes left over."""
    payloads: list[bytes] = []
    while wire:
        if len(wire) < 4:
            return payloads, "header", len(wire)
        length = int.from_bytes(wire[:4], byteorder)
        if length > limit:
            return payloads, "fault", 4
        if len(wire) - 4 < length:
            return payloads, "payload", len(wire)
        payloads.append(wire[4 : 4 + length])
        wire = wire[4 + length :]
    return payloads, "boundary", 0


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in itertools.pairwise(edges)]


class Chunks:
    """A stream that hands out the given chunks, never more than asked for; then it ends."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    async def receive(self, max_bytes: int) -> bytes:
        assert max_bytes > 0
        if not self.chunks:
            raise EndOfStream
        chunk = self.chunks.pop(0)
        if chunk[max_bytes:]:
            self.chunks.insert(0, chunk[max_bytes:])
        return chunk[:max_bytes]


@given(payload_lists, byte_orders, st.binary(max_size=40), st.lists(st.integers(0, 10_000)))
def test_any_split_gives_what_the_slow_reader_gives(
    payloads: list[bytes], byteorder: ByteOrder, tail: bytes, cuts: list[int]
) -> None:
    wire = encode_frames(payloads, byteorder=byteorder) + tail
    want, end, left = slow_decode(wire, LIMIT, byteorder)
    assert want[: len(payloads)] == payloads
    decoder = FrameDecoder(LIMIT, byteorder=byteorder)
    got = []
    for chunk in split(wire, cuts):
        if decoder.fault is None:
            got += decoder.feed(chunk)
        else:
            with pytest.raises(FrameTooLarge):
                decoder.feed(chunk)
    assert got == want
    assert all(type(payload) is bytes for payload in got)
    assert decoder.pending == left
    assert decoder.at_boundary == (end == "boundary")
    if end == "boundary":
        decoder.eof()
    elif end == "fault":
        assert decoder.fault is not None
        with pytest.raises(FrameTooLarge):
            decoder.eof()
    else:
        with pytest.raises(TruncatedFrame) as caught:
            decoder.eof()
        assert caught.value.got == left - (4 if end == "payload" else 0)
        assert caught.value.expected > caught.value.got


@given(payload_lists, byte_orders)
def test_one_byte_at_a_time(payloads: list[bytes], byteorder: ByteOrder) -> None:
    decoder = FrameDecoder(byteorder=byteorder)
    wire = encode_frames(payloads, byteorder=byteorder)
    assert [p for byte in wire for p in decoder.feed(bytes([byte]))] == payloads
    decoder.eof()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_bytes_in_and_out(kind: type) -> None:
    wire = encode_frame(kind(b"meridian"))
    assert wire == b"\0\0\0\x08meridian"
    payloads = FrameDecoder().feed(kind(wire * 2))
    assert payloads == [b"meridian", b"meridian"]
    assert [type(payload) for payload in payloads] == [bytes, bytes]


def test_a_buffer_that_changes_later_does_not_change_a_payload() -> None:
    buffer = bytearray(encode_frame(b"abc") + b"\0\0")
    decoder = FrameDecoder()
    payloads = decoder.feed(buffer)
    buffer[:] = b"x" * len(buffer)
    assert payloads == [b"abc"]
    assert decoder.feed(b"\0\x01z") == [b"z"]


def test_the_largest_payload_passes_and_one_byte_more_does_not() -> None:
    assert FrameDecoder().feed(encode_frame(bytes(MAX_PAYLOAD))) == [bytes(MAX_PAYLOAD)]
    decoder = FrameDecoder()
    wire = encode_frames([b"good", bytes(MAX_PAYLOAD + 1), b"never"])
    assert decoder.feed(wire) == [b"good"], "what stands before the bad header"
    assert decoder.fault is not None
    assert (decoder.fault.length, decoder.fault.limit) == (MAX_PAYLOAD + 1, MAX_PAYLOAD)
    assert "65537 bytes, limit 65536" in str(decoder.fault)
    for _ in range(2):
        with pytest.raises(FrameTooLarge):
            decoder.feed(b"")
    assert decoder.pending == 4


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_bad_header_is_found_wherever_it_is_cut(cut: int) -> None:
    decoder = FrameDecoder(8)
    wire = b"\xff\xff\xff\xff" + b"tail"
    assert decoder.feed(wire[:cut]) == []
    if decoder.fault is None:
        assert decoder.feed(wire[cut:]) == []
    assert decoder.fault is not None
    assert decoder.fault.length == 2**32 - 1


def test_what_a_header_announces_is_not_reserved() -> None:
    decoder = FrameDecoder(2**32 - 1)
    tracemalloc.start()
    try:
        assert decoder.feed(b"\xff\xff\xff\xffabc") == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frame_in_small_pieces_is_kept_as_bytes_not_as_pieces() -> None:
    decoder = FrameDecoder(1_000_000)
    wire = encode_frame(bytes(200_000))
    tracemalloc.start()
    try:
        for at in range(0, len(wire) - 1, 7):
            decoder.feed(wire[at : at + 7])
        assert tracemalloc.get_traced_memory()[1] < 4 * len(wire)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bad", [7, "text", None, [1, 2]])
def test_what_is_not_bytes_is_refused(bad: object) -> None:
    with pytest.raises(TypeError, match="Expected"):
        encode_frame(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected"):
        FrameDecoder().feed(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "error"),
    [(-1, ValueError), (2**32, ValueError), (True, TypeError), (1.5, TypeError), ("9", TypeError)],
)
def test_a_limit_that_makes_no_sense(limit: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_payload"):
        FrameDecoder(limit)  # type: ignore[arg-type]


def test_an_unknown_byte_order() -> None:
    with pytest.raises(ValueError, match="'middle'"):
        FrameDecoder(byteorder="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'middle'"):
        encode_frame(b"", byteorder="middle")  # type: ignore[arg-type]


def test_a_view_of_wide_items_is_measured_in_bytes() -> None:
    assert encode_frame(memoryview(b"abcdefgh").cast("I")) == b"\0\0\0\x08abcdefgh"


def test_the_errors_survive_a_process_boundary() -> None:
    for error in (FrameTooLarge(70_000, 65_536), TruncatedFrame(4, 2)):
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
    assert isinstance(FrameTooLarge(1, 0), ValueError)
    assert isinstance(TruncatedFrame(4, 2), EOFError)


class TestReadFrame:
    pytestmark = pytest.mark.anyio

    async def test_one_frame_a_call_and_none_at_the_end(self) -> None:
        wire = encode_frames([b"", b"one", bytes(MAX_PAYLOAD)])
        stream = Chunks(wire[:2], wire[2:5], wire[5:])
        assert await read_frame(stream) == b""
        assert await read_frame(stream) == b"one"
        assert await read_frame(stream) == bytes(MAX_PAYLOAD)
        assert await read_frame(stream) is None
        assert await read_frame(stream) is None

    async def test_no_byte_of_the_next_frame_is_taken(self) -> None:
        stream = Chunks(encode_frame(b"mine") + b"NEXT")
        assert await read_frame(stream) == b"mine"
        assert stream.chunks == [b"NEXT"]

    @pytest.mark.parametrize(
        ("wire", "expected", "got"), [(b"\0\0", 4, 2), (b"\0\0\0\x09ab", 9, 2)]
    )
    async def test_the_end_inside_a_frame(self, wire: bytes, expected: int, got: int) -> None:
        with pytest.raises(TruncatedFrame) as caught:
            await read_frame(Chunks(wire))
        assert (caught.value.expected, caught.value.got) == (expected, got)

    async def test_too_large_before_anything_of_it_is_read(self) -> None:
        stream = Chunks(b"\0\x01\0\x01payload")
        with pytest.raises(FrameTooLarge) as caught:
            await read_frame(stream)
        assert (caught.value.length, caught.value.limit) == (65_537, 65_536)
        assert stream.chunks == [b"payload"]

    async def test_a_smaller_limit(self) -> None:
        assert await read_frame(Chunks(encode_frame(b"abc")), max_payload=3) == b"abc"
        with pytest.raises(FrameTooLarge):
            await read_frame(Chunks(encode_frame(b"abcd")), max_payload=3)
        with pytest.raises(ValueError, match="max_payload"):
            await read_frame(Chunks(), max_payload=-1)

    @pytest.mark.parametrize("payloads", [[], [b""], [b"ab", b"", b"c" * 999]])
    async def test_agrees_with_the_decoder(self, payloads: list[bytes]) -> None:
        stream = Chunks(*(bytes([byte]) for byte in encode_frames(payloads)))
        got = []
        while (payload := await read_frame(stream)) is not None:
            got.append(payload)
        assert got == payloads

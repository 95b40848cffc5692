"""Length-prefixed frames: how payloads travel on a byte stream that keeps no boundaries.

A frame is four bytes of length, then that many bytes of payload. TCP splits and joins what it
carries as it likes, so a reader meets half a header as often as ten frames at once.
:class:`FrameDecoder` takes any split and gives whole payloads; :func:`read_frame` asks a stream
for exactly one frame. Everything that speaks this wire stands on this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any, Literal, Protocol, TypeAlias

from anyio import EndOfStream

from meridian.errors import MeridianError

__all__ = [
    "MAX_PAYLOAD",
    "FrameDecoder",
    "FrameTooLarge",
    "TruncatedFrame",
    "encode_frame",
    "encode_frames",
    "read_frame",
]

MAX_PAYLOAD = 65_536
"""Bytes of payload that a reader accepts unless it is told otherwise."""

ByteOrder: TypeAlias = Literal["big", "little"]
Buffer: TypeAlias = "bytes | bytearray | memoryview[Any]"

_HEADER_BYTES = 4
_LONGEST = 2**32 - 1  # what four bytes can announce
_HEADERS = {"big": Struct(">I"), "little": Struct("<I")}


class FrameTooLarge(MeridianError, ValueError):
    """A header announces, or a payload has, more bytes than the limit."""

    def __init__(self, length: int, limit: int) -> None:
        self.length = length
        self.limit = limit
        super().__init__(
            f"Frame payload is too large: {length} bytes, limit {limit}; "
            "raise max_payload, or check that the peer speaks this protocol"
        )


class TruncatedFrame(MeridianError, EOFError):
    """The stream ended inside a frame: `got` of the `expected` bytes of its header or payload."""

    def __init__(self, expected: int, got: int) -> None:
        self.expected = expected
        self.got = got
        super().__init__(
            f"Stream ended inside a frame: got {got} of {expected} bytes; the sender was cut off"
        )


def encode_frame(payload: Buffer, *, byteorder: ByteOrder = "big") -> bytes:
    """The frame of one payload.

    Raises `TypeError` for a payload that is not bytes-like, `FrameTooLarge` for one that four
    bytes cannot announce.
    """
    return encode_frames((payload,), byteorder=byteorder)


def encode_frames(payloads: Iterable[Buffer], *, byteorder: ByteOrder = "big") -> bytes:
    """The frames of many payloads, one after another, put together in one allocation."""
    pack = _header(byteorder).pack
    parts: list[Buffer] = []
    for payload in payloads:
        length = _size(payload)
        if length > _LONGEST:
            raise FrameTooLarge(length, _LONGEST)
        parts.append(pack(length))
        parts.append(payload)
    return b"".join(parts)


class FrameDecoder:
    """Turns bytes, split anywhere, into payloads; keeps only the frame that is not whole yet.

    The payloads do not depend on the split, and the work is linear in the bytes fed. Nothing is
    reserved for what a header merely announces.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD, *, byteorder: ByteOrder = "big") -> None:
        """Accept payloads of up to `max_payload` bytes; raises `TypeError`, `ValueError`."""
        self.max_payload = _limit(max_payload)
        self.fault: FrameTooLarge | None = None
        self._header = _header(byteorder)
        self._partial = bytearray()  # the start of one frame, header included

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not whole yet, its header included."""
        return len(self._partial)

    @property
    def at_boundary(self) -> bool:
        """Whether what was fed so far is whole frames and nothing else."""
        return not self._partial

    def feed(self, data: Buffer) -> list[bytes]:
        """The payloads that `data` completes, in order.

        At a header above `max_payload` decoding ends for good: the payloads before it are
        returned, `fault` is set, and every later call raises it.
        """
        self._check()
        chunk = data if type(data) is bytes else _as_bytes(data)
        payloads: list[bytes] = []
        at = self._complete(chunk, payloads) if self._partial else 0
        length_at, append = self._header.unpack_from, payloads.append
        limit, end = self.max_payload, len(chunk)
        body = at + _HEADER_BYTES
        while body <= end:
            length = length_at(chunk, at)[0]
            if length > limit:
                self.fault = FrameTooLarge(length, limit)
                end = body
                break
            stop = body + length
            if stop > end:
                break
            append(chunk[body:stop])
            at = stop
            body = at + _HEADER_BYTES
        if at < end:
            self._partial += chunk[at:end]
        return payloads

    def eof(self) -> None:
        """The stream has ended: fine at a boundary, else raises `TruncatedFrame`, or `fault`."""
        self._check()
        got = len(self._partial)
        if got >= _HEADER_BYTES:
            raise TruncatedFrame(self._announced(), got - _HEADER_BYTES)
        if got:
            raise TruncatedFrame(_HEADER_BYTES, got)

    def _check(self) -> None:
        if self.fault is not None:
            raise FrameTooLarge(self.fault.length, self.fault.limit)

    def _announced(self) -> int:
        length: int = self._header.unpack_from(self._partial)[0]
        return length

    def _complete(self, chunk: bytes, payloads: list[bytes]) -> int:
        """Go on with the frame that was begun; the bytes of `chunk` that were used for it."""
        partial = self._partial
        at = max(0, _HEADER_BYTES - len(partial))
        partial += chunk[:at]
        if len(partial) < _HEADER_BYTES:
            return len(chunk)
        if self._announced() > self.max_payload:
            self.fault = FrameTooLarge(self._announced(), self.max_payload)
            return len(chunk)
        missing = _HEADER_BYTES + self._announced() - len(partial)
        partial += chunk[at : at + missing]
        if len(chunk) - at < missing:
            return len(chunk)
        payloads.append(bytes(partial[_HEADER_BYTES:]))
        self._partial = bytearray()
        return at + missing

    def __repr__(self) -> str:
        state = f"stopped: {self.fault}" if self.fault else f"{self.pending} bytes pending"
        return f"<FrameDecoder {state}>"


class ByteStream(Protocol):
    """What `read_frame` asks of a stream: anyio's ``ByteReceiveStream``."""

    async def receive(self, max_bytes: int) -> bytes: ...


async def read_frame(stream: ByteStream, *, max_payload: int = MAX_PAYLOAD) -> bytes | None:
    """The payload of the next frame, or ``None`` when the stream ends before one begins.

    Takes no byte of the frame after it. A call that is cancelled inside a frame has lost the
    bytes it took: where that matters, keep a `FrameDecoder` outside the cancelled part.

    Raises `FrameTooLarge` before a payload above `max_payload` is asked for, `TruncatedFrame`
    when the stream ends inside the frame, and what the stream raises.
    """
    limit = _limit(max_payload)
    header = await _receive_exactly(stream, _HEADER_BYTES)
    if not header:
        return None
    if len(header) < _HEADER_BYTES:
        raise TruncatedFrame(_HEADER_BYTES, len(header))
    length: int = _HEADERS["big"].unpack(header)[0]
    if length > limit:
        raise FrameTooLarge(length, limit)
    payload = await _receive_exactly(stream, length)
    if len(payload) < length:
        raise TruncatedFrame(length, len(payload))
    return payload


async def _receive_exactly(stream: ByteStream, size: int) -> bytes:
    """`size` bytes, or fewer where the stream ends."""
    parts: list[bytes] = []
    missing = size
    while missing:
        try:
            part = await stream.receive(missing)
        except EndOfStream:
            break
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _header(byteorder: str) -> Struct:
    if byteorder not in _HEADERS:
        raise ValueError(f"Expected byteorder 'big' or 'little', got {byteorder!r}")
    return _HEADERS[byteorder]


def _limit(max_payload: int) -> int:
    if not isinstance(max_payload, int) or isinstance(max_payload, bool):
        raise TypeError(f"Expected max_payload as int, got {type(max_payload).__name__}")
    if not 0 <= max_payload <= _LONGEST:
        raise ValueError(f"Expected max_payload from 0 to {_LONGEST} bytes, got {max_payload}")
    return max_payload


def _size(payload: Buffer) -> int:
    if type(payload) is bytes:
        return len(payload)
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise TypeError(f"Expected a payload of bytes, got {type(payload).__name__}")
    return payload.nbytes if isinstance(payload, memoryview) else len(payload)


def _as_bytes(data: Buffer) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"Expected bytes, got {type(data).__name__}")
    return bytes(data)

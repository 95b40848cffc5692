"""Telemetry frames: what the payload of a wire frame holds, as one record and as a row of arrays.

A payload is a header of 24 bytes, big-endian, then a body of as many bytes as the header says.
`framing` carries payloads and does not look inside; :func:`parse_wire_frame` does. In memory the
same header is a row of `FRAME_HEADER`, in the byte order of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from meridian.errors import MeridianError
from meridian.orbital.framing import MAX_PAYLOAD

if TYPE_CHECKING:
    import numpy as np

    FRAME_HEADER: np.dtype[np.void]

__all__ = [
    "FLAG_EMERGENCY",
    "FLAG_ERROR",
    "FRAME_HEADER",
    "HEADER_BYTES",
    "MAX_BODY",
    "BadTelemetryFrame",
    "TelemetryFrame",
    "parse_wire_frame",
]

FLAG_EMERGENCY = 0x01
FLAG_ERROR = 0x80  # the station saw that the frame is damaged; other bits are carried through

_HEADER = Struct(">QQIHBB")  # the fields of `FRAME_HEADER`, in order
HEADER_BYTES = _HEADER.size
MAX_BODY = MAX_PAYLOAD - HEADER_BYTES
"""Bytes of body in the largest frame that is accepted: they fit the 16 bits of `byte_count`."""

_FIELDS = (  # name, width in bits
    ("timestamp_ms", 64),
    ("sequence", 64),
    ("satellite_id", 32),
    ("byte_count", 16),
    ("station_id", 8),
    ("flags", 8),
)


class BadTelemetryFrame(MeridianError, ValueError):
    """A payload, or a record, that is no telemetry frame: `what`, `found` there, and `expected`."""

    def __init__(self, what: str, found: object, expected: object) -> None:
        self.what = what
        self.found = found
        self.expected = expected
        super().__init__(f"Telemetry frame, {what}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class TelemetryFrame:
    """One frame of one satellite, as one station received it.

    `sequence` counts per satellite; ``(satellite_id, sequence)`` tells frames apart.
    `timestamp_ms` is Unix time, `payload` the body alone.
    """

    satellite_id: int
    sequence: int
    timestamp_ms: int
    station_id: int
    flags: int
    payload: bytes

    @property
    def is_emergency(self) -> bool:
        return bool(self.flags & FLAG_EMERGENCY)

    @property
    def is_error(self) -> bool:
        return bool(self.flags & FLAG_ERROR)

    def to_wire(self) -> bytes:
        """The payload of the wire frame, header and body; `parse_wire_frame` reads it back.

        Raises `BadTelemetryFrame` for a body over `MAX_BODY` bytes or a number that its field
        cannot hold, `TypeError` for a value of another kind.
        """
        if not isinstance(self.payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"Expected the payload as bytes, got {type(self.payload).__name__}")
        body = bytes(self.payload)
        if len(body) > MAX_BODY:
            raise BadTelemetryFrame("bytes of body", len(body), f"at most {MAX_BODY}")
        values = (
            self.timestamp_ms,
            self.sequence,
            self.satellite_id,
            len(body),
            self.station_id,
            self.flags,
        )
        for (name, bits), value in zip(_FIELDS, values, strict=True):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Expected {name} as int, got {type(value).__name__}")
            if not 0 <= value < 1 << bits:
                raise BadTelemetryFrame(name, value, f"0 to {(1 << bits) - 1}")
        return _HEADER.pack(*values) + body


def parse_wire_frame(payload: bytes | bytearray | memoryview) -> TelemetryFrame:
    """The telemetry frame in a wire payload.

    Raises `BadTelemetryFrame` for less than a header, or for a body of another size than the
    header says; `TypeError` for what is not bytes.
    """
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise TypeError(f"Expected a payload of bytes, got {type(payload).__name__}")
    wire = bytes(payload)
    if len(wire) < HEADER_BYTES:
        raise BadTelemetryFrame("bytes", len(wire), f"a header of {HEADER_BYTES} and a body")
    timestamp_ms, sequence, satellite_id, byte_count, station_id, flags = _HEADER.unpack_from(wire)
    body = wire[HEADER_BYTES:]
    if len(body) != byte_count:
        raise BadTelemetryFrame("bytes of body", len(body), f"{byte_count}, as the header says")
    return TelemetryFrame(satellite_id, sequence, timestamp_ms, station_id, flags, body)


def __getattr__(name: str) -> Any:
    # NumPy is loaded by those who want arrays.
    if name != "FRAME_HEADER":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import numpy as np

    header = np.dtype([(field, f"u{bits // 8}") for field, bits in _FIELDS], align=True)
    assert header.itemsize == HEADER_BYTES, "no padding: the wire form in the machine's byte order"
    return globals().setdefault(name, header)

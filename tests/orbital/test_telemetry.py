"""A telemetry frame is the same as a record, as a payload and as a row of an array."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.orbital.framing import MAX_PAYLOAD
from meridian.orbital.telemetry import (
    FRAME_HEADER,
    HEADER_BYTES,
    MAX_BODY,
    BadTelemetryFrame,
    TelemetryFrame,
    parse_wire_frame,
)

FRAME = TelemetryFrame(25_544, 7, 1_700_000_000_000, 3, 0x81, b"body")
WIRE = bytes.fromhex("0000018bcfe568000000000000000007000063c8000403 81".replace(" ", "")) + b"body"

frames = st.builds(
    TelemetryFrame,
    satellite_id=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**64 - 1),
    timestamp_ms=st.integers(0, 2**64 - 1),
    station_id=st.integers(0, 255),
    flags=st.integers(0, 255),
    payload=st.binary(max_size=100),
)


def test_a_frame_byte_by_byte() -> None:
    assert FRAME.to_wire() == WIRE
    assert parse_wire_frame(WIRE) == FRAME
    assert FRAME.is_emergency
    assert FRAME.is_error
    assert not dataclasses.replace(FRAME, flags=0x7E).is_emergency
    assert not dataclasses.replace(FRAME, flags=0x7E).is_error


@given(frames)
def test_there_and_back(frame: TelemetryFrame) -> None:
    wire = frame.to_wire()
    assert parse_wire_frame(wire) == frame
    assert parse_wire_frame(memoryview(wire)) == frame
    row = np.frombuffer(wire, FRAME_HEADER.newbyteorder(">"), count=1)[0]
    for name in ("timestamp_ms", "sequence", "satellite_id", "station_id", "flags"):
        assert int(row[name]) == getattr(frame, name)
    assert int(row["byte_count"]) == len(frame.payload)


def test_the_row_is_laid_out_as_c_would() -> None:
    import ctypes

    class Header(ctypes.Structure):
        _fields_ = (
            ("timestamp_ms", ctypes.c_uint64),
            ("sequence", ctypes.c_uint64),
            ("satellite_id", ctypes.c_uint32),
            ("byte_count", ctypes.c_uint16),
            ("station_id", ctypes.c_uint8),
            ("flags", ctypes.c_uint8),
        )

    assert FRAME_HEADER.names is not None
    assert FRAME_HEADER.fields is not None
    assert FRAME_HEADER.itemsize == ctypes.sizeof(Header) == HEADER_BYTES == 24
    assert FRAME_HEADER.alignment == 8
    assert FRAME_HEADER.names == tuple(name for name, _ in Header._fields_)
    for name in FRAME_HEADER.names:
        assert FRAME_HEADER.fields[name][1] == getattr(Header, name).offset


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_are_refused(wire: bytes) -> None:
    valid = len(wire) >= 24 and int.from_bytes(wire[20:22], "big") == len(wire) - 24
    if valid:
        assert parse_wire_frame(wire).to_wire() == wire
    else:
        with pytest.raises(BadTelemetryFrame):
            parse_wire_frame(wire)


def test_the_largest_body_fills_the_largest_payload() -> None:
    largest = dataclasses.replace(FRAME, payload=bytes(MAX_BODY))
    assert len(largest.to_wire()) == MAX_PAYLOAD
    assert parse_wire_frame(largest.to_wire()) == largest
    with pytest.raises(BadTelemetryFrame, match=f"found {MAX_BODY + 1}, expected at most"):
        dataclasses.replace(FRAME, payload=bytes(MAX_BODY + 1)).to_wire()


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("satellite_id", -1, BadTelemetryFrame),
        ("satellite_id", 2**32, BadTelemetryFrame),
        ("sequence", 2**64, BadTelemetryFrame),
        ("flags", 256, BadTelemetryFrame),
        ("station_id", True, TypeError),
        ("timestamp_ms", 1.0, TypeError),
        ("payload", "text", TypeError),
    ],
)
def test_what_a_field_cannot_hold(field: str, value: object, error: type[Exception]) -> None:
    changed: dict[str, Any] = {field: value}
    with pytest.raises(error, match=field):
        dataclasses.replace(FRAME, **changed).to_wire()


def test_a_payload_that_is_no_frame_says_why() -> None:
    with pytest.raises(BadTelemetryFrame, match="found 23, expected a header of 24"):
        parse_wire_frame(WIRE[:23])
    with pytest.raises(
        BadTelemetryFrame, match="found 3, expected 4, as the header says"
    ) as caught:
        parse_wire_frame(WIRE[:-1])
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(TypeError, match="got str"):
        parse_wire_frame("text")  # type: ignore[arg-type]


def test_only_those_who_want_arrays_load_numpy() -> None:
    code = (
        "import sys, meridian.orbital.telemetry as t\n"
        "assert 'numpy' not in sys.modules\n"
        "assert t.FRAME_HEADER is t.FRAME_HEADER and 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

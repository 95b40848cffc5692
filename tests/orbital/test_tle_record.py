"""The record: 82 bytes, arrays of them, and what both refuse."""

from __future__ import annotations

import math
import pickle
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.errors import MeridianError
from meridian.orbital import tle
from meridian.orbital.tle import TLE_DTYPE, TleRecord

VANGUARD = (
    "1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753",
    "2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667",
)
RECORD = TleRecord(
    norad_id=5,
    intl_designator="58002B",
    epoch=179.78495062,
    mean_motion=10.82419157,
    eccentricity=0.1859667,
    inclination=34.2682,
    raan=348.7242,
    arg_perigee=331.7664,
    mean_anomaly=19.3264,
    bstar=0.28098e-4,
    element_set=475,
    rev_number=41366,
)


#: Records of any float, over all that 82 bytes can hold.
finite = st.floats(allow_nan=False, allow_infinity=False)
packable = st.builds(
    TleRecord,
    norad_id=st.integers(0, 2**32 - 1),
    intl_designator=st.text([chr(c) for c in range(32, 127)], max_size=8),
    epoch=finite,
    mean_motion=finite,
    eccentricity=st.floats(0, 1, exclude_max=True),
    inclination=st.floats(0, 180),
    raan=finite,
    arg_perigee=finite,
    mean_anomaly=finite,
    bstar=finite,
    element_set=st.integers(0, 2**16 - 1),
    rev_number=st.integers(0, 2**32 - 1),
)


def test_the_layout_is_82_bytes_at_the_published_offsets() -> None:
    assert TLE_DTYPE.itemsize == 82
    offsets = {name: TLE_DTYPE.fields[name][1] for name in TLE_DTYPE.names}
    assert offsets == {
        "norad_id": 0,
        "intl_designator": 4,
        "epoch": 12,
        "mean_motion": 20,
        "eccentricity": 28,
        "inclination": 36,
        "raan": 44,
        "arg_perigee": 52,
        "mean_anomaly": 60,
        "bstar": 68,
        "element_set": 76,
        "rev_number": 78,
    }
    expected = struct.pack(
        "<I8s8dHI",
        *(5, b"58002B", 179.78495062, 10.82419157, 0.1859667, 34.2682, 348.7242),
        *(331.7664, 19.3264, 0.28098e-4, 475, 41366),
    )
    assert RECORD.pack() == expected


@given(packable)
def test_pack_and_unpack_are_inverse(record: TleRecord) -> None:
    packed = record.pack()
    assert len(packed) == 82
    assert TleRecord.unpack(packed) == record
    row = np.frombuffer(packed, TLE_DTYPE)
    assert row["norad_id"][0] == record.norad_id
    assert row["intl_designator"][0] == record.intl_designator.encode()
    assert row["rev_number"][0] == record.rev_number
    assert tle.valid_rows(row).all()


@given(st.lists(packable, max_size=5))
def test_arrays_hold_the_same_bytes(some: list[TleRecord]) -> None:
    array = tle.records_to_array(some)
    assert array.dtype == TLE_DTYPE
    assert array.tobytes() == b"".join(record.pack() for record in some)
    assert tle.array_to_records(array) == some
    array["norad_id"] = 1  # a fresh array, not a view of frozen bytes


@pytest.mark.parametrize(
    "buffer", [bytearray, memoryview, lambda b: np.frombuffer(b, TLE_DTYPE)[0]]
)
def test_unpack_takes_any_buffer(buffer) -> None:  # type: ignore[no-untyped-def]
    assert TleRecord.unpack(buffer(RECORD.pack()), name="X") == msgspec.structs.replace(
        RECORD, name="X"
    )


def test_unpack_takes_a_strided_view() -> None:
    spread = np.zeros((82, 2), np.uint8)
    spread[:, 0] = np.frombuffer(RECORD.pack(), np.uint8)
    assert TleRecord.unpack(memoryview(spread[:, 0])) == RECORD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norad_id": 2**32}, "norad_id: found 4294967296, expected 0 to 4294967295"),
        ({"norad_id": -1}, "norad_id: found -1"),
        ({"element_set": 65_536}, "element_set: found 65536, expected 0 to 65535"),
        ({"rev_number": 2**32}, "rev_number"),
        (
            {"intl_designator": "123456789"},
            "intl_designator: found '123456789', expected at most 8",
        ),
        ({"intl_designator": "Ä"}, "printable ASCII"),
        ({"intl_designator": "A\0"}, "printable ASCII"),
        ({"eccentricity": 1.0}, "expected 0 <= eccentricity < 1"),
        ({"eccentricity": -1e-9}, "expected 0 <= eccentricity < 1"),
        ({"inclination": 180.00001}, "inclination: found 180.00001, expected 0 to 180"),
        ({"inclination": -0.1}, "expected 0 to 180"),
        ({"raan": 10**400}, "raan: found inf"),
    ]
    + [
        ({name: bad}, f"{name}: found {bad}")
        for name in TLE_DTYPE.names[2:10]
        for bad in (math.nan, math.inf, -math.inf)
    ],
)
def test_pack_refuses_by_name_what_is_no_orbit(change: dict[str, object], message: str) -> None:
    record = msgspec.structs.replace(RECORD, **change)
    for refused in (record.pack, record.to_lines, lambda: tle.records_to_array([RECORD, record])):
        with pytest.raises(tle.ElementOutOfRange) as caught:
            refused()
        assert message.lower() in str(caught.value).lower()
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, MeridianError)


@pytest.mark.parametrize(
    "change", [{"norad_id": 5.0}, {"norad_id": True}, {"intl_designator": b"58"}, {"raan": "3"}]
)
def test_pack_refuses_other_types(change: dict[str, object]) -> None:
    name = next(iter(change))
    with pytest.raises(TypeError, match=name):
        msgspec.structs.replace(RECORD, **change).pack()


@pytest.mark.parametrize("size", [0, 81, 83, 164])
def test_unpack_refuses_another_size(size: int) -> None:
    with pytest.raises(tle.TleError, match=f"found {size}, expected 82 bytes"):
        TleRecord.unpack(bytes(size))
    with pytest.raises(TypeError):
        TleRecord.unpack(size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("at", "raw"), [(28, struct.pack("<d", 2.0)), (4, b"\xff"), (5, b"\0")])
def test_unpack_refuses_bytes_that_pack_would_not_write(at: int, raw: bytes) -> None:
    broken = bytearray(RECORD.pack())
    broken[at : at + len(raw)] = raw
    with pytest.raises(tle.ElementOutOfRange):
        TleRecord.unpack(broken)
    assert not tle.valid_rows(np.frombuffer(broken, TLE_DTYPE)).any()


@given(packable, st.integers(0, 81), st.integers(0, 255))
def test_valid_rows_says_what_unpack_says(record: TleRecord, at: int, value: int) -> None:
    raw = bytearray(record.pack())
    raw[at] = value
    try:
        TleRecord.unpack(raw)
        fine = True
    except tle.TleError:
        fine = False
    assert tle.valid_rows(np.frombuffer(raw, TLE_DTYPE)).tolist() == [fine]


def test_arrays_of_another_dtype_and_names_of_another_number_are_refused() -> None:
    with pytest.raises(TypeError, match="TLE_DTYPE"):
        tle.array_to_records(np.zeros(3))
    with pytest.raises(TypeError, match="TLE_DTYPE"):
        tle.valid_rows([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 names for 1 records"):
        tle.array_to_records(np.zeros(1, TLE_DTYPE), ["a", "b"])


def test_records_are_values() -> None:
    with pytest.raises(AttributeError):
        RECORD.norad_id = 6  # type: ignore[misc]
    assert msgspec.json.decode(msgspec.json.encode(RECORD), type=TleRecord) == RECORD
    assert pickle.loads(pickle.dumps(RECORD)) == RECORD
    assert hash(RECORD) == hash(TleRecord(*RECORD.elements()))

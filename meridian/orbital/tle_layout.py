"""The 82 bytes of an element set: one layout for a record on a page and a row of an array.

Little-endian and packed (no alignment holes), so that ``array.tobytes()`` is the concatenation of
records and a page of records is an array without copying.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.orbital.errors import ElementOutOfRange, TleError

__all__ = [
    "TLE_DTYPE",
    "TLE_STRUCT",
    "Elements",
    "Records",
    "check_elements",
    "round_to_text",
    "valid_rows",
]

TLE_DTYPE = np.dtype(
    [
        ("norad_id", "<u4"),
        ("intl_designator", "S8"),  # ASCII, padded with NUL
        ("epoch", "<f8"),  # YYDDD.fraction, UTC
        ("mean_motion", "<f8"),  # revolutions a day (Kozai mean)
        ("eccentricity", "<f8"),
        ("inclination", "<f8"),  # degrees, as the four below
        ("raan", "<f8"),
        ("arg_perigee", "<f8"),
        ("mean_anomaly", "<f8"),
        ("bstar", "<f8"),  # drag term, 1 / Earth radii
        ("element_set", "<u2"),
        ("rev_number", "<u4"),
    ]
)
TLE_STRUCT = struct.Struct("<I8s8dHI")

# The twelve values in the order of the layout, the designator as text.
Elements = tuple[
    int, str, float, float, float, float, float, float, float, float, int, int
]  # fmt: skip
Records = npt.NDArray[np.void]

_FLOATS = TLE_DTYPE.names[2:10] if TLE_DTYPE.names else ()
_LARGEST = sys.float_info.max
_ECCENTRICITY = "0 <= eccentricity < 1"
_INCLINATION = "0 to 180 degrees"
_DESIGNATOR = "at most 8 printable ASCII characters"


def check_elements(values: Elements) -> bytes:
    """Raise unless the record layout holds `values`; give back the designator's bytes.

    `ElementOutOfRange` for a number outside its field, a designator over 8 bytes, NaN or
    infinity, an eccentricity outside [0, 1), an inclination outside [0, 180]; `TypeError` for a
    value of another kind.
    """
    norad_id, designator, *floats, element_set, rev_number = values
    _check_integer("norad_id", norad_id, 0xFFFF_FFFF)
    _check_integer("element_set", element_set, 0xFFFF)
    _check_integer("rev_number", rev_number, 0xFFFF_FFFF)
    if not isinstance(designator, str):
        raise TypeError(f"Expected intl_designator as str, got {type(designator).__name__}")
    if len(designator) > 8 or not (designator.isascii() and designator.isprintable()):
        raise ElementOutOfRange("intl_designator", designator, _DESIGNATOR)
    for name, value in zip(_FLOATS, floats, strict=True):
        if not isinstance(value, (float, int, np.floating)):
            raise TypeError(f"Expected {name} as float, got {type(value).__name__}")
        if not -_LARGEST <= value <= _LARGEST:  # NaN fails too, and an int beyond any float
            found = float(value) if isinstance(value, float) else math.inf
            raise ElementOutOfRange(name, found, "a finite number")
    if not 0.0 <= floats[2] < 1.0:
        raise ElementOutOfRange("eccentricity", floats[2], _ECCENTRICITY)
    if not 0.0 <= floats[3] <= 180.0:
        raise ElementOutOfRange("inclination", floats[3], _INCLINATION)
    return designator.encode("ascii")


def _check_integer(name: str, value: object, top: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"Expected {name} as int, got {type(value).__name__}")
    if not 0 <= value <= top:
        raise ElementOutOfRange(name, int(value), f"0 to {top}")


def pack_elements(values: Elements) -> bytes:
    """`values` as 82 bytes."""
    designator = check_elements(values)
    return TLE_STRUCT.pack(values[0], designator, *values[2:])


def unpack_elements(buffer: bytes | bytearray | memoryview) -> Elements:
    """The values in exactly 82 bytes, checked as `pack_elements` checks them."""
    view = memoryview(buffer)
    if view.nbytes != TLE_STRUCT.size:
        raise TleError("size of a packed record", view.nbytes, f"{TLE_STRUCT.size} bytes")
    norad_id, raw, *rest = TLE_STRUCT.unpack(view if view.contiguous else view.tobytes())
    # Latin-1 decodes anything; what is not ASCII is then refused by name.
    values: Any = (norad_id, raw.rstrip(b"\0").decode("latin-1"), *rest)
    check_elements(values)
    return values  # type: ignore[no-any-return]


def valid_rows(records: Records) -> npt.NDArray[np.bool_]:
    """Which rows of a `TLE_DTYPE` array `check_elements` would accept."""
    check_dtype(records)
    good = (records["eccentricity"] >= 0.0) & (records["eccentricity"] < 1.0)
    good &= (records["inclination"] >= 0.0) & (records["inclination"] <= 180.0)
    for name in _FLOATS:
        good &= np.isfinite(records[name])
    raw = np.ascontiguousarray(records["intl_designator"]).view(np.uint8).reshape(-1, 8)
    text = (raw >= 0x20) & (raw <= 0x7E)
    ended = np.logical_and.accumulate((raw == 0)[:, ::-1], axis=1)[:, ::-1]
    return good & (text | ended).all(axis=1).reshape(good.shape)


def round_to_text(records: Records) -> None:
    """Round the rows of a `TLE_DTYPE` array, in place, to the decimals that TLE text shows,
    and angles into [0, 360).

    Each number becomes the float64 nearest to its text, so that writing and reading the rows
    gives them back bit for bit.
    """
    check_dtype(records)
    for name in ("epoch", "mean_motion"):
        records[name] = np.rint(records[name] * 1e8) / 1e8
    records["eccentricity"] = np.rint(records["eccentricity"] * 1e7) / 1e7
    records["inclination"] = np.rint(records["inclination"] * 1e4) / 1e4
    for name in ("raan", "arg_perigee", "mean_anomaly"):
        records[name] = np.rint(records[name] * 1e4) / 1e4 % 360.0
    size = np.abs(records["bstar"])
    # Five digits: a mantissa below 1 and one digit of exponent.
    shift = 4 - np.floor(np.log10(np.where(size > 0.0, size, 1.0))).astype(np.int64)
    scale = np.array([float(f"1e{k}") for k in range(15)])[np.clip(shift, 0, 14)]
    records["bstar"] = np.rint(records["bstar"] * scale) / scale


def check_dtype(records: object) -> None:
    """Raise `TypeError` unless `records` is an array of `TLE_DTYPE`."""
    if not isinstance(records, np.ndarray) or records.dtype != TLE_DTYPE:
        got = records.dtype if isinstance(records, np.ndarray) else type(records).__name__
        raise TypeError(f"Expected an array of TLE_DTYPE, got {got}")

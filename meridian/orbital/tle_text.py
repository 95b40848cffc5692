"""The two lines of 69 columns, column by column, to the twelve values of a record and back.

The format is a punch card's: fixed columns, implied decimal points, one checksum digit. The
description followed here is CelesTrak's "Two-Line Element Set Format"; object numbers above 99999
use Space-Track's Alpha-5, a leading letter that counts from 10 and skips I and O.

Four fields of the text are not orbital state that SGP4 reads, and a record does not keep them:
classification, the two derivatives of the mean motion, and the ephemeris type. They are checked
when read and written as ``U``, zero, zero and ``0``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from meridian.orbital.errors import (
    BadChecksum,
    BadColumns,
    BadLineLength,
    CatalogNumberMismatch,
    ElementOutOfRange,
)
from meridian.orbital.tle_layout import Elements, check_elements

__all__ = ["checksum", "format_lines", "from_alpha5", "parse_lines", "to_alpha5"]

LINE_LENGTH = 69
MAX_ALPHA5 = 339_999
ALPHA5_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"

Rows = tuple[int | None, int | None]


class _Field(NamedTuple):
    """Columns `start` to `stop` (from 0), what they are called and what they must look like."""

    start: int
    stop: int
    name: str
    pattern: re.Pattern[str]
    expected: str


def _field(start: int, stop: int, name: str, pattern: str, expected: str) -> _Field:
    return _Field(start, stop, name, re.compile(pattern, re.ASCII), expected)


_ID = r" *\d+|[A-HJ-NP-Z]\d{4}"
_ID_EXPECTED = "five digits, or a letter (not I, not O) and four digits"
_ANGLE = r" *\d+\.\d{4}"
_ANGLE_EXPECTED = "degrees as NNN.NNNN"
_POWER = r"[ +-]\d{5}[ +-]\d"
_POWER_EXPECTED = "sign, five digits, signed exponent, as in ' 28098-4' for 0.28098e-4"

_LINE_1 = (
    _field(0, 2, "line number", "1 ", "'1 '"),
    _field(2, 7, "catalogue number", _ID, _ID_EXPECTED),
    _field(7, 9, "classification", r"[ -~] ", "one character and a space"),
    _field(9, 17, "international designator", r"[ -~]{8}", "printable ASCII"),
    _field(17, 18, "gap", " ", "a space"),
    _field(18, 20, "epoch year", r" ?\d+", "two digits"),
    _field(20, 32, "epoch day", r" *\d+\.\d{8}", "NNN.NNNNNNNN"),
    _field(32, 33, "gap", " ", "a space"),
    _field(33, 43, "first derivative", r"[ +0-]\.\d{8}", "sign and .NNNNNNNN"),
    _field(43, 44, "gap", " ", "a space"),
    _field(44, 52, "second derivative", _POWER, _POWER_EXPECTED),
    _field(52, 53, "gap", " ", "a space"),
    _field(53, 61, "bstar", _POWER, _POWER_EXPECTED),
    _field(61, 62, "gap", " ", "a space"),
    _field(62, 64, "ephemeris type", r"[ \d] ", "a digit and a space"),
    _field(64, 68, "element set number", r" *\d+", "up to four digits"),
    _field(68, 69, "checksum", r"\d", "a digit"),
)
_LINE_2 = (
    _field(0, 2, "line number", "2 ", "'2 '"),
    _field(2, 7, "catalogue number", _ID, _ID_EXPECTED),
    _field(7, 8, "gap", " ", "a space"),
    _field(8, 16, "inclination", _ANGLE, _ANGLE_EXPECTED),
    _field(16, 17, "gap", " ", "a space"),
    _field(17, 25, "right ascension of the node", _ANGLE, _ANGLE_EXPECTED),
    _field(25, 26, "gap", " ", "a space"),
    _field(26, 33, "eccentricity", r" *\d+", "seven digits after an implied point"),
    _field(33, 34, "gap", " ", "a space"),
    _field(34, 42, "argument of perigee", _ANGLE, _ANGLE_EXPECTED),
    _field(42, 43, "gap", " ", "a space"),
    _field(43, 51, "mean anomaly", _ANGLE, _ANGLE_EXPECTED),
    _field(51, 52, "gap", " ", "a space"),
    _field(52, 63, "mean motion", r" *\d+\.\d{8}", "revolutions a day as NN.NNNNNNNN"),
    _field(63, 68, "revolution number", r" *\d+", "up to five digits"),
    _field(68, 69, "checksum", r"\d", "a digit"),
)

# Digits count themselves and a minus sign one; everything else is nothing.
_WEIGHTS = {ord(c): int(c) for c in "0123456789"} | {ord("-"): 1}


def checksum(line: str) -> int:
    """The checksum digit of a line: the sum over its first 68 columns, modulo 10."""
    return sum(_WEIGHTS.get(ord(c), 0) for c in line[:68]) % 10


def to_alpha5(norad_id: int) -> str:
    """Five columns for an object number: digits up to 99999, then A0000 to Z9999 (339999)."""
    if not 0 <= norad_id <= MAX_ALPHA5:
        raise ElementOutOfRange("norad_id", norad_id, f"0 to {MAX_ALPHA5}, all that TLE text holds")
    head, tail = divmod(norad_id, 10_000)
    return f"{norad_id:05d}" if head < 10 else f"{ALPHA5_LETTERS[head - 10]}{tail:04d}"


def from_alpha5(text: str) -> int:
    """The object number in five columns, padded with zeros or spaces or written as Alpha-5."""
    if len(text) != 5 or not re.fullmatch(_ID, text, re.ASCII):
        raise ElementOutOfRange("catalogue number", text, _ID_EXPECTED)
    return _id_value(text)


def _id_value(text: str) -> int:
    if text[0] >= "A":
        return (ALPHA5_LETTERS.index(text[0]) + 10) * 10_000 + int(text[1:])
    return int(text)


def parse_lines(line_1: str, line_2: str, rows: Rows = (None, None)) -> Elements:
    """The twelve values of two lines, each number the float64 nearest to its decimal text.

    Trailing white space is allowed. `rows` are the lines' places in a file, for the message.
    Raises the `TleError` for the first thing wrong: length, columns, checksum, the two object
    numbers, range; `TypeError` for lines that are no text.
    """
    one, two = _text(line_1), _text(line_2)
    _check_line(1, one, _LINE_1, rows[0])
    _check_line(2, two, _LINE_2, rows[1])
    norad_id, again = _id_value(one[2:7]), _id_value(two[2:7])
    if norad_id != again:
        raise CatalogNumberMismatch(again, norad_id, rows[1])
    day, inclination, motion = float(one[20:32]), float(two[8:16]), float(two[52:63])
    raan, perigee, anomaly = float(two[17:25]), float(two[34:42]), float(two[43:51])
    if not 1.0 <= day < 367.0:
        raise BadColumns("epoch day", day, "1 to below 367", line=1, column=21, row=rows[0])
    if inclination > 180.0:
        raise BadColumns(
            "inclination", inclination, "0 to 180 degrees", line=2, column=9, row=rows[1]
        )
    for name, value, column in (
        ("node", raan, 18),
        ("perigee", perigee, 35),
        ("anomaly", anomaly, 44),
    ):
        if value > 360.0:
            raise BadColumns(name, value, "0 to 360 degrees", line=2, column=column, row=rows[1])
    if motion == 0.0:
        raise BadColumns("mean motion", motion, "more than 0", line=2, column=53, row=rows[1])
    return (
        norad_id,
        one[9:17].rstrip(),
        # One decimal number, so that it is rounded once.
        float(f"{int(one[18:20])}{one[20:32].replace(' ', '0')}"),
        motion,
        int(two[26:33]) / 1e7,
        inclination,
        raan,
        perigee,
        anomaly,
        float(f"{one[53]}.{one[54:59]}e{one[59:61].lstrip()}".lstrip()) + 0.0,
        int(one[64:68]),
        int(two[63:68]),
    )


def _text(line: object) -> str:
    if not isinstance(line, str):
        raise TypeError(f"Expected the lines of a set as str, got {type(line).__name__}")
    return line.rstrip()


def _check_line(number: int, line: str, fields: tuple[_Field, ...], row: int | None) -> None:
    if len(line) != LINE_LENGTH:
        raise BadLineLength(number, len(line), row)
    for start, stop, name, pattern, expected in fields:
        if not pattern.fullmatch(line, start, stop):
            raise BadColumns(
                name, line[start:stop], expected, line=number, column=start + 1, row=row
            )
    if checksum(line) != int(line[68]):
        raise BadChecksum(number, line[68], checksum(line), row)


def format_lines(values: Elements) -> tuple[str, str]:
    """Two lines of 69 columns, with checksums. Numbers are rounded to what the columns show.

    Raises `ElementOutOfRange` for what no column can hold: an object number above 339999, an
    angle outside [0, 360], a mean motion outside (0, 100), a B* of 10^9 or more, an element set
    number above 9999, a revolution number above 99999.
    """
    check_elements(values)
    norad_id, designator, epoch, motion, eccentricity, inclination, *rest = values
    raan, perigee, anomaly, bstar, element_set, revolution = rest
    number = to_alpha5(norad_id)
    if not (0 <= epoch < 100_000 and 1.0 <= epoch % 1000.0 < 367.0):
        raise ElementOutOfRange("epoch", epoch, "YYDDD.fraction with DDD from 1 to below 367")
    if element_set > 9999:
        raise ElementOutOfRange("element_set", element_set, "0 to 9999 in TLE text")
    if revolution > 99_999:
        raise ElementOutOfRange("rev_number", revolution, "0 to 99999 in TLE text")
    one = (
        f"1 {number}U {designator:8s} {_epoch_text(epoch)}  .00000000  00000-0 "
        f"{_power_text(bstar)} 0 {element_set:4d}"
    )
    two = (
        f"2 {number} {_angle_text('inclination', inclination)} {_angle_text('raan', raan)} "
        f"{_fraction_text(eccentricity)} {_angle_text('arg_perigee', perigee)} "
        f"{_angle_text('mean_anomaly', anomaly)} {_motion_text(motion)}{revolution:5d}"
    )
    return f"{one}{checksum(one)}", f"{two}{checksum(two)}"


def _epoch_text(epoch: float) -> str:
    # Rounding must not carry out of the year: day 366.999999999 stays below 367.
    text = f"{epoch:014.8f}"
    return text if text[2:5] != "367" else f"{text[:2]}366.99999999"


def _motion_text(motion: float) -> str:
    text = f"{motion:11.8f}"
    if motion <= 0.0 or len(text) > 11 or float(text) == 0.0:
        raise ElementOutOfRange("mean_motion", motion, "above 0 and below 100 in TLE text")
    return text


def _fraction_text(eccentricity: float) -> str:
    return f"{min(round(eccentricity * 1e7), 9_999_999):07d}"


def _angle_text(name: str, angle: float) -> str:
    if not 0.0 <= angle <= 360.0:
        raise ElementOutOfRange(name, angle, "0 to 360 degrees in TLE text")
    return f"{abs(angle):8.4f}"  # -0.0 is an angle, "-0.0000" is not TLE text


def _power_text(value: float) -> str:
    """Eight columns ``smmmmmse`` for s0.mmmmm x 10^se: five digits where the exponent allows."""
    sign = "-" if value < 0 else " "
    if value == 0.0:
        return " 00000-0"
    digits, _, power = f"{abs(value):.4e}".partition("e")
    exponent = int(power) + 1
    mantissa = int(digits.replace(".", ""))
    if exponent > 9:
        raise ElementOutOfRange("bstar", value, "below 10^9 in TLE text")
    if exponent < -9:  # too small for one digit of exponent: fewer digits, or none
        mantissa, exponent = round(abs(value) * 1e14), -9
    if mantissa == 0:
        return " 00000-0"
    return f"{sign}{mantissa:05d}{'-' if exponent <= 0 else '+'}{abs(exponent)}"

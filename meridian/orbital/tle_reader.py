"""Whole catalogue files at once: bytes of text in, one `TLE_DTYPE` array out.

A file is a sequence of sets of two lines, or of three with a name first, mixed as it likes; blank
lines, trailing spaces and CRLF are fine. Columns are decoded as arrays, one array operation a
column for thousands of sets. Sets that the array path does not accept at once go through
`tle_text.parse_lines`, which either reads them too or says what is wrong: one definition of the
format, one wording of its errors.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.fs import FileSystem, OsFileSystem
from meridian.orbital.errors import BadTleFile, StrayLines, TleError
from meridian.orbital.tle_layout import TLE_DTYPE, Records
from meridian.orbital.tle_text import ALPHA5_LETTERS, LINE_LENGTH, parse_lines

__all__ = ["TleTable", "parse_tle_lines", "read_tle_file"]

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 4096  # sets decoded together: small enough for the cache, large enough for NumPy
_LONGEST_NAME = 60  # a longer line is a damaged line 1 or 2, not the name of the next set
_TRAILING = 32  # names are padded to 24 columns, lines to 80
_NAME, _LINE_1, _LINE_2, _DAMAGED = 0, 1, 2, 3

# What the first column of an object number stands for, -1 where nothing.
_ID_HEAD = np.full(256, -1, np.int64)
_ID_HEAD[ord(" ")] = 0
_ID_HEAD[[ord(c) for c in "0123456789" + ALPHA5_LETTERS]] = np.arange(34) * 10_000
_POWERS = np.array([float(f"1e{k}") for k in range(15)])


class TleTable(NamedTuple):
    """What a catalogue file holds: `records[i]` belongs to `names[i]` (``""`` where none stood).

    `rejects` are the sets that could not be read, in the order of the file; each error carries
    its `row`. Empty after a strict read.
    """

    records: Records
    names: list[str]
    rejects: list[TleError]


def read_tle_file(
    path: str | os.PathLike[str], *, strict: bool = True, fs: FileSystem | None = None
) -> TleTable:
    """Read a catalogue of two- or three-line sets, gzipped or plain (told apart by content).

    Raises the first reject as its `TleError` when `strict`, `BadTleFile` for a damaged gzip file,
    and `OSError` where the file cannot be read.
    """
    raw = bytes((fs or OsFileSystem()).read(path))
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise BadTleFile(os.fspath(path), str(error)) from error
    return parse_tle_lines(raw, strict=strict)


def parse_tle_lines(lines: str | bytes | Iterable[str], *, strict: bool = True) -> TleTable:
    """Read sets from text, from UTF-8 or Latin-1 bytes, or from an iterable of lines.

    Raises the first reject as its `TleError` when `strict`; otherwise collects them.
    """
    if isinstance(lines, (bytes, bytearray, memoryview)):
        raw = bytes(lines)
    else:
        text = lines if isinstance(lines, str) else "\n".join(x.rstrip("\r\n") for x in lines)
        raw = text.encode("utf-8", "surrogateescape")
    page = _Page(raw.removeprefix(b"\xef\xbb\xbf"))
    first, named, rejects = page.pair_up()
    records = np.zeros(len(first), TLE_DTYPE)
    kept = np.ones(len(first), np.bool_)
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        good = _decode(page.columns(first[block]), page.columns(first[block] + 1), records[block])
        for i in start + np.flatnonzero(~good):
            one, two = int(first[i]), int(first[i]) + 1
            try:
                values = parse_lines(page.line(one), page.line(two), (page.row(one), page.row(two)))
                records[i] = (values[0], values[1].encode("ascii"), *values[2:])
            except TleError as error:
                rejects.append(error)
                kept[i] = False
    rejects.sort(key=lambda error: error.row or 0)
    if strict and rejects:
        raise rejects[0]
    above = np.where(named, first - 1, -1)[kept].tolist()
    names = [page.name(i) if i >= 0 else "" for i in above]
    return TleTable(records[kept], names, rejects)


class _Page:
    """The non-blank lines of a text, found without touching them one by one."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._bytes = np.frombuffer(raw + b"\n", np.uint8)
        ends = np.flatnonzero(self._bytes == ord("\n"))
        starts = np.concatenate(([0], ends[:-1] + 1))
        for _ in range(_TRAILING):  # cut one trailing blank a turn, from all lines that have one
            last = self._bytes[np.maximum(ends - 1, 0)]
            blank = (ends > starts) & ((last == 32) | (last == 9) | (last == 13))
            if not blank.any():
                break
            ends = ends - blank
        else:  # lines with more than anyone writes, one by one
            for i in np.flatnonzero(blank):
                ends[i] = starts[i] + len(raw[starts[i] : ends[i]].rstrip(b" \t\r"))
        self._rows = np.flatnonzero(ends > starts)
        self._starts, self._ends = starts[self._rows], ends[self._rows]
        self._bounds = list(zip(self._starts.tolist(), self._ends.tolist(), strict=True))

    def row(self, i: int) -> int:
        return int(self._rows[i]) + 1

    def line(self, i: int) -> str:
        start, end = self._bounds[i]
        raw = self._raw[start:end]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def name(self, i: int) -> str:
        return self.line(i).removeprefix("0 ").strip()

    def columns(self, lines: Ints) -> Bytes:
        """The 69 columns of each of `lines`, one row a column; zeros for a line of other length."""
        regular = self._ends[lines] - self._starts[lines] == LINE_LENGTH
        starts = np.where(regular, self._starts[lines], 0)
        limit = len(self._bytes) - 1
        at = np.minimum(starts[None, :] + np.arange(LINE_LENGTH)[:, None], limit)
        return np.where(regular, self._bytes[at], np.uint8(0))

    def pair_up(self) -> tuple[Ints, Mask, list[TleError]]:
        """Index of each set's line 1, whether a name stands above it, and the lines left over."""
        kinds = self._kinds()
        after = np.append(kinds[1:], _NAME)
        before = np.concatenate(([_DAMAGED], kinds[:-1]))
        opens = (kinds == _LINE_1) & (after == _LINE_2)
        first = np.flatnonzero(opens)
        named = before[first] == _NAME
        used = opens.copy()
        used[first + 1] = True
        used[first[named] - 1] = True
        rejects: list[TleError] = []
        stray = np.flatnonzero(~used)
        for run in np.split(stray, np.flatnonzero(np.diff(stray) > 1) + 1):
            if len(run):
                start, stop = int(run[0]), int(run[-1])
                rejects.append(StrayLines(self.row(start), self.row(stop), self.line(start)[:80]))
        return first, named, rejects

    def _kinds(self) -> Ints:
        length = self._ends - self._starts
        head = self._bytes[self._starts]
        spaced = (length > 1) & (
            self._bytes[np.minimum(self._starts + 1, len(self._bytes) - 1)] == 32
        )
        kinds = np.where(length > _LONGEST_NAME, _DAMAGED, _NAME)
        kinds[spaced & (head == ord("1"))] = _LINE_1
        kinds[spaced & (head == ord("2"))] = _LINE_2
        return kinds


class _Columns:
    """One line of many sets; every read narrows `good` to the sets whose columns fit."""

    def __init__(self, text: Bytes) -> None:
        self._text = text
        self._digit = text - np.uint8(48)  # wraps around for anything below "0"
        self._is_digit = self._digit < 10
        self.good: Mask = (self._checksum() == self._digit[68]) & self._is_digit[68]

    def _checksum(self) -> Ints:
        digits = np.where(self._is_digit[:68], self._digit[:68], 0).sum(axis=0, dtype=np.int64)
        minuses = (self._text[:68] == ord("-")).sum(axis=0, dtype=np.int64)
        total: Ints = (digits + minuses) % 10
        return total

    def expect(self, column: int, *allowed: str) -> None:
        self.good &= np.isin(self._text[column], [ord(c) for c in allowed])

    def printable(self, start: int, stop: int) -> Bytes:
        part = self._text[start:stop]
        self.good &= ((part >= 0x20) & (part <= 0x7E)).all(axis=0)
        return part

    def integer(self, start: int, stop: int, *, padded: bool = True) -> Ints:
        """The digits of some columns as a number; spaces may stand before them when `padded`."""
        value = np.zeros(self._text.shape[1], np.int64)
        leading = np.full(self._text.shape[1], padded)
        for column in range(start, stop):
            value *= 10
            value += np.where(self._is_digit[column], self._digit[column], 0)
            leading &= self._text[column] == 32
            self.good &= self._is_digit[column] | leading
        self.good &= self._is_digit[stop - 1]
        return value

    def ticks(self, start: int, point: int, stop: int) -> Ints:
        """A number with its decimal point at column `point`, in units of its last digit.

        Below 2^53, so that dividing by the exact power of ten gives the float64 nearest to the
        decimal, as ``float(text)`` does.
        """
        self.expect(point, ".")
        scale: int = 10 ** (stop - point - 1)
        total: Ints = self.integer(start, point) * scale
        total += self.integer(point + 1, stop, padded=False)
        return total

    def angle(self, start: int) -> Floats:
        return self.ticks(start, start + 3, start + 8) / 1e4

    def power(self, start: int) -> Floats:
        """Eight columns of sign, five digits after an implied point, signed exponent."""
        self.expect(start, " ", "+", "-")
        self.expect(start + 6, " ", "+", "-")
        mantissa = self.integer(start + 1, start + 6, padded=False).astype(np.float64)
        exponent = self.integer(start + 7, start + 8, padded=False)
        shift = np.where(self._text[start + 6] == ord("-"), -exponent, exponent) - 5
        scaled = mantissa * _POWERS[np.maximum(shift, 0)] / _POWERS[np.maximum(-shift, 0)]
        value: Floats = np.where(self._text[start] == ord("-"), -scaled, scaled) + 0.0
        return value

    def norad_id(self) -> Ints:
        first = self._text[2]
        head = _ID_HEAD[first]
        full = self._is_digit[3:7].all(axis=0)
        self.good &= (head >= 0) & (full | (first == ord(" ")))
        number: Ints = head + self.integer(3, 7)
        return number


def _decode(text_1: Bytes, text_2: Bytes, out: Records) -> Mask:
    """Fill `out` from the columns of both lines; answer which sets are fully regular."""
    one, two = _Columns(text_1), _Columns(text_2)
    for columns, digit, gaps in (
        (one, "1", (1, 8, 17, 32, 43, 52, 61, 63)),
        (two, "2", (1, 7, 16, 25, 33, 42, 51)),
    ):
        columns.expect(0, digit)
        for gap in gaps:
            columns.expect(gap, " ")
    out["norad_id"] = one.norad_id()
    one.printable(7, 8)
    designator = np.ascontiguousarray(one.printable(9, 17).T)
    out["intl_designator"] = np.strings.rstrip(designator.view("S8").reshape(-1))
    year, day = one.integer(18, 20), one.ticks(20, 23, 32)
    out["epoch"] = (year * 100_000_000_000 + day) / 1e8
    one.expect(33, " ", "+", "-")
    one.expect(34, ".")
    one.integer(35, 43, padded=False)
    one.power(44)
    out["bstar"] = one.power(53)
    one.expect(62, *" 0123456789")
    out["element_set"] = one.integer(64, 68)
    same = two.norad_id() == out["norad_id"]
    out["inclination"] = two.angle(8)
    out["raan"] = two.angle(17)
    out["eccentricity"] = two.integer(26, 33) / 1e7
    out["arg_perigee"] = two.angle(34)
    out["mean_anomaly"] = two.angle(43)
    out["mean_motion"] = two.ticks(52, 54, 63) / 1e8
    out["rev_number"] = two.integer(63, 68)
    in_range = (day >= 100_000_000) & (day < 36_700_000_000) & (out["inclination"] <= 180.0)
    for name in ("raan", "arg_perigee", "mean_anomaly"):
        in_range &= out[name] <= 360.0
    in_range &= out["mean_motion"] > 0.0
    regular: Mask = one.good & two.good & same & in_range
    return regular

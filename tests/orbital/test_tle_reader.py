"""Catalogue files: the array path against the scalar one, and every habit and damage of a file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.fs import OsFileSystem
from meridian.orbital import tle
from meridian.orbital.catalog import synthetic_catalog, verification_catalog
from meridian.orbital.tle import TLE_DTYPE, TleRecord, parse_tle_lines, read_tle_file
from meridian.testing import FaultyFileSystem

CATALOG = synthetic_catalog(300, seed=3)
PAIRS = [record.to_lines() for record in tle.array_to_records(CATALOG)]
SETS = st.integers(0, len(PAIRS) - 1)


def with_checksum(line: str) -> str:
    return line[:68] + str(tle.checksum(line))


def test_a_whole_catalogue_comes_back_bit_for_bit() -> None:
    names = [f"OBJECT {i}" if i % 3 else "" for i in range(len(CATALOG))]
    table = parse_tle_lines(tle.format_tle_lines(CATALOG, names))
    assert table.records.dtype == TLE_DTYPE
    assert table.records.tobytes() == CATALOG.tobytes()
    assert table.names == names
    assert table.rejects == []


def test_sets_beyond_one_block_are_read_alike() -> None:
    many = np.tile(CATALOG, 30)  # 9,000 sets: blocks of 4,096
    table = parse_tle_lines(tle.format_tle_lines(CATALOG) * 30)
    assert table.records.tobytes() == many.tobytes()


def test_the_scalar_and_the_array_path_read_the_published_set_alike() -> None:
    records = verification_catalog()
    text = tle.format_tle_lines(records)
    lines = text.splitlines()
    one_by_one = [TleRecord.from_lines(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
    assert parse_tle_lines(text).records.tobytes() == records.tobytes()
    assert tle.records_to_array(one_by_one).tobytes() == records.tobytes()


@settings(max_examples=300)
@given(
    SETS,
    st.integers(0, 1),
    st.integers(0, 68),
    st.sampled_from(" 0123456789+-.AIOZaz\x00\x7fé"),
    st.booleans(),
)
def test_both_paths_judge_a_damaged_line_alike(
    which: int, line: int, column: int, char: str, repaired: bool
) -> None:
    lines = list(PAIRS[which])
    lines[line] = lines[line][:column] + char + lines[line][column + 1 :]
    if repaired:
        lines[line] = with_checksum(lines[line])
    table = parse_tle_lines("\n".join(lines), strict=False)
    expected, wrong = [], None
    try:
        expected = [TleRecord.from_lines(*lines)]
    except tle.TleError as error:
        wrong = error
    assert tle.array_to_records(table.records) == expected
    if wrong is None:
        assert table.rejects == []
        return
    (reject,) = table.rejects
    if not isinstance(reject, tle.StrayLines):  # both lines were found
        assert type(reject) is type(wrong)
        assert (reject.row, reject.line, reject.column) == (wrong.line, wrong.line, wrong.column)


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        (0, 21, "000.99999999"),
        (0, 21, "367.00000000"),
        (0, 3, "I0000"),
        (1, 9, "180.0001"),
        (1, 18, "360.0001"),
        (1, 35, "360.0001"),
        (1, 44, "360.0001"),
        (1, 53, " 0.00000000"),
    ],
)
def test_both_paths_refuse_what_is_out_of_range(line: int, column: int, text: str) -> None:
    lines = list(PAIRS[100])
    changed = lines[line][: column - 1] + text + lines[line][column - 1 + len(text) :]
    lines[line] = with_checksum(changed)
    with pytest.raises(tle.TleError) as one:
        TleRecord.from_lines(*lines)
    with pytest.raises(tle.TleError) as many:
        parse_tle_lines([*PAIRS[0], *lines])
    assert type(one.value) is type(many.value)
    assert (many.value.row, many.value.column) == (line + 3, one.value.column)


@given(st.lists(st.sampled_from(["", " ", "NAME", "1 x", "2 y", "z" * 69, *PAIRS[0], *PAIRS[1]])))
def test_every_line_is_part_of_a_set_or_of_a_reject(lines: list[str]) -> None:
    """Counted by walking the lines one by one, as the array code does not."""
    table = parse_tle_lines("\n".join(lines), strict=False)
    written = [(row, line) for row, line in enumerate(lines, 1) if line.strip()]
    stray = {
        row
        for error in table.rejects
        if isinstance(error, tle.StrayLines)
        for row in range(error.row, error.last_row + 1)
    }
    sets, names, i, loose = 0, [], 0, set()
    while i < len(written):
        head = [line[:2] for _, line in written[i : i + 3]]
        named = head[1:] == ["1 ", "2 "] and head[0] not in ("1 ", "2 ", "zz")
        if named or head[:2] == ["1 ", "2 "]:
            sets += 1
            names.append(written[i][1] if named else "")
            i += 3 if named else 2
        else:
            loose.add(written[i][0])
            i += 1
    refused = sum(not isinstance(error, tle.StrayLines) for error in table.rejects)
    assert len(table.records) + refused == sets
    assert loose <= stray
    assert {row for row in stray if lines[row - 1].strip()} == loose
    if not refused:
        assert table.names == names


@given(st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace").decode()))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert len(parse_tle_lines(text, strict=False).records) == 0


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    assert len(parse_tle_lines(raw, strict=False).records) == 0


def test_habits_of_real_files() -> None:
    (a1, a2), (b1, b2), (c1, c2) = PAIRS[60:63]
    text = (
        "\ufeff"  # byte order mark
        f"0 ALPHA 1  \r\n{a1}\r\n{a2}   \r\n"
        "\r\n   \n"  # blank lines between sets
        f"{b1}\n{b2}\t\n"  # no name
        f"GAMMA (DEB) \n\n{c1}\n{c2}"  # a name without the 0; no newline at the end
    )
    table = parse_tle_lines(text)
    assert table.records.tobytes() == CATALOG[60:63].tobytes()
    assert table.names == ["ALPHA 1", "", "GAMMA (DEB)"]


def test_a_megabyte_of_blanks_after_a_line_is_no_trouble() -> None:
    blanks = " " * 1_000_000
    text = f"{PAIRS[0][0]}{blanks}\n{blanks}\n{PAIRS[0][1]}\n{blanks}"
    assert parse_tle_lines(text).records.tobytes() == CATALOG[:1].tobytes()


def test_ids_padded_with_spaces_or_written_in_alpha5() -> None:
    text = ""
    for shown in ("    5", "  123", "09999", "A0000", "Z9999"):
        text += "".join(with_checksum(f"{line[:2]}{shown}{line[7:]}") + "\n" for line in PAIRS[70])
    assert parse_tle_lines(text).records["norad_id"].tolist() == [5, 123, 9999, 100_000, 339_999]


def test_names_in_utf_8_and_in_latin_1() -> None:
    lines = "\n".join(PAIRS[0]).encode()
    assert parse_tle_lines("Ægir\n".encode() + lines).names == ["Ægir"]
    assert parse_tle_lines("Ægir\n".encode("latin-1") + lines).names == ["Ægir"]


def test_lines_of_an_open_file_are_read() -> None:
    lines = [line + "\n" for line in PAIRS[5]]
    assert parse_tle_lines(iter(lines)).records.tobytes() == CATALOG[5:6].tobytes()


@pytest.mark.parametrize("nothing", ["", b"", "\n \r\n\t\n", []])
def test_nothing_is_an_empty_catalogue(nothing: str) -> None:
    table = parse_tle_lines(nothing)
    assert (len(table.records), table.names, table.rejects) == (0, [], [])
    assert table.records.dtype == TLE_DTYPE


def test_rejects_are_collected_in_the_order_of_the_file_and_the_rest_is_read() -> None:
    (a1, a2), (b1, b2), (c1, c2), (d1, d2) = PAIRS[:4]
    bad_sum = b2[:68] + str((int(b2[68]) + 1) % 10)
    text = "\n".join(
        [
            "A",
            a1,
            a2,
            "B",
            b1,
            bad_sum,
            "ORPHAN",
            c1,
            "D",
            d1,
            d2,
            "",
            "TAIL",
            c2,
            "stray",
            c2 + "x",
        ]
    )
    table = parse_tle_lines(text, strict=False)
    assert table.names == ["A", "D"]
    assert table.records.tobytes() == CATALOG[[0, 3]].tobytes()
    checksum, orphan, tail = table.rejects
    assert isinstance(checksum, tle.BadChecksum)
    assert (checksum.row, checksum.line, checksum.found) == (6, 2, bad_sum[68])
    assert (
        str(checksum)
        == f"Row 6, TLE line 2, column 69 (checksum): found '{bad_sum[68]}', expected {b2[68]}"
    )
    assert isinstance(orphan, tle.StrayLines)
    assert (orphan.row, orphan.last_row, orphan.found) == (7, 8, "ORPHAN")
    assert isinstance(tail, tle.StrayLines)
    assert (tail.row, tail.last_row) == (13, 16)
    with pytest.raises(tle.BadChecksum, match="Row 6"):
        parse_tle_lines(text)


def test_a_damaged_second_line_does_not_become_the_name_of_the_next_set() -> None:
    (a1, a2), (b1, b2) = PAIRS[:2]
    table = parse_tle_lines("\n".join([a1, "x" + a2[1:], b1, b2]), strict=False)
    assert table.names == [""]
    assert table.records.tobytes() == CATALOG[1:2].tobytes()
    assert [(error.row, error.last_row) for error in table.rejects] == [(1, 2)]


def test_parse_tle_batch_gives_records_and_errors() -> None:
    records, errors = tle.parse_tle_batch("\n".join(["NAME", *PAIRS[9], "junk"]))
    assert records == [TleRecord.from_lines(*PAIRS[9], name="NAME")]
    assert [error.row for error in errors] == [4]


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_read_plain_or_gzipped_whatever_their_name(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "catalog.txt"
    raw = tle.format_tle_lines(CATALOG).encode()
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    assert read_tle_file(path).records.tobytes() == CATALOG.tobytes()
    assert read_tle_file(str(path)).records.tobytes() == CATALOG.tobytes()


def test_a_damaged_gzip_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "catalog.gz"
    whole = gzip.compress(tle.format_tle_lines(CATALOG).encode())
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0xFF
    for broken in (whole[: len(whole) // 2], whole[:2], whole[:-4], bytes(damaged)):
        path.write_bytes(broken)
        with pytest.raises(tle.BadTleFile, match=r"catalog\.gz") as caught:
            read_tle_file(path)
        assert caught.value.path == str(path)


def test_errors_of_the_file_system_surface(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tle_file(tmp_path / "none")
    path = tmp_path / "catalog.txt"
    path.write_text(tle.format_tle_lines(CATALOG))
    fs = FaultyFileSystem(OsFileSystem())
    fs.fail("read")
    with pytest.raises(OSError, match="Input/output error"):
        read_tle_file(path, fs=fs)
    assert len(read_tle_file(path, fs=fs).records) == len(CATALOG)

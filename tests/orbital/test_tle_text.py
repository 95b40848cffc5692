"""The two lines of text, against the parser and the writer of the `sgp4` package."""

from __future__ import annotations

import pickle

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sgp4.alpha5 import from_alpha5 as sgp4_from_alpha5
from sgp4.alpha5 import to_alpha5 as sgp4_to_alpha5
from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle
from sgp4.io import compute_checksum

from meridian.orbital import tle
from meridian.orbital.tle import TleRecord

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


def decimal(low: int, high: int, places: int) -> st.SearchStrategy[float]:
    """Numbers that have `places` decimals, low and high in units of the last one."""
    return st.integers(low, high).map(lambda ticks: ticks / 10**places)


def power(mantissa: int, exponent: int) -> float:
    return float(f"{mantissa}e{exponent - 5}")


angles = decimal(0, 3_599_999, 4)
bstars = st.just(0.0) | st.builds(
    power,
    st.integers(10_000, 99_999) | st.integers(-99_999, -10_000),
    st.integers(-9, 9),
)
epochs = st.builds(
    lambda year, ticks: (year * 100_000_000_000 + ticks) / 1e8,
    st.integers(0, 99),
    st.integers(100_000_000, 36_699_999_999),
)
designators = st.text("ABCXYZ 0123456789", max_size=8).map(str.rstrip)
#: Records whose numbers have the precision of TLE text, over all that text can hold.
records = st.builds(
    TleRecord,
    norad_id=st.integers(0, 339_999),
    intl_designator=designators,
    epoch=epochs,
    mean_motion=decimal(1, 9_999_999_999, 8),
    eccentricity=decimal(0, 9_999_999, 7),
    inclination=decimal(0, 1_800_000, 4),
    raan=angles,
    arg_perigee=angles,
    mean_anomaly=angles,
    bstar=bstars,
    element_set=st.integers(0, 9999),
    rev_number=st.integers(0, 99_999),
    name=st.just(""),
)
#: Records that 82 bytes hold and text may not.
loose = st.builds(
    msgspec.structs.replace,
    st.just(RECORD),
    norad_id=st.integers(0, 2**20),
    epoch=st.floats(0, 1e5),
    mean_motion=st.floats(0, 101),
    eccentricity=st.floats(0, 1, exclude_max=True),
    inclination=st.floats(0, 180),
    raan=st.floats(-1, 361),
    bstar=st.floats(-1e10, 1e10) | st.floats(-1e-8, 1e-8),
    element_set=st.integers(0, 12_000),
    rev_number=st.integers(0, 120_000),
)


def test_two_lines_become_the_record_and_back() -> None:
    record = TleRecord.from_lines(*VANGUARD, name="0 VANGUARD 1  ")
    assert record == msgspec.structs.replace(RECORD, name="VANGUARD 1")
    one, two = record.to_lines()
    # The derivatives are not kept, which changes the first line's last digit; all else stands.
    assert one == "1 00005U 58002B   00179.78495062  .00000000  00000-0  28098-4 0  4758"
    assert two == VANGUARD[1]


@given(records)
@example(msgspec.structs.replace(RECORD, raan=359.9999, mean_anomaly=0.0, bstar=0.99999e9))
def test_text_keeps_every_field_exactly(record: TleRecord) -> None:
    one, two = record.to_lines()
    assert (len(one), len(two)) == (69, 69)
    assert (one[68], two[68]) == (str(compute_checksum(one)), str(compute_checksum(two)))
    assert TleRecord.from_lines(one, two) == record


@given(records)
def test_the_sgp4_package_reads_our_lines_as_we_do(record: TleRecord) -> None:
    theirs = Satrec.twoline2rv(*record.to_lines(), WGS72)
    ours = record.to_satrec()
    assert theirs.satnum == ours.satnum == record.norad_id
    assert theirs.satnum_str == ours.satnum_str
    assert theirs.intldesg == record.intl_designator
    assert theirs.elnum == record.element_set
    assert int(theirs.revnum) == record.rev_number
    assert theirs.epochyr == ours.epochyr
    assert theirs.epochdays == pytest.approx(ours.epochdays, rel=1e-15)
    assert (theirs.jdsatepoch, theirs.jdsatepochF) == (ours.jdsatepoch, ours.jdsatepochF)
    for name in ("no_kozai", "ecco", "inclo", "nodeo", "argpo", "mo", "bstar"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-15), name


@given(records)
def test_the_sgp4_package_writes_our_elements_as_we_do(record: TleRecord) -> None:
    one, two = record.to_lines()
    their_one, their_two = export_tle(record.to_satrec())
    # Its writer shows zero as +0, keeps no column for a minus sign in front of an angle that is
    # zero, and rounds after a trip through radians: compare number by number.
    assert (their_one[:9], their_one[18:20]) == (one[:9], one[18:20])
    assert their_one[9:17] == one[9:17]
    assert float(their_one[20:32]) == float(one[20:32])
    for part in (slice(8, 16), slice(17, 25), slice(34, 42), slice(43, 51)):
        assert abs(float(their_two[part]) - float(two[part])) <= 1.0001e-4
    assert abs(float(their_two[52:63]) - float(two[52:63])) <= 1.0001e-8
    assert their_two[26:33] == two[26:33]


@given(st.integers(0, 339_999))
@example(99_999)
@example(100_000)
@example(179_999)
@example(180_000)
@example(239_999)
@example(240_000)
@example(339_999)
def test_alpha5_agrees_with_the_sgp4_package(norad_id: int) -> None:
    text = tle.to_alpha5(norad_id)
    assert text == sgp4_to_alpha5(norad_id)
    assert tle.from_alpha5(text) == sgp4_from_alpha5(text) == norad_id


def test_alpha5_vectors() -> None:
    assert [tle.to_alpha5(n) for n in (5, 99_999, 100_000, 182_931, 339_999)] == [
        "00005",
        "99999",
        "A0000",
        "J2931",
        "Z9999",
    ]
    assert tle.from_alpha5("    5") == 5
    for bad in (
        "I0000",
        "O0000",
        "a0000",
        "A 000",
        "AA000",
        "0000",
        "     ",
        "5    ",
        "1_000",
        "٣٣٣٣٣",
    ):
        with pytest.raises(tle.ElementOutOfRange):
            tle.from_alpha5(bad)
    for beyond in (-1, 340_000):
        with pytest.raises(tle.ElementOutOfRange):
            tle.to_alpha5(beyond)


@given(st.integers(0, 67), st.sampled_from("0123456789- .+ABC"))
def test_the_checksum_agrees_with_the_sgp4_package(at: int, char: str) -> None:
    line = VANGUARD[0][:at] + char + VANGUARD[0][at + 1 :]
    assert tle.checksum(line) == compute_checksum(line)


@given(
    st.integers(0, 1),
    st.integers(0, 68),
    st.characters(codec="ascii", categories=("Nd", "L", "Z", "P")),
)
def test_one_wrong_character_is_found_or_harmless(which: int, at: int, char: str) -> None:
    lines = list(VANGUARD)
    if lines[which][at] == char:
        return
    lines[which] = lines[which][:at] + char + lines[which][at + 1 :]
    try:
        read = TleRecord.from_lines(*lines)
    except tle.TleError:
        return
    # What passes the columns and the checksum changed no number the record holds: a letter of the
    # designator, the class, a space that counts as zero.
    assert msgspec.structs.replace(read, intl_designator="") == msgspec.structs.replace(
        RECORD, intl_designator=""
    )


def replaced(line: int, column: int, text: str) -> tuple[str, str]:
    """The Vanguard lines with `text` from `column` (from 1), checksum made right again."""
    lines = list(VANGUARD)
    old = lines[line - 1]
    new = old[: column - 1] + text + old[column - 1 + len(text) :]
    lines[line - 1] = new[:68] + str(compute_checksum(new))
    return lines[0], lines[1]


@pytest.mark.parametrize(
    ("lines", "kind", "line", "column", "message"),
    [
        ((VANGUARD[0][:68], VANGUARD[1]), tle.BadLineLength, 1, None, "68, expected 69 columns"),
        ((VANGUARD[0], VANGUARD[1] + "5"), tle.BadLineLength, 2, None, "70, expected 69 columns"),
        ((VANGUARD[0], ""), tle.BadLineLength, 2, None, "found 0"),
        ((VANGUARD[1], VANGUARD[0]), tle.BadColumns, 1, 1, "found '2 ', expected '1 '"),
        ((VANGUARD[0][:68] + "4", VANGUARD[1]), tle.BadChecksum, 1, 69, "found '4', expected 3"),
        (replaced(2, 3, "00006"), tle.CatalogNumberMismatch, 2, 3, "found 6, expected 5"),
        (replaced(1, 3, "O0005"), tle.BadColumns, 1, 3, "not I, not O"),
        (replaced(2, 9, " 34,2682"), tle.BadColumns, 2, 9, "found ' 34,2682', expected degrees"),
        (replaced(2, 9, "180.0001"), tle.BadColumns, 2, 9, "expected 0 to 180"),
        (replaced(2, 18, "360.0001"), tle.BadColumns, 2, 18, "expected 0 to 360"),
        (replaced(2, 27, "18 9667"), tle.BadColumns, 2, 27, "seven digits"),
        (replaced(2, 53, " 0.00000000"), tle.BadColumns, 2, 53, "more than 0"),
        (replaced(1, 21, "367.00000000"), tle.BadColumns, 1, 21, "below 367"),
        (replaced(1, 21, "000.50000000"), tle.BadColumns, 1, 21, "1 to below 367"),
        (replaced(1, 54, " 28098e4"), tle.BadColumns, 1, 54, "signed exponent"),
        (replaced(1, 18, "x"), tle.BadColumns, 1, 18, "found 'x', expected a space"),
        (replaced(1, 65, "    "), tle.BadColumns, 1, 65, "up to four digits"),
    ],
)
def test_what_is_wrong_is_said(
    lines: tuple[str, str], kind: type[tle.TleError], line: int, column: int | None, message: str
) -> None:
    for read in (TleRecord.from_lines, tle.validate_tle):
        with pytest.raises(kind) as caught:
            read(*lines)
        error = caught.value
        assert (error.line, error.column, error.row) == (line, column, None)
        assert message in str(error)
        assert f"TLE line {line}" in str(error)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ((VANGUARD[0][:68], VANGUARD[1]), "length"),
        ((VANGUARD[0], VANGUARD[1] + "0"), "length"),
        ((VANGUARD[1], VANGUARD[0]), "line number"),
        ((VANGUARD[0], VANGUARD[0]), "line number"),
        ((VANGUARD[0][:68] + "4", VANGUARD[1]), "checksum"),
        (replaced(2, 3, "00006"), "catalogue number"),
        (replaced(2, 27, "18 9667"), "columns"),
        (replaced(2, 9, "180.0001"), "range"),
        (replaced(2, 9, "999.0000"), "range"),
        (replaced(2, 35, "360.0001"), "range"),
        (replaced(2, 44, "360.0001"), "range"),
        (replaced(2, 53, " 0.00000000"), "range"),
        (replaced(1, 21, "367.00000000"), "range"),
    ],
)
def test_each_error_has_its_kind(lines: tuple[str, str], kind: str) -> None:
    with pytest.raises(tle.TleError) as caught:
        tle.validate_tle(*lines)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.kind, error.detail) == (kind, str(caught.value))


def test_errors_of_files_and_values_have_their_kinds() -> None:
    assert tle.StrayLines(3, 4, "?").kind == "stray lines"
    assert tle.BadTleFile("a.tle.gz", "cut short").kind == "file"
    assert tle.ElementOutOfRange("norad_id", -1, "0 or more").kind == "range"


def test_the_greatest_elements_are_valid() -> None:
    for place, text in ((9, "180.0000"), (18, "360.0000"), (27, "9999999"), (53, "99.99999999")):
        tle.validate_tle(*replaced(2, place, text))


def test_lines_must_be_text() -> None:
    for lines in ((VANGUARD[0].encode(), VANGUARD[1].encode()), (VANGUARD[0], None)):
        with pytest.raises(TypeError, match="as str"):
            TleRecord.from_lines(*lines)  # type: ignore[arg-type]


def test_text_in_other_hands_is_read() -> None:
    """Habits of real files: space-padded numbers, plus signs, a blank ephemeris type, day 366."""
    padded = (replaced(1, 3, "    5")[0], replaced(2, 3, "    5")[1])
    assert TleRecord.from_lines(*padded) == RECORD
    for column, text in (
        (34, "+"),
        (45, "+"),
        (54, "+"),
        (51, "+"),
        (63, " "),
        (8, "S"),
        (21, " "),
    ):
        one = replaced(1, column, text)[0]
        if column == 21:
            one = replaced(1, 21, "  9.78495062")[0]
            assert TleRecord.from_lines(one, VANGUARD[1]).epoch == 9.78495062
        else:
            assert TleRecord.from_lines(one, VANGUARD[1]) == RECORD
    late = replaced(1, 19, "19366.82137887")[0]  # 2019 had 365 days; SGP4 files have said this
    assert TleRecord.from_lines(late + "  \r\n", VANGUARD[1] + " ").epoch == 19366.82137887


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norad_id": 340_000}, "339999"),
        ({"element_set": 10_000}, "0 to 9999"),
        ({"rev_number": 100_000}, "0 to 99999"),
        ({"mean_motion": 100.0}, "below 100"),
        ({"mean_motion": 99.999999996}, "below 100"),
        ({"mean_motion": 0.0}, "above 0"),
        ({"mean_motion": 1e-9}, "above 0"),
        ({"raan": -0.1}, "0 to 360"),
        ({"arg_perigee": 360.1}, "0 to 360"),
        ({"mean_anomaly": 1e300}, "0 to 360"),
        ({"bstar": 1e9}, "below 10^9"),
        ({"bstar": -0.999999e9}, "below 10^9"),
        ({"epoch": 179_000.5}, "YYDDD"),
        ({"epoch": 24_000.5}, "YYDDD"),
        ({"epoch": 24_367.0}, "YYDDD"),
        ({"epoch": -1.0}, "YYDDD"),
    ],
)
def test_to_lines_refuses_what_no_column_holds(change: dict[str, object], message: str) -> None:
    record = msgspec.structs.replace(RECORD, **change)
    record.pack()  # 82 bytes hold it
    with pytest.raises(tle.ElementOutOfRange, match=message.replace("^", r"\^")):
        record.to_lines()


@given(loose)
def test_to_lines_writes_what_from_lines_reads_or_refuses(record: TleRecord) -> None:
    try:
        lines = record.to_lines()
    except tle.ElementOutOfRange:
        return
    assert TleRecord.from_lines(*lines).to_lines() == lines


@given(
    st.floats(1, 366.9999999999),
    st.floats(0, 360),
    st.floats(0, 1, exclude_max=True),
    st.floats(1e-8, 99.99999999),
    st.floats(-0.9999e9, 0.9999e9),
)
@example(366.9999999999, 360.0, 0.99999999, 5.0, -1e-11)
@example(1.0, -0.0, 0.0, 5.0, 1e-15)
def test_rounding_to_text_is_off_by_half_a_digit_at_most(
    day: float, angle: float, eccentricity: float, motion: float, bstar: float
) -> None:
    record = msgspec.structs.replace(
        RECORD,
        epoch=24_000 + day,
        raan=angle,
        inclination=angle / 2,
        eccentricity=eccentricity,
        mean_motion=motion,
        bstar=bstar,
    )
    read = TleRecord.from_lines(*record.to_lines())
    # One whole digit at the upper ends, where rounding up would leave the field.
    assert abs(read.epoch - record.epoch) <= 1.01e-8
    assert abs(read.raan - angle) <= 0.5001e-4
    assert abs(read.inclination - angle / 2) <= 0.5001e-4
    assert abs(read.eccentricity - eccentricity) <= 1.01e-7
    assert abs(read.mean_motion - motion) <= 0.5001e-8
    assert abs(read.bstar - bstar) <= max(0.5001e-4 * abs(bstar), 0.5001e-14)


# -- sgp4 -------------------------------------------------------------------------------------


def test_to_satrec_carries_an_id_beyond_text_as_zero() -> None:
    far = msgspec.structs.replace(RECORD, norad_id=340_000).to_satrec()
    near = RECORD.to_satrec()
    assert (far.satnum, near.satnum) == (0, 5)
    assert far.sgp4_tsince(360.0) == near.sgp4_tsince(360.0)


def test_catalogue_text_has_a_name_line_only_where_there_is_a_name() -> None:
    array = tle.records_to_array([RECORD, RECORD])
    text = tle.format_tle_lines(array, ["VANGUARD 1", ""])
    one, two = RECORD.to_lines()
    assert text == f"0 VANGUARD 1\n{one}\n{two}\n{one}\n{two}\n"

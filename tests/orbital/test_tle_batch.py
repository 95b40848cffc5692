"""A batch of element sets: each is a record or an error, and none disappears."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.orbital import tle
from meridian.orbital.catalog import synthetic_catalog

RECORDS = tle.array_to_records(synthetic_catalog(40, seed=11))
PAIRS = [record.to_lines() for record in RECORDS]


def shortened(one: str, two: str) -> tuple[str, str]:
    return one[:68], two


def with_wrong_checksum(one: str, two: str) -> tuple[str, str]:
    return one, two[:68] + str((int(two[68]) + 1) % 10)


def of_another_object(one: str, two: str) -> tuple[str, str]:
    other = two[:2] + ("00001" if two[2:7] != "00001" else "00002") + two[7:68]
    return one, other + str(tle.checksum(other))


DAMAGES = {
    shortened: tle.BadLineLength,
    with_wrong_checksum: tle.BadChecksum,
    of_another_object: tle.CatalogNumberMismatch,
}


@given(st.lists(st.sampled_from([None, *DAMAGES]), min_size=1, max_size=len(PAIRS)))
def test_every_pair_is_accounted_for(damages: list) -> None:  # type: ignore[type-arg]
    lines: list[str] = []
    for (one, two), damage in zip(PAIRS, damages, strict=False):
        lines += damage(one, two) if damage else (one, two)
    records, errors = tle.parse_tle_batch("\n".join(lines))
    assert records == [record for record, d in zip(RECORDS, damages, strict=False) if not d]
    assert [type(error) for error in errors] == [DAMAGES[d] for d in damages if d]
    rows = [2 * i + 1 for i, d in enumerate(damages) if d]
    assert [error.row is not None and (error.row - 1) // 2 * 2 + 1 for error in errors] == rows


@pytest.mark.parametrize("raw", ["", "\n\n  \n"])
def test_nothing_gives_nothing(raw: str) -> None:
    assert tle.parse_tle_batch(raw) == ([], [])


def test_a_line_without_its_pair_is_an_error() -> None:
    records, errors = tle.parse_tle_batch("\n".join([PAIRS[0][0], *PAIRS[1], PAIRS[2][1]]))
    assert records == [RECORDS[1]]
    assert [error.row for error in errors] == [1, 4]

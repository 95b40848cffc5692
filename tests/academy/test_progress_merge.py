"""Merging two records: order does not matter, repeating it does not matter, nothing gets worse."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.progress_records import (
    CapstoneRecord,
    CheckRecord,
    LessonRecord,
    Record,
    SubmissionRecord,
    merge,
)

TIMES = st.sampled_from([f"2026-01-0{day}T00:00:00.000Z" for day in range(1, 6)])
LESSONS = st.builds(
    LessonRecord,
    correct=st.integers(0, 5),
    total=st.just(5),
    attempts=st.integers(1, 9),
    digest=st.just("d"),
    tried_at=TIMES,
    passed_at=st.none() | TIMES,
)
SUBMISSIONS = st.builds(
    SubmissionRecord,
    at=TIMES,
    score=st.integers(0, 100).map(float),
    max_score=st.just(100.0),
    bonus=st.just(0.0),
    passed=st.booleans(),
    submission_sha256=st.sampled_from(["a", "b"]),
    path=st.just("p"),
    outcomes=st.just({}),
).map(  # one moment and one content have one verdict
    lambda s: msgspec.structs.replace(
        s, score=float(len(s.at + s.submission_sha256) % 7), passed=s.submission_sha256 == "a"
    )
)
CAPSTONES = st.builds(
    CapstoneRecord,
    checks=st.integers(0, 9),
    last_check=st.none()
    | TIMES.map(lambda at: CheckRecord(at=at, score=1.0, max_score=100.0, outcomes={})),
    submissions=st.lists(SUBMISSIONS, max_size=3).map(
        lambda items: tuple(
            sorted({(s.at, s.submission_sha256): s for s in items}.values(), key=lambda s: s.at)
        )
    ),
    opened_locked_at=st.just(()),
    resets=st.just(()),
)
RECORDS = st.builds(
    Record,
    schema_version=st.just(1),
    lessons=st.dictionaries(st.sampled_from("xyz"), LESSONS),
    capstones=st.dictionaries(st.sampled_from("xy"), CAPSTONES),
    sessions=st.just({}),
)


def same(a: Record, b: Record) -> bool:
    """Equal, but for the order of submissions of one moment."""

    def plain(record: Record) -> Record:
        capstones = {
            key: msgspec.structs.replace(
                c,
                submissions=tuple(sorted(c.submissions, key=lambda s: (s.at, s.submission_sha256))),
            )
            for key, c in record.capstones.items()
        }
        return msgspec.structs.replace(record, capstones=capstones)

    return plain(a) == plain(b)


@given(RECORDS, RECORDS)
def test_either_side_may_import_the_other(a: Record, b: Record) -> None:
    assert same(merge(a, b), merge(b, a))


@given(RECORDS, RECORDS)
def test_importing_again_changes_nothing(a: Record, b: Record) -> None:
    merged = merge(a, b)
    assert same(merge(merged, b), merged)
    assert same(merge(merged, a), merged)
    assert same(merge(merged, merged), merged)


@given(RECORDS, RECORDS)
def test_nothing_gets_worse(a: Record, b: Record) -> None:
    merged = merge(a, b)
    for record in (a, b):
        for key, lesson in record.lessons.items():
            kept = merged.lessons[key]
            assert (kept.passed_at is not None) >= (lesson.passed_at is not None)
            assert (kept.passed_at is not None, kept.correct) >= (
                lesson.passed_at is not None,
                lesson.correct,
            )
        for key, capstone in record.capstones.items():
            assert all(s in merged.capstones[key].submissions for s in capstone.submissions)
            assert merged.capstones[key].passed >= capstone.passed


@given(RECORDS)
def test_a_record_survives_the_file(record: Record) -> None:
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record

"""The learner's record: states, the next step, carrying it, and a file that is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from meridian.academy.curriculum import Curriculum, UnknownKey, load
from meridian.academy.progress import ProgressCorrupt, ProgressStore, ProgressTooNew
from tests.academy.courses import index_with_only, only

ROOT = Path(__file__).resolve().parents[2]
MODULE = "database/01-storage"
LESSONS = [f"{MODULE}/{n}" for n in (1, 2, 3)]


class StillClock:
    """Stands at one moment until it is moved."""

    def __init__(self) -> None:
        self.ns = 1_760_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    def tick(self, seconds: int = 60) -> None:
        self.ns += seconds * 10**9


@pytest.fixture(scope="module")
def course() -> Curriculum:
    return only(load(ROOT), MODULE)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def store(tmp_path: Path, course: Curriculum, clock: StillClock) -> ProgressStore:
    return ProgressStore(tmp_path / ".meridian" / "progress.json", curriculum=course, clock=clock)


def report(
    passed: int = 8, *, score: float = 100, wins: bool = True, benchmark: bool = True
) -> dict:
    """A grader's report in which the first `passed` criteria passed."""
    outcomes = ["passed"] * passed + ["failed"] * (8 - passed)
    if not benchmark:
        outcomes[-1] = "not_run"
    return {
        "schema_version": 1,
        "capstone": MODULE,
        "score": score,
        "max_score": 100,
        "bonus": 3,
        "passed": wins,
        "submission_sha256": "ab" * 32,
        "criteria": [
            *({"id": str(i + 1), "outcome": o} for i, o in enumerate(outcomes)),
            {"id": "overflow", "outcome": "failed"},  # a bonus holds nobody up
        ],
    }


def pass_lessons(store: ProgressStore) -> None:
    for key in LESSONS:
        store.record_quiz(key, 5, 5, "digest")


def test_nothing_is_written_until_something_happened(store: ProgressStore) -> None:
    assert store.lesson_state(LESSONS[0]) == "new"
    assert store.capstone_state(MODULE) == "new"
    assert not store.unlocked(MODULE)
    assert not store.path.parent.exists()


def test_a_lesson_goes_from_new_to_tried_to_passed(store: ProgressStore) -> None:
    store.record_quiz(LESSONS[0], 3, 5, "digest")
    assert store.lesson_state(LESSONS[0]) == "tried"
    store.record_quiz(LESSONS[0], 4, 5, "digest")
    assert store.lesson_state(LESSONS[0]) == "passed"
    store.record_quiz(LESSONS[0], 1, 5, "digest")
    lesson = store.record().lessons[LESSONS[0]]
    assert (lesson.correct, lesson.total, lesson.attempts) == (4, 5, 3)
    assert store.lesson_state(LESSONS[0]) == "passed"


def test_a_new_edition_of_a_quiz_starts_afresh_but_takes_no_pass_away(
    store: ProgressStore, clock: StillClock
) -> None:
    store.record_quiz(LESSONS[0], 5, 5, "old")
    first = store.record().lessons[LESSONS[0]]
    clock.tick()
    store.record_quiz(LESSONS[0], 1, 4, "new")
    lesson = store.record().lessons[LESSONS[0]]
    assert (lesson.correct, lesson.total, lesson.digest) == (1, 4, "new")
    assert lesson.passed_at == first.passed_at == "2025-10-09T08:53:20.000Z"
    assert store.lesson_state(LESSONS[0]) == "passed"


@pytest.mark.parametrize(("correct", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_an_impossible_score_is_refused(store: ProgressStore, correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="Expected 0 <= correct <= total > 0"):
        store.record_quiz(LESSONS[0], correct, total, "digest")
    assert not store.path.exists()


def test_unknown_keys_are_refused_and_nothing_is_written(store: ProgressStore) -> None:
    for call in (
        lambda: store.record_quiz("database/01-storage/9", 5, 5, "d"),
        lambda: store.save_session("nonsense", {}),
        lambda: store.record_check("database/01-storge", report()),
        lambda: store.record_submission("database", report(), "x"),
        lambda: store.record_reset("x"),
        lambda: store.record_opened_locked("x"),
        lambda: store.lesson_state("database/01-storage"),
        lambda: store.capstone_state("x"),
        lambda: store.unlocked("x"),
        lambda: store.session("x"),
    ):
        with pytest.raises(UnknownKey):
            call()
    assert not store.path.exists()


def test_all_lessons_of_a_module_unlock_its_capstone(store: ProgressStore) -> None:
    for key in LESSONS:
        assert not store.unlocked(MODULE)
        store.record_quiz(key, 4, 5, "digest")
    assert store.unlocked(MODULE)
    assert not store.unlocked("database/02-btree")


def test_checks_and_submissions(store: ProgressStore, clock: StillClock) -> None:
    store.record_check(MODULE, report(3, wins=False, benchmark=False))
    assert store.capstone_state(MODULE) == "tried"
    store.record_submission(MODULE, report(6, score=70, wins=False), "/lab/one")
    assert store.capstone_state(MODULE) == "tried"
    clock.tick()
    store.record_submission(MODULE, report(8, score=90), "/lab/two")
    clock.tick()
    store.record_submission(MODULE, report(7, score=95, wins=False), "/lab/three")
    assert store.capstone_state(MODULE) == "passed"
    capstone = store.record().capstones[MODULE]
    assert capstone.checks == 1
    assert capstone.last_check.outcomes == {
        **{str(i): "passed" for i in (1, 2, 3)},
        **{str(i): "failed" for i in (4, 5, 6, 7)},
        "8": "not_run",
        "overflow": "failed",
    }
    assert [s.score for s in capstone.submissions] == [70, 90, 95]
    assert capstone.best.path == "/lab/two"  # a pass counts before a higher score without one


def test_a_report_that_is_none_is_refused(store: ProgressStore) -> None:
    broken = report()
    del broken["submission_sha256"]
    with pytest.raises(ValueError, match="submission_sha256"):
        store.record_submission(MODULE, broken, "x")
    with pytest.raises(KeyError):
        store.record_check(MODULE, {})
    assert not store.path.exists()


def test_opening_a_locked_capstone_and_resets_are_remembered(store: ProgressStore) -> None:
    store.record_opened_locked(MODULE)
    store.record_reset(MODULE)
    capstone = store.record().capstones[MODULE]
    assert capstone.opened_locked_at == capstone.resets == ("2025-10-09T08:53:20.000Z",)
    assert store.capstone_state(MODULE) == "new"


def test_a_half_finished_quiz_is_kept_until_it_is_finished(store: ProgressStore) -> None:
    assert store.session(LESSONS[0]) is None
    state = {"quiz": "q", "digest": "d", "round": 0, "given": [None], "queue": [0]}
    store.save_session(LESSONS[0], state)
    assert store.session(LESSONS[0]) == state
    store.record_quiz(LESSONS[0], 5, 5, "d")
    assert store.session(LESSONS[0]) is None


def test_the_next_step_walks_the_module(store: ProgressStore, clock: StillClock) -> None:
    def step() -> tuple[str, str, str]:
        clock.tick()
        found = store.next_step()
        return found.title, found.command, str(found.path)

    first = store.next_step()
    assert first.title == "Lesson 1 of 3: File formats and page layout"
    assert first.command == f"meridian quiz {LESSONS[0]}"
    assert first.path == Path("notebooks/database/01-storage/lesson-01-page-layout.ipynb")
    assert "not started" in first.why
    store.record_quiz(LESSONS[0], 2, 5, "d")
    assert "2 of 5" in store.next_step().why
    pass_lessons(store)
    capstone = "Capstone: TLE record page manager"
    page = "exercises/database/01-storage/capstone.ipynb"
    assert step() == (capstone, f"meridian check {MODULE}", page)
    store.record_check(MODULE, report(3, benchmark=False))
    assert step() == (capstone, f"meridian check {MODULE}", page)
    assert "3 of 7" in store.next_step().why
    store.record_check(MODULE, report(8, benchmark=False))
    assert step() == (capstone, f"meridian submit {MODULE}", page)
    store.record_submission(MODULE, report(5, score=60, wins=False), "x")
    assert step() == (capstone, f"meridian check {MODULE}", page)
    assert "60 of 100 points" in store.next_step().why
    store.record_check(MODULE, report(8, benchmark=False))
    assert step()[1] == f"meridian submit {MODULE}"
    store.record_submission(MODULE, report(), "x")
    title, command, path = step()
    assert (title, path) == ("Everything available is passed", "START HERE.ipynb")
    assert command == "meridian status"


def test_the_file_is_for_people_and_the_export_is_the_file(
    store: ProgressStore, tmp_path: Path
) -> None:
    pass_lessons(store)
    text = store.path.read_text()
    assert json.loads(text)["schema_version"] == 1
    assert len(text.splitlines()) > 20
    copy = store.export(tmp_path / "elsewhere" / "copy.json")
    assert copy.read_text() == text


def test_an_import_keeps_the_best_of_both(
    store: ProgressStore, tmp_path: Path, course: Curriculum, clock: StillClock
) -> None:
    other = ProgressStore(tmp_path / "other.json", curriculum=course, clock=clock)
    other.record_quiz(LESSONS[0], 5, 5, "d")
    other.record_quiz(LESSONS[1], 1, 5, "d")
    other.record_submission(MODULE, report(score=80), "there")
    clock.tick()
    store.record_quiz(LESSONS[0], 2, 5, "d")
    store.record_quiz(LESSONS[1], 3, 5, "d")
    store.record_quiz(LESSONS[2], 4, 5, "d")
    store.record_submission(MODULE, report(score=40, wins=False), "here")
    merged = store.import_(other.path)
    assert merged == store.record()
    assert [merged.lessons[key].correct for key in LESSONS] == [5, 3, 4]
    assert [store.lesson_state(key) for key in LESSONS] == ["passed", "tried", "passed"]
    assert [s.path for s in merged.capstones[MODULE].submissions] == ["there", "here"]
    assert store.import_(other.path) == merged
    assert other.import_(store.path) == merged


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Input data was truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `schema_version`"),
        ('{"schema_version": "1"}', "Expected `int`"),
        ('{"schema_version": 1, "lesons": {}}', "unknown field `lesons`"),
        ('{"schema_version": 1, "lessons": {"x": {"correct": -1}}}', "Expected `int` >= 0"),
        ('{"schema_version": 1} trailing', "trailing characters"),
        ("\ufeff\x00", "malformed"),
    ],
)
def test_a_damaged_file_is_moved_aside_whole_and_said(
    store: ProgressStore, text: str, reason: str
) -> None:
    store.path.parent.mkdir()
    store.path.write_text(text)
    with pytest.raises(ProgressCorrupt, match=reason) as caught:
        store.record()
    kept = caught.value.kept
    assert kept is not None
    assert kept.read_text() == text
    assert f"meridian import {kept}" in str(caught.value)
    assert store.lesson_state(LESSONS[0]) == "new"
    store.path.write_text(text)
    with pytest.raises(ProgressCorrupt) as again:
        store.record_quiz(LESSONS[0], 5, 5, "d")
    assert again.value.kept != kept
    assert kept.read_text() == text


def test_a_mended_file_comes_back_by_import(store: ProgressStore) -> None:
    pass_lessons(store)
    whole = store.path.read_text()
    store.path.write_text(whole[:-20])
    with pytest.raises(ProgressCorrupt) as caught:
        store.next_step()
    caught.value.kept.write_text(whole)
    store.import_(caught.value.kept)
    assert store.unlocked(MODULE)


def test_a_newer_file_is_left_alone(store: ProgressStore) -> None:
    store.path.parent.mkdir()
    text = '{"schema_version": 2, "moons": []}'
    store.path.write_text(text)
    for call in (store.record, lambda: store.record_quiz(LESSONS[0], 5, 5, "d")):
        with pytest.raises(ProgressTooNew, match="schema version 2, this program knows up to 1"):
            call()
    assert store.path.read_text() == text


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 1, "x": 1}'])
def test_a_damaged_import_touches_neither_file(
    store: ProgressStore, tmp_path: Path, text: str
) -> None:
    pass_lessons(store)
    before = store.path.read_bytes()
    source = tmp_path / "import.json"
    source.write_text(text)
    with pytest.raises(ProgressCorrupt):
        store.import_(source)
    assert store.path.read_bytes() == before
    assert source.read_text() == text
    with pytest.raises(FileNotFoundError):
        store.import_(tmp_path / "none.json")


def test_an_import_of_another_course_is_refused(store: ProgressStore, tmp_path: Path) -> None:
    pass_lessons(store)
    foreign = json.loads(store.path.read_text())
    foreign["lessons"]["cooking/01-soup/1"] = foreign["lessons"].pop(LESSONS[0])
    (tmp_path / "foreign.json").write_text(json.dumps(foreign))
    before = store.path.read_bytes()
    with pytest.raises(UnknownKey, match="cooking/01-soup/1"):
        store.import_(tmp_path / "foreign.json")
    assert store.path.read_bytes() == before


def test_the_default_place_is_in_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, course: Curriculum
) -> None:
    (tmp_path / "curriculum.toml").write_text(index_with_only(MODULE))
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    store = ProgressStore()
    assert store.path == tmp_path.resolve() / ".meridian" / "progress.json"
    assert store.next_step().key == LESSONS[0]
    assert ProgressStore(curriculum=course).path == ROOT / ".meridian" / "progress.json"


# -- several modules -------------------------------------------------------------------------------


@pytest.fixture
def wide(tmp_path: Path, clock: StillClock) -> ProgressStore:
    """Over three open modules in two tracks."""
    replace = msgspec.structs.replace
    chosen = {"foundation/01-tasks", "database/01-storage", "database/02-btree"}
    tracks = [
        replace(track, modules=tuple(replace(m, available=m.key in chosen) for m in track.modules))
        for track in load(ROOT).tracks
    ]
    course = Curriculum(ROOT, tuple(tracks))
    return ProgressStore(tmp_path / "wide.json", curriculum=course, clock=clock)


def test_the_next_step_stays_with_what_was_last_worked_on(
    wide: ProgressStore, clock: StillClock
) -> None:
    assert wide.next_step().key == "foundation/01-tasks/1"  # nothing yet: the course's order
    wide.record_quiz("database/01-storage/1", 5, 5, "d")
    assert wide.next_step().key == "database/01-storage/2"
    clock.tick()
    wide.record_quiz("foundation/01-tasks/1", 2, 5, "d")
    assert wide.next_step().key == "foundation/01-tasks/1"
    clock.tick()
    wide.record_check(MODULE, report())
    assert wide.next_step().key == "database/01-storage/2"


def test_a_finished_module_leads_to_the_next_of_its_track(
    wide: ProgressStore, clock: StillClock
) -> None:
    pass_lessons(wide)
    clock.tick()
    wide.record_check(MODULE, report())
    wide.record_submission(MODULE, report(), "submit-001")
    assert wide.next_step().key == "database/02-btree/1"

"""The progress store against a model that is three dicts, over any sequence of calls."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meridian.academy.curriculum import load
from meridian.academy.progress import ProgressStore
from tests.academy.courses import only

MODULE = "database/01-storage"
COURSE = only(load(Path(__file__).resolve().parents[2]), MODULE)
LESSONS = [lesson.key for lesson in COURSE.module(MODULE).lessons]


class Store(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "progress.json"
        self.store = ProgressStore(self.path, curriculum=COURSE)
        self.passed: set[str] = set()
        self.best: dict[str, tuple[str, int]] = {}  # lesson: edition, most right on it
        self.scores: list[tuple[bool, int]] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(key=st.sampled_from(LESSONS), right=st.integers(0, 5), edition=st.sampled_from("ab"))
    def take_a_quiz(self, key: str, right: int, edition: str) -> None:
        self.store.record_quiz(key, right, 5, edition)
        known, most = self.best.get(key, (edition, 0))
        self.best[key] = (edition, max(most, right) if known == edition else right)
        if right >= 4:
            self.passed.add(key)

    @rule(score=st.integers(0, 100), passed=st.booleans())
    def submit(self, score: int, passed: bool) -> None:
        report = {
            "score": score,
            "max_score": 100,
            "bonus": 0,
            "passed": passed,
            "submission_sha256": str(len(self.scores)),
            "criteria": [],
        }
        self.store.record_submission(MODULE, report, "somewhere")
        self.scores.append((passed, score))

    @rule()
    def carry_it_away_and_back(self) -> None:
        away = self.store.export(self.path.with_name("away.json"))
        self.path.unlink(missing_ok=True)
        self.store.import_(away)

    @rule()
    def import_an_older_copy_of_itself(self) -> None:
        away = self.store.export(self.path.with_name("away.json"))
        self.store.import_(away)

    @rule()
    def open_it_in_another_program(self) -> None:
        self.store = ProgressStore(self.path, curriculum=COURSE)

    @invariant()
    def says_what_the_model_says(self) -> None:
        record = self.store.record()
        for key in LESSONS:
            tried = "tried" if key in self.best else "new"
            state = "passed" if key in self.passed else tried
            assert self.store.lesson_state(key) == state
            if key in self.best:
                lesson = record.lessons[key]
                assert (lesson.digest, lesson.correct) == self.best[key]
        assert self.store.unlocked(MODULE) == (self.passed == set(LESSONS))
        submissions = record.capstones[MODULE].submissions if self.scores else ()
        assert [(s.passed, s.score) for s in submissions] == self.scores
        if self.scores:
            best = record.capstones[MODULE].best
            assert best is not None
            assert (best.passed, best.score) == max(self.scores)
        missing = [key for key in LESSONS if key not in self.passed]
        step = self.store.next_step()
        if missing:
            assert step.key == missing[0]
        else:
            done = any(passed for passed, _ in self.scores)
            assert step.key == (None if done else MODULE)


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)

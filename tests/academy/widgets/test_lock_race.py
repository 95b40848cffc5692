"""The race of locks: real threads, short; the picture says what was measured."""

from __future__ import annotations

import pytest
from svg_words import words

from meridian.academy.widgets.lock_race import LOCKS, WORK, LockRace, RaceResult, paint_race, race


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("work", WORK)
def test_threads_get_through_every_lock(name: str, work: str) -> None:
    result = race(name, work, 50, seconds=0.02)
    assert result.lock == name
    assert result.per_s > 0
    assert result.write_wait_ms is not None
    assert race(name, work, 100, seconds=0.01).write_wait_ms is None


def test_readers_that_wait_do_so_together() -> None:
    work = "a read that waits 2 ms"
    alone, together = (race(name, work, 100, seconds=0.2).per_s for name in ("Mutex", "RwLock"))
    assert together > 1.5 * alone


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KeyError):
        race("Lock", "a look into the dictionary", 50)
    with pytest.raises(KeyError):
        race("Mutex", "sleep", 50)


def test_the_picture_says_both_numbers() -> None:
    said = words(paint_race([RaceResult("<a>", 1234.5, 6.7), RaceResult("b", 1.0, None)], "Two"))
    assert {"Two", "<a>", "1,234", "6.7 ms", "nobody writes"} <= set(said)
    assert words(paint_race([], "None"))[0] == "None"


def test_a_control_runs_the_race_again() -> None:
    panel = LockRace()
    before = panel.results
    panel.read_percent.value = 100
    assert panel.results is not before
    assert [result.lock for result in panel.results] == list(LOCKS)
    assert "4 threads, 100 % reads, a read that waits 2 ms" in words(panel._view.value)

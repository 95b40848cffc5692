"""The playgrounds on how tasks end: each runs the real library, so its sentences must be true."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.cancellation import (
    CANCELLERS,
    CLEANUPS,
    CancellationLab,
    cancelled,
    lines,
)
from meridian.academy.widgets.drain import GRACE_S, STATIONS, DrainLab, drain
from meridian.academy.widgets.satellite_pass import ENDS, PassLab, run_pass
from meridian.academy.widgets.select_branches import BRANCHES, WAYS, SelectLab, run_selects
from meridian.foundation.tasks import PassOutcome

EDGE, TWICE, EARLY, LEVEL, TRIO = CANCELLERS
AWAITS, SHIELDS, HANDS_OVER, SWALLOWS = CLEANUPS


def never_ran(by: str, cleanup: str, needs_s: float = 0.02) -> list[str]:
    rows = lines(CLEANUPS[cleanup], cancelled(by, cleanup, needs_s))
    return [row.source.split('"')[1] for row in rows if row.marks and not row.at_s]


@pytest.mark.parametrize(
    ("by", "cleanup", "missed"),
    [
        (EDGE, AWAITS, ["pass over"]),
        (LEVEL, AWAITS, ["pass over", "state written"]),
        (TRIO, AWAITS, ["pass over", "state written"]),
        (EDGE, HANDS_OVER, ["pass over"]),
        (LEVEL, HANDS_OVER, ["pass over"]),
        (TRIO, HANDS_OVER, ["pass over"]),
        (EDGE, SWALLOWS, []),
        (LEVEL, SWALLOWS, ["more work done"]),
        (TRIO, SWALLOWS, ["more work done"]),
        (EARLY, AWAITS, ["receiving", "pass over", "cleanup begins", "state written"]),
    ],
)
def test_which_lines_never_run(by: str, cleanup: str, missed: list[str]) -> None:
    assert never_ran(by, cleanup) == missed


def test_a_shield_lets_the_cleanup_run() -> None:
    assert never_ran(LEVEL, SHIELDS, 0.0) == ["pass over"]


@pytest.mark.parametrize("by", [EDGE, LEVEL, TRIO])
def test_the_deadline_of_a_shield_ends_the_cleanup(by: str) -> None:
    assert never_ran(by, SHIELDS, 60.0) == ["pass over", "state written"]


def test_a_second_cancel_ends_the_cleanup_as_well() -> None:
    assert never_ran(TWICE, AWAITS, 60.0) == ["pass over", "state written"]


@pytest.mark.parametrize("by", [LEVEL, TRIO])
def test_the_exception_is_shown_at_the_awaits(by: str) -> None:
    rows = lines(CLEANUPS[AWAITS], cancelled(by, AWAITS))
    assert [row.source.strip() for row in rows if row.thrown] == [
        "await anyio.sleep(1)",
        "await write(needs_s)",
    ]


def test_the_cancellation_lab_says_and_paints_it() -> None:
    lab = CancellationLab(cleanup=SWALLOWS)
    assert lab.shown.words == (
        "The cancellation was thrown in twice; the task ended cancelled. Never ran: more work done."
    )
    lab.by.value = EDGE
    assert lab.shown.words == (
        "The cancellation was thrown in once; the task ended as if nothing had been. "
        "Every line ran."
    )
    listing, timeline = map(ET.fromstring, lab.shown.pictures)
    words = [node.text or "" for node in listing.iter() if node.tag.endswith("text")]
    assert any(word.startswith("▼ CancelledError at ") for word in words)
    assert timeline.tag.endswith("svg")
    assert lab.static_html().count("<img") == 2


@pytest.mark.parametrize(
    ("end", "outcome", "frames"),
    list(
        zip(
            ENDS,
            [
                PassOutcome.COMPLETED,
                PassOutcome.TIMED_OUT,
                PassOutcome.CANCELLED,
                PassOutcome.ERRORED,
                None,
            ],
            [100, 20, 20, 20, 20],
            strict=True,
        )
    ),
)
def test_every_end_of_a_pass_is_flushed_once(
    end: str, outcome: PassOutcome | None, frames: int
) -> None:
    run = run_pass(end, 1.0)
    assert run.outcome is outcome
    [(_, state)] = run.flushed
    assert state.outcome is (outcome or PassOutcome.CANCELLED)
    assert frames - 1 <= state.frames == len(run.frames_s) <= frames


def test_an_unknown_end_is_refused() -> None:
    with pytest.raises(ValueError, match="shutdown, the link fails"):
        run_pass("boredom")


@pytest.mark.parametrize(("end", "at_s"), list(itertools.product(ENDS, [0.0, 1.0, 6.0])))
def test_the_pass_lab_paints_every_end(end: str, at_s: float) -> None:
    lab = PassLab(end, at_s)
    assert "Calls of flush: 1, with" in lab.shown.words
    assert ET.fromstring(lab.shown.pictures[0]).tag.endswith("svg")


def test_one_deadline_holds_for_all() -> None:
    for deadline_s, stalled in itertools.product((0.0, 2.5, 8.0), (0, 1, 4)):
        run = drain(deadline_s, stalled=stalled)
        assert run.took_s <= deadline_s + GRACE_S
        assert run.count("drained") + run.count("aborted") == len(STATIONS)
        assert all(bar.end_s <= deadline_s for bar in run.bars if bar.fate == "drained")


def test_deadlines_in_turn_add_up() -> None:
    assert drain(3.0, stalled=4, in_turn=True).took_s >= 4 * 3.0


@pytest.mark.parametrize("in_turn", [False, True])
def test_a_shield_without_a_deadline_is_stuck(in_turn: bool) -> None:
    run = drain(3.0, shielded=True, in_turn=in_turn)
    assert [bar.name for bar in run.bars if bar.fate == "stuck"] == [STATIONS[-1]]


def test_more_stalled_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 12, got 13"):
        drain(1.0, stalled=13)


@pytest.mark.parametrize("deadline_s", [0.0, 3.0, 10.0])
def test_the_drain_lab_paints_every_session(deadline_s: float) -> None:
    lab = DrainLab(deadline_s, shielded=True)
    words = [n.text or "" for n in ET.fromstring(lab.shown.pictures[0]).iter()]
    assert set(STATIONS) <= set(words)
    assert sum(word.startswith(("✔", "⊘", "✘")) for word in words) == len(STATIONS)
    lab.in_turn.value = True
    lab.stalled.value = 6
    assert ("Promised were" in lab.shown.words) == (deadline_s > 0)


def test_only_the_naive_select_loses_items() -> None:
    by_chance, biased, naive = (run_selects(way, 200) for way in WAYS)
    for rows in (by_chance, biased, naive):
        assert sum(row.taken for row in rows) == 200
    assert sum(row.lost for row in by_chance + biased) == 0
    assert [row.taken for row in biased] == [200, 0, 0]
    assert all(row.taken > 20 for row in by_chance)  # chance of less: below 1e-11
    assert sum(row.lost for row in naive) == 400


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match=r"asyncio\.wait, got 'gather'"):
        run_selects("gather", 1)


def test_the_select_lab_counts_in_words() -> None:
    lab = SelectLab(WAYS[2], 100)
    assert lab.shown.words == "asyncio.wait: 100 items handled, 200 lost."
    lab.way.value = WAYS[1]
    words = [n.text or "" for n in ET.fromstring(lab.shown.pictures[0]).iter()]
    assert {*BRANCHES, "100 taken", "100 still there"} <= set(words)

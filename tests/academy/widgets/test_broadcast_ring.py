"""The ring of a broadcast, step by step, and its picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.broadcast_ring import BroadcastRing
from meridian.academy.widgets.fanout_runs import RingShot, run_ring
from meridian.academy.widgets.ring_svg import paint_ring


def words(shot: RingShot) -> list[str]:
    root = ET.fromstring(paint_ring(shot, 1, 9, batches=18))
    return [node.text or "" for node in root.iter() if node.tag.endswith("text")]


@pytest.mark.parametrize("slow_s", [0.5, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("capacity", [1, 2, 6, 12])
def test_the_account_of_every_session_is_right_after_every_step(
    slow_s: float, capacity: int
) -> None:
    told = dict.fromkeys("ABC", 0)
    shots = run_ring(slow_s, capacity=capacity)
    for shot in shots:
        assert shot.capacity == capacity
        assert 0 <= shot.head - shot.tail <= capacity
        for reader in shot.readers:
            assert reader.received + reader.missed + reader.pending == shot.head
            told[reader.name] += reader.lagged
            assert reader.untold == reader.missed - told[reader.name]
            for position in range(reader.place, shot.head):  # what it may still read lies there
                assert shot.slots[position % capacity] == position + 1
    for reader in shots[-1].readers:
        assert (reader.pending, reader.untold, reader.doing) == (0, 0, "ended")
        assert reader.missed == 0 or reader.name == "C"
    assert all(batch is None for batch in shots[-1].slots)


def test_two_runs_are_the_same() -> None:
    first = run_ring(3.0)
    assert all(run_ring(3.0) == first for _ in range(5))


def test_nothing_is_logged_into_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert any(reader.missed for reader in run_ring(6.0)[-1].readers)
    assert capsys.readouterr().out == ""


def test_a_picture_names_batches_states_and_losses() -> None:
    shots = run_ring(3.0)
    lagged = next(shot for shot in shots if shot.readers[2].lagged)
    said = words(lagged)
    assert "Lagged(2)" in said
    assert "C!" in said
    assert "4 received + 2 missed + 6 pending = 12 sent" in said
    assert {"7", "8", "9", "10", "11", "12"} <= set(said)
    overtaken = [shot for shot in shots if shot.readers[2].untold]
    assert "! overtaken by 1" in words(overtaken[0])
    assert "over batch 5, which C had not read" in overtaken[0].said
    assert "0 received + 0 missed + 0 pending = 0 sent" in words(shots[0])


def test_buttons_walk_and_find_who_is_told() -> None:
    ring = BroadcastRing()
    assert ring.shot.readers[2].lagged == 2
    here = ring.step.value
    ring.buttons["Next Lagged"].click()
    assert ring.step.value > here
    assert ring.shot.readers[2].lagged == 2
    ring.step.value = here
    ring.buttons["Back"].click()
    assert ring.step.value == here - 1
    ring.buttons["Step"].click()
    assert ring.shot.said in ring.static_html()
    ring.step.value = 0
    ring.buttons["Back"].click()
    assert ring.step.value == 0
    for _ in range(9):
        ring.buttons["Next Lagged"].click()
    assert ring.step.value == ring.step.max
    ring.buttons["Step"].click()
    assert ring.step.value == ring.step.max


def test_sliders_run_the_program_anew() -> None:
    ring = BroadcastRing()
    ring.step.value = ring.step.max
    ring.slow_s.value = 0.5
    assert ring.step.value < ring.step.max == len(ring.shots) - 1  # more was read
    assert ring.shots[-1].readers[2].missed == 0
    ring.slow_s.value = 6.0
    assert ring.step.value <= ring.step.max == len(ring.shots) - 1
    ring.capacity.value = 1
    assert ring.shot.capacity == 1
    assert ring.static_text() == f"[picture] {ring.shot.said}"

"""The machine with store buffers: what it allows, how it is drawn, what the buttons do."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.store_buffer_model import PROGRAMS, Access, Move, outcomes, start
from meridian.academy.widgets.store_buffer_svg import happened, paint_machine
from meridian.academy.widgets.store_buffers import StoreBuffers, play
from meridian.foundation.sync.litmus import LITMUS


def one_at_a_time(test: str) -> set[tuple[int, ...]]:
    """Every outcome of taking turns, by permuting the statements: knows nothing of buffers."""
    programs = PROGRAMS[test]
    turns = [core for core, program in enumerate(programs) for _ in program]
    found = set()
    for order in set(itertools.permutations(turns)):
        left: list[list[Access]] = [list(program) for program in programs]
        memory: set[str] = set()
        loads: list[list[int]] = [[] for _ in programs]
        for core in order:
            access = left[core].pop(0)
            if access.kind == "store":
                memory.add(access.cell)
            else:
                loads[core].append(int(access.cell in memory))
        found.add(tuple(value for core in loads for value in core))
    return found


@pytest.mark.parametrize("test", PROGRAMS)
def test_a_fenced_machine_does_what_taking_turns_does(test: str) -> None:
    assert outcomes(test, fenced=True) == one_at_a_time(test)


@pytest.mark.parametrize("test", PROGRAMS)
def test_no_turns_explain_what_the_library_calls_weak(test: str) -> None:
    assert LITMUS[test].weak not in one_at_a_time(test)
    assert len(PROGRAMS[test]) == LITMUS[test].threads


def test_buffers_add_one_outcome_to_store_buffering_and_none_elsewhere() -> None:
    extra = {test: outcomes(test) - outcomes(test, fenced=True) for test in PROGRAMS}
    assert extra == {"SB": {(0, 0)}, "MP": set(), "LB": set(), "IRIW": set()}


def test_a_core_sees_its_own_store_before_memory_does() -> None:
    machine = start("SB")._replace(programs=((Access("store", "x"), Access("load", "x")), ()))
    for _ in range(2):
        machine = machine.after(Move(0, "run"))
    assert machine.loads[0] == (1,)
    assert machine.memory == frozenset()


def test_stores_of_one_core_reach_memory_in_order() -> None:
    *_, before, after = play("MP", "AAa")
    assert before.buffers[0] == ("x", "y")
    assert after.memory == {"x"}


@pytest.mark.parametrize("steps", ["a", "AAA", "Z", "1"])
def test_a_step_that_cannot_happen_is_refused(steps: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        play("SB", steps)


def test_an_unknown_test_is_refused() -> None:
    with pytest.raises(ValueError, match="SB, MP, LB, IRIW, got 'XX'"):
        start("XX")
    with pytest.raises(ValueError, match="SB, MP, LB, got 'IRIW'"):
        StoreBuffers("IRIW")


@pytest.mark.parametrize("test", PROGRAMS)
def test_every_state_can_be_drawn_and_said(test: str) -> None:
    machine = start(test)
    while True:
        svg = paint_machine(machine, LITMUS[test].weak, title="a < b")
        assert ET.fromstring(svg).attrib["aria-label"] == happened(machine, LITMUS[test].weak)
        if not machine.moves():
            break
        machine = machine.after(machine.moves()[-1])
    assert machine.outcome is not None


def test_the_weak_outcome_is_marked_and_named() -> None:
    panel = StoreBuffers("SB", steps="ABAB")
    assert "◆ Outcome (0, 0): weak" in panel.svg()
    assert "in store buffers x=1 of core A, y=1 of core B" in panel.static_text()
    ordinary = StoreBuffers("SB", steps="AaABB")
    assert "✔ Outcome (0, 1)" in ordinary.said


def test_the_history_says_where_each_value_came_from() -> None:
    assert StoreBuffers("SB").history == ""
    assert StoreBuffers("SB", steps="AAaBB").history == (
        "1. A stores x = 1 into its buffer;  2. A reads y = 0 from memory;  "
        "3. x = 1 of core A reaches memory;  4. B stores y = 1 into its buffer;  "
        "5. B reads x = 1 from memory"
    )


def test_only_buttons_that_can_do_something_are_enabled() -> None:
    panel = StoreBuffers("SB", fenced=True)
    run, drain = panel.buttons[Move(0, "run")], panel.buttons[Move(0, "drain")]
    assert (run.disabled, drain.disabled, panel.undo.disabled) == (False, True, True)
    run.click()
    assert (run.disabled, drain.disabled, panel.undo.disabled) == (True, False, False)
    assert "waits for the drain" in panel.svg()
    drain.click()
    assert panel.machine.memory == {"x"}
    panel.undo.click()
    assert panel.machine.buffers[0] == ("x",)
    panel.restart.click()
    assert panel.machine == start("SB", fenced=True)


def test_another_test_or_order_begins_anew() -> None:
    panel = StoreBuffers("SB", steps="AB")
    panel.test.value = "MP"
    assert panel.machine == start("MP")
    panel.step(Move(0, "run"))
    panel.order.value = True
    assert panel.machine == start("MP", fenced=True)
    panel.step(Move(0, "drain"))  # nothing to drain: nothing happens
    assert len(panel.states) == 1

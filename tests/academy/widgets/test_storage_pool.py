"""Pictures of a pool: states follow the definition, sentences are true, controls act."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meridian.academy.widgets.base import HTML_MIME, VIEW_MIME
from meridian.academy.widgets.pool_trace import MAX_ACCESSES, MAX_PAGE
from meridian.academy.widgets.storage_pool import (
    TRACES,
    Access,
    Outcome,
    PoolStepper,
    read_trace,
    run_trace,
    show_pool,
)
from meridian.testing.storage import NoVictim, PolicyModel

POLICIES = ("lru", "clock", "2q")
TOKENS = st.builds(
    lambda page, marks: f"{page}{marks}",
    st.integers(1, 9),
    st.sampled_from(["", "", "w", "s", "+", "w+", "s+", "-", "-"]),
)
LISTS = st.lists(TOKENS, min_size=1, max_size=40).map(" ".join)


def words(svg: str) -> str:
    """All text of a picture, tooltips left out."""
    return " ".join(
        "".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")
    )


# The trace language


def test_every_token_of_the_language():
    assert read_trace("3 3w 3s, 3+ 3- 12sw+") == [
        Access("3", 3),
        Access("3w", 3, write=True),
        Access("3s", 3, scan=True),
        Access("3+", 3, keep=True),
        Access("3-", 3, unpin=True),
        Access("12sw+", 12, write=True, scan=True, keep=True),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one page number"),
        (" , ", "at least one page number"),
        ("1 2 x", "got 'x'"),
        ("1 -2", "got '-2'"),
        ("1w-", "got '1w-'"),
        ("0", "page from 1 to 99"),
        ("100", "page from 1 to 99"),
        ("9" * 5000, "page from 1 to 99"),
        ("١", "got"),
        ("1 " * (MAX_ACCESSES + 1), "at most 120 accesses, got 121"),
    ],
)
def test_what_is_no_trace_is_refused_by_name(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_trace(text)


# The states


@given(LISTS, st.sampled_from(POLICIES), st.integers(1, 6))
@example("1+ 2+ 3 2- 3 1- 4 4- 4", "clock", 2)
@settings(max_examples=60, deadline=None)
def test_states_follow_the_definition_of_the_policy(trace, policy, frames):
    run = run_trace(trace, frames, policy)
    model = PolicyModel(policy, frames)
    pins: dict[int, int] = {}
    for step in run.steps[1:]:
        access = step.access
        assert access is not None
        page = access.page_id
        if access.unpin:
            expected = Outcome.UNPIN if pins.get(page) else Outcome.NOT_PINNED
            assert step.outcome is expected
            pins[page] = max(0, pins.get(page, 0) - 1)
            continue
        try:
            want = model.access(page, [p for p in pins if pins[p]], scan=access.scan)
        except NoVictim:
            assert step.outcome is Outcome.REFUSED
        else:
            assert step.outcome is (Outcome.HIT if want.hit else Outcome.MISS)
            assert (step.frame, step.victim) == (want.frame, want.victim)
            pins[page] = pins.get(page, 0) + access.keep
        assert [frame.page_id for frame in step.state.frames] == model.pages
        assert {f.page_id: f.pins for f in step.state.frames if f.pins} == {
            p: n for p, n in pins.items() if n
        }


@given(LISTS, st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_queues_hold_each_resident_page_once_and_name_the_victim(trace, frames):
    for policy, names in (("lru", ["LRU"]), ("2q", ["A1in", "Am"])):
        run = run_trace(trace, frames, policy)
        for before, step in zip(run.steps, run.steps[1:], strict=False):
            queued = [page for name in names for page in step.state.queues[name]]
            resident = [f.page_id for f in step.state.frames if f.page_id is not None]
            assert sorted(queued) == sorted(resident)
            assert not set(step.state.queues.get("A1out", ())) & set(resident)
            if policy == "lru" and step.victim is not None:
                free = [p for p in before.state.queues["LRU"] if p not in before.state.pinned]
                assert step.victim == free[0]


def test_a_write_makes_a_page_dirty_until_its_frame_is_needed():
    run = run_trace("1w 2 3", frames=2, policy="lru")
    assert [step.state.frames[0].dirty for step in run.steps] == [False, True, True, False]
    assert [step.state.writebacks for step in run.steps] == [0, 0, 0, 1]
    assert "page 1 leaves, written back first" in run.steps[3].why


# The reasons


@pytest.mark.parametrize(
    ("trace", "policy", "frames", "said"),
    [
        ("1", "lru", 2, "Miss: page 1 takes frame 0, the first empty one."),
        ("1 1", "lru", 2, "Hit: page 1 is in frame 0; it is now the most recent."),
        ("1 1", "clock", 2, "its reference bit is set"),
        ("1 1s", "clock", 2, "a scan leaves no trace in the policy"),
        ("1 2 3", "lru", 2, "page 1 leaves; its fetch lies longest ago. Page 3 takes frame 0."),
        ("1+ 2 3", "lru", 2, "longest ago of those not pinned (page 1 stayed)"),
        ("1 2 3s", "lru", 2, "as the next to go, as a scan does"),
        ("1 2 3", "clock", 2, "cleared the bits of frames 0 and 1 and came back to frame 0"),
        ("1 2 3 4", "clock", 2, "the hand found frame 1 with a clear bit"),
        ("1+ 2 3 4", "clock", 2, "skipped frame 0 (pinned)"),
        ("1 2 3 4 5", "2q", 4, "A1in holds 4, target 1, and it is the oldest there"),
        ("1 2 3 4 5 1", "2q", 4, "it was a ghost, so it has proved itself and enters Am"),
        ("1 2 3 4 5 1s", "2q", 4, "a scan proves nothing, so A1in"),
        ("1 2 3 4 5 1 1", "2q", 4, "it is now the most recent of Am"),
        ("1 1", "2q", 4, "a hit in A1in does not move it"),
        ("1+ 2+ 3", "2q", 2, "PoolExhausted for page 3: all frames are pinned (pages 1, 2)"),
        ("1+ 1+ 1-", "lru", 2, "1 pin left"),
        ("1+ 1-", "lru", 2, "it may leave again"),
        ("1 1-", "lru", 2, "there is no pin to give up"),
    ],
)
def test_the_sentence_gives_the_rule_that_was_applied(trace, policy, frames, said):
    assert said in run_trace(trace, frames, policy).steps[-1].why


@given(LISTS, st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_the_hand_clears_what_the_sentence_says(trace, frames):
    run = run_trace(trace, frames, "clock")
    for before, step in zip(run.steps, run.steps[1:], strict=False):
        told = re.search(r"cleared the bits? of frames? ([\d, and]+?) and (?:came|found)", step.why)
        named = {int(n) for n in re.findall(r"\d+", told[1])} if told else set()
        assert named - {step.frame} == set(step.cleared)
        if step.victim is not None:
            assert step.frame is not None
            assert step.state.hand == (step.frame + 1) % frames
            assert (step.frame in named) == before.state.frames[step.frame].ref


# The picture


@given(LISTS, st.sampled_from(POLICIES), st.integers(1, 12), st.data())
@settings(max_examples=40, deadline=None)
def test_every_moment_of_every_trace_can_be_painted(trace, policy, frames, data):
    at = data.draw(st.integers(0, len(trace.split())))
    picture = show_pool(trace, policy=policy, frames=frames, step=at)
    shown = words(picture.svg)
    for frame in run_trace(trace, frames, policy).steps[at].state.frames:
        assert ("empty" if frame.page_id is None else f"page {frame.page_id}") in shown
    assert ("hand" in re.sub(r"the hand", "", shown)) == (policy == "clock")
    width = float(ET.fromstring(picture.svg).get("width", 0))
    for node in ET.fromstring(picture.svg).iter():
        if node.tag.endswith("}rect") and "x" in node.attrib:
            assert float(node.get("x", 0)) + float(node.get("width", 0)) <= width


def extent(node: ET.Element) -> tuple[float, float]:
    """Where a line of text begins and ends, at the mean advance of a wide sans serif."""
    x, bold = float(node.get("x", 0)), node.get("font-weight") is not None
    width = len("".join(node.itertext())) * float(node.get("font-size", 0)) * (0.6 + 0.04 * bold)
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[node.get("text-anchor", "start")]
    return x - share * width, x + (1 - share) * width


@pytest.mark.parametrize("policy", POLICIES)
def test_no_line_is_clipped_or_runs_into_its_neighbour(policy):
    crowded = "1+ " + " ".join(f"{10 + i % 13}w" for i in range(MAX_ACCESSES - 1))
    for at in range(0, MAX_ACCESSES + 1, 7):
        root = ET.fromstring(show_pool(crowded, policy=policy, frames=12, step=at).svg)
        rows: dict[str, list[tuple[float, float]]] = {}
        for node in root.iter():
            if node.tag.endswith("}text"):
                rows.setdefault(node.get("y", ""), []).append(extent(node))
        for row in rows.values():
            row.sort()
            assert row[0][0] >= 0
            assert row[-1][1] <= float(root.get("width", 0))
        (_, title_ends), (counters_begin, _) = rows["15.0"]
        assert title_ends < counters_begin


def test_nothing_is_told_by_colour_alone():
    shown = words(show_pool("1w 2w+ 3 3 4", policy="clock", frames=3).svg)
    for word in ("miss", "hit", "dirty", "1 pin", "hand", "replaces page", "ref 1"):
        assert word in shown


def test_pictures_on_one_page_do_not_share_pattern_ids():
    first, second = (show_pool("1w 2", policy=p, frames=3).svg for p in ("lru", "clock"))
    ids = re.compile(r'pattern id="(\w+)"')
    assert set(ids.findall(first)).isdisjoint(ids.findall(second))


@pytest.mark.parametrize("step", [-1, 3])
def test_a_step_that_there_is_not(step):
    with pytest.raises(ValueError, match="step from 0 to 2"):
        show_pool("1 2", step=step)


def test_policy_and_frames_are_checked_by_the_pool():
    with pytest.raises(ValueError, match="policy"):
        run_trace("1", 2, "fifo")
    with pytest.raises(ValueError, match="at least 1 frame"):
        run_trace("1", 0)


# The stepper


def press(stepper: PoolStepper, words: str) -> None:
    for row in stepper.children:
        for child in getattr(row, "children", ()):
            if getattr(child, "description", "") == words:
                child.click()
                return
    raise AssertionError(f"No button {words!r}")


def test_buttons_step_forward_and_back_and_stop_at_both_ends():
    stepper = PoolStepper("1 2 1", policy="lru", frames=2)
    press(stepper, "Back")
    assert stepper.step.value == 0
    for _ in range(5):
        press(stepper, "Step")
    assert stepper.step.value == 3
    assert stepper.said.startswith("Hit: page 1")
    press(stepper, "Back")
    assert stepper.said.startswith("Miss: page 2")
    assert stepper.play.value == 2


def test_policy_and_frames_run_the_trace_again_and_keep_the_place():
    stepper = PoolStepper("1 2 3 1", policy="lru", frames=2, step=4)
    assert stepper.said.startswith("Miss: page 2 leaves")
    stepper.frames.value = 3
    assert stepper.said.startswith("Hit: page 1")
    assert stepper.step.value == 4
    stepper.policy.value = "2q"
    assert "A1in" in words(stepper.svg())


def test_a_typed_trace_replaces_the_old_one_and_a_bad_one_does_not():
    stepper = PoolStepper("1 2 3 4 5", step=5)
    stepper.trace.value = "7 8"
    assert (stepper.step.value, stepper.step.max, stepper.play.max) == (2, 2, 2)
    before = stepper.svg()
    stepper.trace.value = "7 <b>"
    assert stepper.svg() == before
    assert "&lt;b&gt;" in stepper._said.value
    stepper.trace.value = "9"
    assert stepper._said.value == ""
    assert "page 9" in words(stepper.svg())


def test_examples_start_at_the_beginning_and_are_all_traces():
    stepper = PoolStepper("1 2 3", step=3)
    for text in TRACES.values():
        stepper.example.value = text
        assert stepper.trace.value == text
        assert stepper.step.value == 0
        assert max(access.page_id for access in read_trace(text)) <= MAX_PAGE


def test_an_example_can_be_chosen_again_after_typing():
    stepper = PoolStepper()
    name = TRACES["pinned pages stay"]
    stepper.example.value = name
    stepper.policy.value = "lru"
    assert stepper.example.value == name
    stepper.trace.value = "4 5"
    assert stepper.example.value == ""
    stepper.example.value = name
    assert stepper.trace.value == name


def test_the_examples_make_their_points_with_five_frames():
    def last_three(name: str, policy: str) -> list[Outcome]:
        return [step.outcome for step in run_trace(TRACES[name], 5, policy).steps[-3:]]

    kept, lost = [Outcome.HIT] * 3, [Outcome.MISS] * 3
    for policy, plain, marked in (("lru", lost, kept), ("clock", lost, lost), ("2q", kept, kept)):
        assert last_three("a scan floods the pool", policy) == plain
        assert last_three("the same, marked as a scan", policy) == marked
        pinned = run_trace(TRACES["every frame pinned"], 5, policy).steps
        assert [step.outcome for step in pinned].index(Outcome.REFUSED) == 6
        assert pinned[-1].outcome is Outcome.MISS


def test_the_output_carries_the_live_view_and_its_picture():
    bundle = PoolStepper("1 2w 3", step=2)._repr_mimebundle_()
    assert VIEW_MIME in bundle
    assert bundle[HTML_MIME].startswith('<img alt="CLOCK pool after 2 of 3: frames 1 2 - - -')
    assert "frames 1 2 - - -" in bundle["text/plain"]
    assert repr(show_pool("1 2w 3")) == "[picture] " + show_pool("1 2w 3").summary

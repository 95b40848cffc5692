"""The bar moves forward only, ends full, and takes whatever the command says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.widgets.stages import Stages


def stage(name: str, done: int = 0, total: int = 6, message: str = "") -> dict[str, Any]:
    return {"event": "stage", "stage": name, "done": done, "total": total, "message": message}


@pytest.mark.parametrize("action", ["check", "bench", "submit"])
def test_a_whole_job_ends_near_the_end(action: str) -> None:
    stages = Stages(action)
    for name in ("collect", "audit", "acceptance", "notebook", "benchmark"):
        stages.take(stage(name, 1))
        stages.take(stage(name, 5, 5, "criterion 5"))
    stages.take(stage("report", 5))
    assert 0.9 <= stages.share < 1
    assert stages.said == "Writing the report"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["collect", "acceptance", "benchmark", "new"]),
            st.integers(-3, 9),
            st.integers(-3, 9),
            st.text(max_size=3),
        )
    )
)
def test_the_bar_never_goes_back_nor_leaves_its_ends(
    events: list[tuple[str, int, int, str]],
) -> None:
    stages, before = Stages("submit"), 0.0
    for event in events:
        stages.take(stage(*event))
        assert before <= stages.share <= 1
        before = stages.share


@pytest.mark.parametrize(
    "event", [{}, {"stage": None}, {"stage": "audit", "done": "x", "total": []}]
)
def test_odd_events_change_at_most_the_words(event: dict[str, Any]) -> None:
    stages = Stages("check")
    stages.take(event | {"message": 3})
    assert 0 <= stages.share < 1


def test_the_sentence_says_stage_and_step() -> None:
    stages = Stages("check")
    stages.take(stage("acceptance", 2, 7, "criterion 2"))
    assert stages.said == "Asking questions: criterion 2"

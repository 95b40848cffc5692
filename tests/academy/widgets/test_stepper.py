"""The base of what steps through a run, and of what runs anew at each turn of a knob."""

from __future__ import annotations

import ipywidgets
import pytest

from meridian.academy.widgets.base import svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.stepper import Stepper


def drawn(what: object) -> str:
    return svg_document(10, 10, f"<!-- {what} -->", title=str(what))


class Letters(Stepper):
    """Steps through the letters of a word."""

    def __init__(self, word: str, *, first: int = 0, interval_ms: int | None = None) -> None:
        self.word, self.first = word, first
        self.drawings: list[str] = []
        super().__init__(first=first, jumps={"End": lambda: 10**9}, interval_ms=interval_ms)
        self.load(word)

    @property
    def said(self) -> str:
        return f"<{self.word[self.step.value - self.first]}>"

    def svg(self) -> str:
        self.drawings.append(self.said)
        return drawn(self.said)

    def load(self, word: str, at: int | None = None) -> None:
        self.word = word
        self._load(len(word) - 1 + self.first, at)


@pytest.mark.parametrize("first", [0, 1])
def test_buttons_keep_within_the_run(first: int) -> None:
    steps = Letters("abc", first=first)
    back, step, end = steps.buttons.values()
    back.click()
    assert (steps.step.value, steps.said) == (first, "<a>")
    step.click()
    assert steps.said == "<b>"
    end.click()
    step.click()
    assert (steps.step.value, steps.said) == (first + 2, "<c>")
    steps.go(-5)
    assert steps.step.value == first
    assert "&lt;a&gt;" in steps._said.value
    assert "<svg" in steps._view.value


def test_another_run_keeps_the_place_as_far_as_it_is_there() -> None:
    steps = Letters("abcde")
    steps.go(3)
    steps.load("vwxyz")
    assert steps.said == "<y>"
    steps.load("kl")
    assert (steps.said, steps.step.max) == ("<l>", 1)
    steps.load("vwxyz", at=4)
    assert steps.said == "<z>"
    steps.load("v")
    assert (steps.said, steps.step.max) == ("<v>", 0)


def test_play_and_the_slider_move_together() -> None:
    steps = Letters("abc", interval_ms=50)
    assert steps.play.max == 2
    steps.play.value = 2
    assert steps.said == "<c>"
    steps.load("ab")
    assert (steps.play.value, steps.play.max) == (1, 1)
    steps.buttons["Back"].click()
    assert steps.play.value == 0


def test_the_saved_picture_is_that_of_the_step() -> None:
    steps = Letters("abc")
    steps.go(1)
    saved = steps.static_html()
    assert saved.startswith('<p>&lt;b&gt;</p><img alt="&lt;b&gt;"')
    assert steps.static_text() == "[picture] <b>"
    assert steps._said.layout.display is None


def test_a_stepper_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match=r"Stepper must implement svg\(\)"):
        Stepper()._load(3)


# -- playgrounds -----------------------------------------------------------------------------------


def test_every_control_runs_anew_and_a_button_as_they_stand() -> None:
    knob, list_ = slider("n", 3, 0, 9, 1), choice("of", {"one": 1, "two": 2}, 1, width="9rem")
    button = ipywidgets.Button(description="Again")
    runs: list[tuple[int, int]] = []

    def run() -> Shown:
        runs.append((knob.value, list_.value))
        return Shown(f"<{runs[-1]}>", (drawn("a"), drawn("b")))

    panel = Playground([knob, list_, button], run)
    knob.value = 4
    list_.value = 2
    button.click()
    assert runs == [(3, 1), (4, 1), (4, 2), (4, 2)]
    assert panel.static_html().startswith("<p>&lt;(4, 2)&gt;</p><img")
    assert panel.static_html().count("<img") == panel._view.value.count("<svg") == 2
    assert panel._said.layout.display is None


def test_words_that_the_picture_says_stand_beside_it_for_who_cannot_see_it() -> None:
    panel = Playground([], lambda: Shown("in the picture", (drawn("a"),), aloud=False))
    assert panel.static_html().startswith('<img alt="in the picture"')
    assert panel.static_text() == "[picture] in the picture"
    assert panel._said.layout.display == "none"


def test_sliders_are_whole_or_not() -> None:
    assert isinstance(slider("n", 1, 0, 3, 1), ipywidgets.IntSlider)
    assert isinstance(slider("s", 1.5, 0, 3, 0.5), ipywidgets.FloatSlider)

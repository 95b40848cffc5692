"""The progress bar: counts right, redraws rarely, ends as plain text, refuses nonsense."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from meridian.academy import progress_bar
from meridian.academy.widgets import progress


class StillClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def now_ns(self) -> int:
        return int(self.now_s * 1e9)


class Recorder:
    """Takes the place of a notebook's output."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], **_: Any) -> Recorder:
        self.shown.append(bundle)
        return self

    update = display


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("IPython.display.display", recorder.display)
    return recorder


def test_a_notebook_keeps_the_last_state_as_text(output: Recorder) -> None:
    with progress_bar(3000, "Inserting <rows>", notebook=True) as bar:
        bar.advance(3000)
    assert output.shown[-1] == {
        "text/html": "<div><span>Inserting &lt;rows&gt;: 3,000 of 3,000</span></div>",
        "text/plain": "Inserting <rows>: 3,000 of 3,000",
    }


def test_it_redraws_at_most_ten_times_a_second(output: Recorder) -> None:
    clock = StillClock()
    with progress_bar(1000, clock=clock, notebook=True) as bar:
        for _ in range(1000):
            clock.now_s += 0.001
            bar.advance()
    # One second: the opening, at most ten in between, the end.
    assert 10 <= len(output.shown) <= 12
    assert '<progress max="1000" value="100"></progress>' in output.shown[1]["text/html"]


def test_an_error_inside_leaves_the_count_and_passes_on(output: Recorder) -> None:
    def work() -> None:
        with progress_bar(10, "Reading", notebook=True) as bar:
            bar.advance(4)
            raise KeyError("x")

    with pytest.raises(KeyError):
        work()
    assert output.shown[-1]["text/plain"] == "Reading: 4 of 10, stopped"


def test_more_than_planned_is_counted_and_the_bar_stays_full(output: Recorder) -> None:
    clock = StillClock()
    with progress_bar(2, clock=clock, notebook=True) as bar:
        clock.now_s += 1
        bar.advance(5)
    assert 'value="2"' in output.shown[1]["text/html"]
    assert bar.text == "5 of 2"


def test_nothing_to_do_is_done(output: Recorder) -> None:
    with progress_bar(0, notebook=True):
        pass
    assert 'max="1" value="1"' in output.shown[0]["text/html"]
    assert output.shown[-1]["text/plain"] == "0 of 0"


def test_a_terminal_gets_a_bar_and_then_one_line() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with progress_bar(10, "Racing [bold]", console=console, notebook=False) as bar:
        bar.advance(10)
    assert "━" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("Racing [bold]: 10 of 10")


def test_a_log_gets_only_the_line() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80)
    with progress_bar(10, "Racing", console=console, notebook=False) as bar:
        bar.advance(10)
    assert screen.getvalue().strip().splitlines()[-1] == "Racing: 10 of 10"


def test_outside_a_kernel_it_is_a_terminal() -> None:
    assert progress._in_kernel() is False


@pytest.mark.parametrize(
    ("total", "error"), [("3", TypeError), (1.5, TypeError), (True, TypeError), (-1, ValueError)]
)
def test_a_total_that_is_no_count_is_refused(total: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        progress_bar(total, notebook=True)


def test_it_does_not_go_back_and_not_on_after_the_end(output: Recorder) -> None:
    bar = progress_bar(3, "Once", notebook=True)
    with bar, pytest.raises(ValueError, match="does not go back"):
        bar.advance(-1)
    with pytest.raises(RuntimeError, match="'Once' has ended"):
        bar.advance()
    with pytest.raises(RuntimeError, match="'Once' has ended"), bar:
        pass

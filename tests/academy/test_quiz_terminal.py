"""The quiz on a terminal: a learner with a keyboard, scripted line by line."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from rich.console import Console

from meridian.academy.quiz import load_quiz
from meridian.academy.quiz_session import QuizSession
from meridian.academy.quiz_terminal import QuizTerminal

TEXT = '''
[multipart]
g = "All parts look at *one* page."
[[questions]]
type = "MultipleChoice"
multipart = "g"
prompt.prompt = "Pick the **header** size."
prompt.distractors = ["16", "18"]
prompt.sortAnswers = true
answer.answer = "17"
context = "4 + 4 + 1 + 2 + 2 + 4."
promptExplanation = true
[[questions]]
type = "MultipleChoice"
multipart = "g"
prompt.prompt = "Pick all powers of two."
prompt.distractors = ["3"]
prompt.answerIndex = 0
answer.answer = ["2", "4"]
[[questions]]
type = "ShortAnswer"
prompt.prompt = "How many bytes are usable?"
answer.answer = "4079"
context = "4,096 less 17."
[[questions]]
type = "Tracing"
prompt.program = """
print(1)

print(2)
"""
answer.doesCompile = true
answer.stdout = "1\\n2"
[[questions]]
type = "Tracing"
prompt.program = """
x = []
x[0]
"""
answer.doesCompile = false
answer.lineNumber = 2
meridian.error = "IndexError"
'''
RIGHT = ["2", "a guess", "1,2", "4079", "y", "1", "2", ".", "n", "2"]


class Learner:
    """Types `lines` one by one, then Ctrl+D; remembers the prompts and what was called."""

    def __init__(self, tmp_path: Path, lines: list[str], state=None) -> None:
        path = tmp_path / "quiz.toml"
        path.write_text(TEXT)
        self.lines = list(lines)
        self.prompts: list[str] = []
        self.screen = io.StringIO()
        self.saved = self.recorded = 0
        self.session = QuizSession(load_quiz(path), rng=random.Random(1), state=state)

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def save(self) -> None:
        self.saved += 1

    def record(self) -> None:
        self.recorded += 1

    def run(self) -> bool:
        console = Console(file=self.screen, width=80, force_terminal=False)
        terminal = QuizTerminal(
            self.session, console, ask=self.ask, save=self.save, record=self.record
        )
        return terminal.run()

    @property
    def text(self) -> str:
        return self.screen.getvalue()


def test_everything_right_at_once(tmp_path: Path) -> None:
    learner = Learner(tmp_path, RIGHT)
    assert learner.run()
    assert learner.lines == []
    assert learner.session.correct == 5
    assert learner.session.given[0].explanation == "a guess"
    assert (learner.saved, learner.recorded) == (5, 1)
    for shown in (
        "Question 1a  (1 of 5)",
        "All parts look at one page.",
        "Question 1b  (2 of 5)",
        "Question 4  (5 of 5)",
        "4 + 4 + 1 + 2 + 2 + 4.",
        "2 x[0]",
        "5 of 5: passed.",
    ):
        assert shown in learner.text
    assert "retry" not in "".join(learner.prompts)


def test_a_wrong_answer_is_not_given_away_and_only_it_is_asked_again(tmp_path: Path) -> None:
    learner = Learner(tmp_path, [*RIGHT[:3], "17", *RIGHT[4:], "r", "4079"])
    assert learner.run()
    assert learner.text.count("✗ Not right.") == 1
    before, _, after = learner.text.partition("4 of 5: passed.")
    assert "4,096 less 17." not in before
    assert "Question 2  (1 of 1)" in after
    assert "4,096 less 17." in after
    assert "5 of 5: passed." in after
    assert learner.recorded == 2


def test_giving_up_shows_answers_and_explanations(tmp_path: Path) -> None:
    wrong = ["1", "no idea", "1", "0", "n", "1", "y", ".", "s"]
    learner = Learner(tmp_path, wrong)
    assert learner.run()
    _, _, after = learner.text.partition("0 of 5: not passed yet, 70 % passes.")
    for shown in ("17", "4079", "4,096 less 17.", "It ends, and prints:", "It fails on line 2"):
        assert shown in after
    assert "IndexError" in after
    assert learner.recorded == 1


def test_quitting_keeps_the_score(tmp_path: Path) -> None:
    learner = Learner(tmp_path, [*RIGHT[:3], "x", *RIGHT[4:], "q"])
    assert learner.run()
    assert learner.session.correct == 4


@pytest.mark.parametrize("answered", range(10))
def test_ctrl_d_anywhere_keeps_the_place(tmp_path: Path, answered: int) -> None:
    learner = Learner(tmp_path, RIGHT[:answered])
    assert not learner.run()
    assert learner.recorded == 0
    rest = Learner(tmp_path, [], state=learner.session.state())
    assert rest.session.index == learner.session.index == learner.saved


@pytest.mark.parametrize("junk", ["", "0", "4", "x", "1,2", "-1", "1.5", "²", "1 x"])
def test_junk_for_one_option_is_asked_again(tmp_path: Path, junk: str) -> None:
    learner = Learner(tmp_path, [junk, *RIGHT])
    assert learner.run()
    assert learner.session.correct == 5
    assert "Please type a number from 1 to 3." in learner.text


@pytest.mark.parametrize("junk", ["", ",", "0,1", "1,4", "a"])
def test_junk_for_several_options_is_asked_again(tmp_path: Path, junk: str) -> None:
    learner = Learner(tmp_path, [*RIGHT[:2], junk, *RIGHT[2:]])
    assert learner.run()
    assert learner.session.correct == 5
    assert "Please type numbers from 1 to 3." in learner.text


def test_junk_for_a_letter_or_a_line_is_asked_again(tmp_path: Path) -> None:
    learner = Learner(tmp_path, [*RIGHT[:4], "?", *RIGHT[4:9], "0", "3", "two", "2"])
    assert learner.run()
    assert learner.session.correct == 5
    assert "Please type one of: y, n" in learner.text
    assert learner.text.count("Please type a line number from 1 to 2.") == 3

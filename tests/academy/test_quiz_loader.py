"""The quiz file: everything that mdbook-quiz's schema allows is read, anything else is refused."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.quiz import (
    MultipleChoice,
    Quiz,
    QuizError,
    ShortAnswer,
    Tracing,
    TracingAnswer,
    load_quiz,
)

FULL = '''
[multipart]
page = "A page has 4,096 bytes."

[[questions]]
id = "e4bd0faf-2f0c-4a4f-8a55-1f4b7b6e0c01"
type = "MultipleChoice"
multipart = "page"
prompt.prompt = "Which sizes are powers of two?"
prompt.distractors = ["4079", "17"]
prompt.sortAnswers = true
answer.answer = ["4096", "512"]
context = "Only these two."
promptExplanation = true

[[questions]]
type = "MultipleChoice"
multipart = "page"
prompt.prompt = "Pick the header's size."
prompt.distractors = ["16", "18"]
prompt.answerIndex = 1
answer.answer = "17"

[[questions]]
id = "short"
type = "ShortAnswer"
prompt.prompt = "Which call reads at an offset?"
prompt.response = "code"
answer.answer = "os.pread"
answer.alternatives = ["pread"]

[[questions]]
id = "fails"
type = "Tracing"
prompt.program = """
page = bytearray(4)
page[4] = 1
"""
answer.doesCompile = false
answer.lineNumber = 2
meridian.error = "IndexError"

[[questions]]
type = "Tracing"
prompt.program = "print(7)"
answer.doesCompile = true
answer.stdout = "7"
'''


def load_text(folder: Path, text: str) -> Quiz:
    path = folder / "quiz.toml"
    path.write_text(text, encoding="utf-8")
    return load_quiz(path)


def test_every_field_of_the_schema_is_read(tmp_path: Path) -> None:
    quiz = load_text(tmp_path, FULL)
    several, single, short, fails, ends = quiz.questions
    assert isinstance(several, MultipleChoice)
    assert several.is_multi
    assert several.prompt.sort_answers is True
    assert several.right_answer == ("4096", "512")
    assert several.prompt_explanation
    assert several.context == "Only these two."
    assert quiz.preamble(several) == "A page has 4,096 bytes."
    assert isinstance(single, MultipleChoice)
    assert not single.is_multi
    assert single.prompt.answer_index == 1
    assert single.id is None
    assert single.context is None
    assert isinstance(short, ShortAnswer)
    assert short.prompt.response == "code"
    assert short.answer.alternatives == ("pread",)
    assert isinstance(fails, Tracing)
    assert fails.program == "page = bytearray(4)\npage[4] = 1\n"
    assert fails.right_answer == TracingAnswer(does_compile=False, line_number=2)
    assert isinstance(ends, Tracing)
    assert ends.right_answer == TracingAnswer(does_compile=True, stdout="7")
    assert quiz.titles() == ["1a", "1b", "2", "3", "4"]
    assert quiz.name == "quiz"


def test_the_digest_follows_the_content_not_the_layout(tmp_path: Path) -> None:
    first = load_text(tmp_path, FULL).digest
    assert (
        load_text(tmp_path, "# a remark\n" + FULL.replace("\nanswer", "\n  answer")).digest == first
    )
    assert load_text(tmp_path, FULL.replace("Only these two.", "These two.")).digest != first


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "alternatives",
            "alternates",
            r"question 3 \(id short\): Unknown key `alternates`, the nearest is `alternatives`",
        ),
        ("sortAnswers", "sortAnswer", r"question 1 .*nearest is `sortAnswers` - at .*\.prompt`"),
        ("[multipart]", "[multiparts]", r"quiz.toml: Unknown key `multiparts`, .*`multipart`"),
        ("promptExplanation", "explain", "question 1 .*Unknown key `explain`"),
        ("meridian.error", "meridian.eror", r"question 4 \(id fails\).*the nearest is `error`"),
        ('"Tracing"', '"Tracings"', "question 4 .*Unknown type `Tracings`, .* is `Tracing`"),
        (
            "answer.lineNumber = 2",
            'answer.lineNumber = "2"',
            r"question 4 \(id fails\): Expected .*got `str` - at .*answer.lineNumber`",
        ),
        ("answer.lineNumber = 2", "answer.lineNumber = -1", "Expected `int` >= 0"),
        ("answer.lineNumber = 2", "answer.lineNumber = 3", "Expected a line from 1 to 2, got 3"),
        ("answer.lineNumber = 2", "answer.lineNumber = 0", "Expected a line from 1 to 2, got 0"),
        ("answer.lineNumber = 2", "", "question 4 .*A program that fails needs `lineNumber`"),
        ("answer.lineNumber = 2", "answer.lineNumber=2\nanswer.stdout=''", "has no `stdout`"),
        ('answer.stdout = "7"', "", "question 5: A program that ends well needs `stdout`"),
        ('answer.stdout = "7"', 'answer.stdout="7"\nanswer.lineNumber=1', "has no `lineNumber`"),
        ('answer.stdout = "7"', 'answer.stdout="7"\nmeridian.error="E"', "has no `error`"),
        ('answer.answer = "17"', "answer.answer = []", "question 2: Expected .*length >= 1"),
        ('answer.answer = "17"', "answer.answer = 17", r"Expected `str \| array`, got `int`"),
        ('answer.answer = "17"', 'answer.answer = "16"', "question 2: Option '16' is listed 2"),
        ("prompt.answerIndex = 1", "prompt.answerIndex = 3", "Expected `int` <= 2, got 3"),
        (
            "prompt.answerIndex = 1",
            "prompt.answerIndex = 0\nprompt.sortAnswers = false",
            "Expected `answerIndex` or `sortAnswers`, got both",
        ),
        ('multipart = "page"', 'multipart = "pge"', "Unknown multipart group `pge`, .* `page`"),
        ('"code"', '"essay"', "question 3 .*Invalid enum value 'essay'"),
        ('id = "fails"', 'id = "short"', "id `short` is used 2 times"),
        ('type = "ShortAnswer"', "", r"question 3 .*missing required field `type`"),
        ('prompt.prompt = "Pick the header\'s size."', "", "question 2: .*field `prompt`"),
        ('prompt.distractors = ["16", "18"]', "", "question 2: .*field `distractors`"),
        ("[[questions]]", "[[questions]", "not valid TOML"),
        ('answer.alternatives = ["pread"]', 'meridian.error = "E"', "Only a Tracing question"),
    ],
)
def test_what_the_schema_does_not_say_is_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in FULL
    with pytest.raises(QuizError, match=complaint) as caught:
        load_text(tmp_path, FULL.replace(old, new, 1))
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(str(tmp_path / "quiz.toml"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "missing required field `questions`"),
        ("questions = []", "at least one question"),
        ("questions = 3", "Expected `array`, got `int`"),
        ("questions = [3]", "question 1: Expected `object`, got `int`"),
        ("questions = [{type = 3}]", "question 1: Expected `str`"),
        ("questions = [{type = 'ShortAnswer', prompt = 3}]", "question 1: "),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(QuizError, match=complaint):
        load_text(tmp_path, text)


def test_a_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "quiz.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(QuizError, match="not valid TOML"):
        load_quiz(path)
    with pytest.raises(FileNotFoundError):
        load_quiz(tmp_path / "none.toml")


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(string.ascii_letters, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "prompt", "answer", "questions", "multipart", "id", "meridian", "x"]
            ),
            inner | st.sampled_from(["Tracing", "ShortAnswer", "MultipleChoice"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _toml(value: object) -> str:
    """`value` as an inline TOML value."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return "[" + ", ".join(_toml(v) for v in value if v is not None) + "]"
        case dict():
            pairs = (f"{k} = {_toml(v)}" for k, v in value.items() if v is not None)
            return "{" + ", ".join(pairs) + "}"
        case _:
            return repr(value) if isinstance(value, int) else f'"{value}"'


@given(questions=_JUNK.filter(lambda v: v is not None))
def test_no_input_escapes_the_loader(tmp_path_factory: pytest.TempPathFactory, questions) -> None:
    """Whatever the file says, the answer is a quiz or a `QuizError`, never another error."""
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_text(f"questions = {_toml(questions)}\n")
    complaint, quiz = str(path), None
    try:
        quiz = load_quiz(path)
    except QuizError as error:
        complaint = str(error)
    assert complaint.startswith(str(path))
    assert quiz is None or len(quiz.questions) == len(questions)


def test_letters_go_on_after_z(tmp_path: Path) -> None:
    part = (
        '[[questions]]\ntype="ShortAnswer"\nmultipart="g"\nprompt.prompt="p"\nanswer.answer="a"\n'
    )
    titles = load_text(tmp_path, '[multipart]\ng = "G"\n' + part * 28).titles()
    assert titles[:2] == ["1a", "1b"]
    assert titles[25:] == ["1z", "1aa", "1ab"]


def test_groups_are_neighbours_only(tmp_path: Path) -> None:
    part = '[[questions]]\ntype="ShortAnswer"\n{}prompt.prompt="p"\nanswer.answer="a"\n'
    parts = [part.format(f'multipart="{g}"\n' if g else "") for g in ("", "a", "a", "b", "a", "")]
    text = '[multipart]\na = "A"\nb = "B"\n' + "".join(parts)
    assert load_text(tmp_path, text).titles() == ["1", "2a", "2b", "3", "4", "5"]

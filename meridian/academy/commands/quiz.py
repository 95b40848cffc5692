"""`quiz`: answer the questions of a lesson in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meridian.academy.commands.shared import (
    JsonOption,
    LessonKey,
    UsageError,
    console,
    open_lab,
    print_json,
)

if TYPE_CHECKING:
    from meridian.academy.curriculum import Curriculum
    from meridian.academy.progress import ProgressStore
    from meridian.academy.quiz import Quiz


def quiz(
    key: LessonKey,
    json: JsonOption = False,
    again: Annotated[
        bool, typer.Option("--again", help="Start over instead of where you stopped.")
    ] = False,
) -> None:
    """Answer the quiz of a lesson. Five questions, 70 % passes, the wrong ones can be retried.

    \b
    Example:    meridian quiz database/01-storage/1

    Ctrl+D stops, and your place is kept. With --json the questions are listed without their
    answers. What comes next: `meridian next`. Exit status 1 means not passed yet.
    """
    from meridian.academy.quiz import load_quiz

    course, store = open_lab()
    _refuse_module(key, course, store)
    lesson = course.lesson(key)
    course.available(lesson.module_key)
    questions = load_quiz(course.root / lesson.quiz)
    if json:
        print_json(_listing(key, questions))
        return

    from meridian.academy.quiz_session import QuizSession
    from meridian.academy.quiz_terminal import QuizTerminal

    state = None if again else store.session(key)
    session = QuizSession(questions, state=state)
    out = console()
    out.print(f"[bold]{lesson.title}[/bold]  ({key})", soft_wrap=True)
    finished = QuizTerminal(
        session,
        out,
        save=lambda: store.save_session(key, session.state()),
        record=lambda: store.record_quiz(key, session.correct, session.total, questions.digest),
    ).run()
    if not finished:
        out.print(f"Stopped. Your place is kept: meridian quiz {key}", soft_wrap=True)
        raise typer.Exit(1)
    step = store.next_step(course)
    out.print(f"Next: {step.title}  ({step.command})", markup=False, soft_wrap=True)
    if store.lesson_state(key) != "passed":
        raise typer.Exit(1)


def _refuse_module(key: str, course: Curriculum, store: ProgressStore) -> None:
    """A module where a lesson is due: say so, and name the lesson that is probably meant."""
    if key not in [module.key for module in course.modules()]:
        return
    lessons = course.available(key).lessons
    left = [lesson for lesson in lessons if store.lesson_state(lesson.key) != "passed"]
    if left:
        fix = f"Its first lesson not yet passed: meridian quiz {left[0].key}"
    else:
        fix = f"Its lessons are all passed; to take one again: meridian quiz {lessons[0].key}"
    raise UsageError(f"{key} is a module, and a quiz belongs to a lesson", fix)


def _listing(key: str, quiz: Quiz) -> dict[str, Any]:
    """The questions as a learner sees them; options in alphabetical order."""
    from meridian.academy.quiz import MultipleChoice, Tracing

    questions = []
    for title, question in zip(quiz.titles(), quiz.questions, strict=True):
        entry: dict[str, Any] = {
            "title": title,
            "id": question.id,
            "type": type(question).__name__,
            "prompt": question.text,
        }
        if preamble := quiz.preamble(question):
            entry["preamble"] = preamble
        if isinstance(question, MultipleChoice):
            entry["options"] = sorted((*question.right_answer, *question.prompt.distractors))
            entry["several"] = question.is_multi
        elif isinstance(question, Tracing):
            entry["program"] = question.program
        questions.append(entry)
    return {"lesson": key, "digest": quiz.digest, "questions": questions}

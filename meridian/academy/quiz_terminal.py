"""A quiz on a terminal: one question at a time, by keyboard, on any terminal.

A wrong answer is not corrected at once, or a retry would only test memory: at the end of a round
the learner retries the wrong ones, or gives up and reads the answers.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

from meridian.academy.quiz_questions import (
    Answer,
    MultipleChoice,
    Question,
    ShortAnswer,
    TracingAnswer,
)
from meridian.academy.quiz_session import QuizSession

__all__ = ["QuizTerminal"]

_END = "."  # a line with only this ends an answer of several lines


class QuizTerminal:
    """Drives a session. `ask` (default: the keyboard) reads one line; its `EOFError` stops.

    `save` is called after each answer, `record` after each round.
    """

    def __init__(
        self,
        session: QuizSession,
        console: Console,
        *,
        ask: Callable[[str], str] | None = None,
        save: Callable[[], None] = lambda: None,
        record: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._console = console
        self._ask = ask or input
        self._save = save
        self._record = record

    def run(self) -> bool:
        """Ask until the learner is done; ``False`` if they stopped before the end of a round."""
        try:
            while True:
                self._round()
                self._record()
                if not self._again():
                    return True
        except EOFError:
            self._console.print()
            return self._session.finished

    # -- a round -------------------------------------------------------------------------------

    def _round(self) -> None:
        session, asked = self._session, self._session.remaining
        while (question := session.current) is not None:
            place = asked - session.remaining + 1
            self._console.print()
            self._console.rule(f"Question {session.title}  ({place} of {asked})", align="left")
            if session.preamble:
                self._console.print(Markdown(session.preamble))
            self._show(question)
            answer = self._read(question)
            reason = self._ask("Why, in a sentence? ") if session.asks_explanation else None
            outcome = session.submit(answer, reason)
            self._save()
            if outcome.correct:
                self._console.print("[bold green]✓ Right.[/bold green]")
                self._explain(outcome.context)
            else:
                self._console.print("[bold red]✗ Not right.[/bold red]")

    def _show(self, question: Question) -> None:
        self._console.print(Markdown(question.text))
        if isinstance(question, MultipleChoice):
            for number, option in enumerate(self._session.options(), 1):
                self._console.print(Markdown(f"{number}. {option}"))
        elif not isinstance(question, ShortAnswer):
            program = question.program.strip("\n")
            self._console.print(
                Syntax(program, "python", line_numbers=True, background_color="default")
            )

    def _again(self) -> bool:
        """Say the score; whether to ask the wrong ones again."""
        session = self._session
        verdict = "passed" if session.passed else "not passed yet, 70 % passes"
        self._console.print()
        self._console.print(f"[bold]{session.correct} of {session.total}[/bold]: {verdict}.")
        if not session.wrong():
            return False
        choice = self._choose("[r]etry the wrong ones, [s]how the answers, or [q]uit? ", "rsq")
        if choice == "r":
            session.retry()
            return True
        if choice == "s":
            self._reveal()
        return False

    def _reveal(self) -> None:
        titles = self._session.quiz.titles()
        for index in self._session.wrong():
            question = self._session.quiz.questions[index]
            self._console.print()
            self._console.rule(f"Question {titles[index]}", align="left")
            self._console.print(Markdown(question.text))
            self._console.print("The answer:", style="bold")
            self._console.print(Markdown(_spoken(question)))
            self._explain(question.context)

    def _explain(self, context: str | None) -> None:
        if context:
            self._console.print(Markdown(context))

    # -- reading answers -----------------------------------------------------------------------

    def _read(self, question: Question) -> Answer:
        if isinstance(question, MultipleChoice):
            return self._read_choice(question)
        if isinstance(question, ShortAnswer):
            if question.prompt.response != "short":
                return self._read_lines("Your answer")
            return self._ask("Your answer: ")
        if self._choose("Does it end without an error, [y]es or [n]o? ", "yn") == "y":
            return TracingAnswer(does_compile=True, stdout=self._read_lines("What it prints"))
        return TracingAnswer(
            does_compile=False, line_number=self._read_line_number(question.program)
        )

    def _read_choice(self, question: MultipleChoice) -> list[str]:
        options = self._session.options()
        several = question.is_multi
        prompt = "Numbers of all that are right, such as 1,3: " if several else "Number: "
        while True:
            words = self._ask(prompt).replace(",", " ").split()
            numbers = {int(word) for word in words if word.isdecimal()}
            valid = len(numbers) == len(words) and numbers <= set(range(1, len(options) + 1))
            if valid and (len(numbers) == 1 or (several and numbers)):
                return [options[number - 1] for number in sorted(numbers)]
            self._console.print(
                f"Please type {'numbers' if several else 'a number'} from 1 to {len(options)}."
            )

    def _read_lines(self, what: str) -> str:
        lines: list[str] = []
        self._console.print(f"{what}, ended by a line with only a dot:")
        while (line := self._ask("> ")) != _END:
            lines.append(line)
        return "\n".join(lines)

    def _read_line_number(self, program: str) -> int:
        last = len(program.strip("\n").splitlines())
        while True:
            word = self._ask("On which line does it fail? ").strip()
            if word.isdecimal() and 1 <= int(word) <= last:
                return int(word)
            self._console.print(f"Please type a line number from 1 to {last}.")

    def _choose(self, prompt: str, letters: str) -> str:
        while True:
            letter = self._ask(prompt).strip().lower()[:1]
            if letter and letter in letters:
                return letter
            self._console.print(f"Please type one of: {', '.join(letters)}")


def _spoken(question: Question) -> str:
    """The right answer as Markdown."""
    if isinstance(question, MultipleChoice):
        return "\n".join(f"- {option}" for option in question.right_answer)
    if isinstance(question, ShortAnswer):
        return f"`{question.right_answer}`"
    answer = question.right_answer
    if answer.does_compile:
        return f"It ends, and prints:\n```text\n{(answer.stdout or '').strip()}\n```"
    named = f" with {question.meridian.error}" if question.meridian.error else ""
    return f"It fails on line {answer.line_number}{named}."

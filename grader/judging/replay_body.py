"""The calls of a replay and the check at its end, as lines of Python."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import msgspec

from grader.judging.compare import Compared, MustRaise, same, show
from grader.judging.literals import Literals, Unwritable
from grader.judging.questions import Writer
from grader.judging.transcript import Event, Fault, Thing
from meridian.academy.replaying import LAST_CALL

__all__ = ["Body", "Failure", "comment"]

_WIDTH = 92
_MAX_WANT_CHARS = 2_000
_MAX_GAVE_CHARS = 60
_FILE_CHANGES = ("write", "truncate")
_NOTHING_RAISED = "As expected now: nothing was raised"
_UNSAID = "It ran to its end"


class Failure(msgspec.Struct, frozen=True):
    """What ended the test, in the learner's words; `check` is what a replay can check again."""

    title: str
    message: str
    counterexample: str = ""
    check: Compared | MustRaise | None = None
    raised: bool = False
    """Whether an exception of the submission ended it."""


def comment(text: str) -> list[str]:
    """`text` as comment lines; nothing in it can end them."""
    lines = []
    for line in text.split("\n"):
        lines += [f"# {part}" for part in textwrap.wrap(_inline(line), _WIDTH)] or ["#"]
    return lines


class Body:
    """The statements of a program, one part for each worker that was killed, and the check."""

    def __init__(self, writer: Writer, literals: Literals) -> None:
        self._write = writer
        self._say = literals

    def lines(self, events: Sequence[Event], failure: Failure) -> list[str]:
        """Raises `Unwritable`."""
        parts: list[list[Event]] = [[]]
        for event in events:
            if event.operation == "kill":
                parts.append([])
            else:
                parts[-1].append(event)
        while parts and all(event.operation in _FILE_CHANGES for event in parts[-1]):
            parts.pop()  # nothing was asked any more
        if not parts:
            raise Unwritable("no question")
        *lost, last = parts
        while last[-1].operation in _FILE_CHANGES:
            last.pop()
        written = []
        for number, part in enumerate(filter(None, lost), 1):
            told = [f"    {line}" for event in part for line in self._told(event)]
            # What the part made must still be there when it dies, or Python would close it.
            written += [f"def part_{number}():", *told, "    die()", "", ""]
            written += [f"killed(part_{number})", ""]
        return [*written, *self._ending(last, failure)]

    def _told(self, event: Event) -> list[str]:
        """One event as lines, with what it gave as a comment."""
        text = self._write.expression(event) or self._write.statement(event)
        if type(event.value) is Fault:
            raised = _inline(event.value.class_name)
            return [f"with contextlib.suppress(Exception):  # it raised {raised}", f"    {text}"]
        return _gave(self._write.bind(event, text), event.value)

    def _ending(self, events: list[Event], failure: Failure) -> list[str]:
        """The last calls, and the check that failed."""
        check, last = failure.check, events[-1]
        if type(check) is Compared and type(last.value) is not Fault:
            place, needed = found(check.got, [event.value for event in events])
            want = self._say(check.want) if place else ""
            if place and len(want) <= _MAX_WANT_CHARS:
                return self._checked(events, needed, [*_outcome(check), f"check({place}, {want})"])
        *before, last = events
        lines = [line for event in before for line in self._told(event)]
        text = self._write.expression(last) or self._write.statement(last)
        if type(check) is MustRaise:
            names = ", ".join(map(ascii, check.names))
            return [*lines, f"with must_raise({names}):", f"    {text}  {LAST_CALL}"]
        if type(last.value) is Fault:
            said = _inline(f"{last.value.class_name}: {last.value.message}")
            end = f"finish({f'As expected now: no longer {said}'!a}, 0)"
            return [*lines, f"{text}  {LAST_CALL}", f"# When it was judged: {said}", end]
        if failure.raised and any(type(item) is Fault for item in _items(last.value)):
            line = f"got = {text}  {LAST_CALL}"
            return [*lines, line, "raise_first(got)", f"finish({_NOTHING_RAISED!a}, 0)"]
        judged = "" if _has_objects(last.value) else self._say(last.value)
        if judged and len(judged) <= _MAX_WANT_CHARS:
            return [*lines, f"got = {text}  {LAST_CALL}", f"unlike(got, {judged})"]
        line = self._write.bind(last, text) or text
        return [*lines, f"{line}  {LAST_CALL}", f"unknown({_UNSAID!a})"]

    def _checked(self, events: list[Event], needed: Sequence[int], end: list[str]) -> list[str]:
        """All events; the answers that the check needs are kept as got, got_2, ..."""
        lines = []
        for i, event in enumerate(events):
            if i not in needed:
                lines += self._told(event)
                continue
            name = variable(needed.index(i))
            mark = f"  {LAST_CALL}" if i == len(events) - 1 else ""
            text = self._write.expression(event) or self._write.statement(event)
            named = self._write.bind(event, text).removesuffix(text)  # "page_file = ", or nothing
            lines.append(f"{named}{name} = {text}{mark}")
        return [*lines, *end]


def variable(number: int) -> str:
    return f"got_{number + 1}" if number else "got"


def found(got: Any, answers: Sequence[Any]) -> tuple[str, list[int]]:
    """Where `got` came from: an expression over the variables of these answers; "" if unclear."""
    last = len(answers) - 1
    if same(got, answers[last]):
        return "got", [last]
    if type(got) is tuple and 1 < len(got) <= len(answers):
        plain = [i for i, answer in enumerate(answers) if type(answer) not in (Thing, Fault)]
        tail = plain[-len(got) :]
        if len(tail) == len(got) and all(
            same(part, answers[i]) for part, i in zip(got, tail, strict=True)
        ):
            return f"({', '.join(map(variable, range(len(tail))))})", tail
    inside: list[tuple[str, Any]] = []
    if type(answers[last]) is list:
        inside = [(f"got[{i}]", item) for i, item in enumerate(answers[last])]
    elif type(answers[last]) is Thing:
        fields = answers[last].fields or {}
        inside = [(f"got.{name}", item) for name, item in fields.items() if name.isidentifier()]
    places = [place for place, item in inside if same(got, item)]
    if len(places) == 1:
        return places[0], [last]
    return "", []


def _outcome(check: Compared) -> list[str]:
    return comment(f"Expected {show(check.want)}\nGot {show(check.got)} when it was judged")


def _gave(line: str, value: Any) -> list[str]:
    """`line` with a short plain answer behind it; nothing for a name that needs no line."""
    if not line:
        return []
    if value is None or _has_objects(value):
        return [line]
    shown = _inline(show(value))
    return [f"{line}  # {shown}" if len(shown) <= _MAX_GAVE_CHARS else line]


def _inline(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _items(value: Any) -> Sequence[Any]:
    return value if type(value) is list else ()


def _has_objects(value: Any) -> bool:
    kind = type(value)
    if kind in (Thing, Fault):
        return True
    if kind in (list, tuple):
        return any(map(_has_objects, value))
    return kind is dict and any(map(_has_objects, value.values()))

"""Masters of otter: raw cells (or fenced ones) that open and close blocks, comments in the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from grader.markers.model import (
    Assignment,
    BadAssignment,
    Cell,
    Check,
    Question,
    load_cells,
)
from grader.markers.okformat import (
    checks_of_cell,
    checks_of_file,
    checks_of_suites,
    share_out,
    yaml_table,
)

__all__ = ["looks_like", "read"]

_COMMAND = re.compile(r"#\s*(ASSIGNMENT CONFIG|(?:BEGIN|END) (?:QUESTION|PROMPT|SOLUTION|TESTS))")
_FENCE = re.compile(r"\A\s*```otter\s*\n(?P<body>.*)\n```\s*\Z", re.DOTALL)
_LINE = re.compile(r"^(?P<code>\s*\S.*?)\s*#\s*SOLUTION(?: NO PROMPT)?\s*$")
_BEGIN = re.compile(r"^(?P<indent>\s*)# BEGIN SOLUTION(?: NO PROMPT)?\s*$")
_END = re.compile(r"^\s*# END SOLUTION\s*$")
_PROMPT = re.compile(
    r"^[ \t]*(\"\"\"|''')\s*# BEGIN PROMPT\n(?P<text>.*?)\1\s*;?\s*# END PROMPT[ \t]*\n?",
    re.DOTALL | re.MULTILINE,
)
_SEED = re.compile(r"#\s*SEED\s*$")
_CARRIED = {"name", "tests"}
_QUESTION_KEYS = {"name", "points", "manual", "check_cell", "export", "all_or_nothing"}


def looks_like(cells: list[Cell]) -> bool:
    """Whether any cell is one of otter's commands."""
    return any(_command(cell) is not None for cell in cells)


def read(path: Path) -> Assignment:
    """The assignment in `path`; test files in ``tests/`` beside it when it holds no tests.

    Raises `BadAssignment` naming the cell.
    """
    cells, metadata = load_cells(path)
    reader = _Reader(path)
    for cell in cells:
        reader.take(cell)
    found = reader.finish()
    if not any(question.checks for question in found.questions):
        _tests_beside(path, metadata, found)
    return found


class _Reader:
    """Which block the next cell stands in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = Assignment(title=path.stem, kind="otter")
        self._config: dict[str, Any] = {}
        self._question: dict[str, Any] | None = None
        self._checks: list[Check] = []
        self._block = ""
        self._opened = ""

    def take(self, cell: Cell) -> None:
        command = _command(cell)
        if command is not None:
            self._obey(cell, *command)
        elif cell.source.lstrip().startswith("# IGNORE") or _is_ignored(cell):
            advice = "Otter leaves it out of what learners get, and so does this."
            self._found.lose(cell.name, "a cell marked IGNORE", advice)
        elif self._block == "TESTS":
            self._checks += checks_of_cell(self._path, cell, self._ok_format, self._found)
        elif self._block == "PROMPT" and cell.kind == "code":
            advice = "The stub says what to write: put it behind ### BEGIN SOLUTION."
            self._found.lose(cell.name, "a code prompt", advice + _quoted(cell.source))
        elif cell.kind == "code":
            self._code(cell)
        elif self._block == "SOLUTION":
            advice = "It is shown as `Your answer here`; nobody but a person can judge it."
            what = "a written answer (its model answer is below)"
            self._found.lose(cell.name, what, advice + _quoted(cell.source))
            cell.source = "*Your answer here.*"
            self._found.cells.append(cell)
        else:
            self._found.cells.append(cell)

    def finish(self) -> Assignment:
        if self._question is not None or self._block:
            reason = f"{self._opened} without its end"
            raise BadAssignment(self._path, "", 0, reason)
        return self._found

    @property
    def _ok_format(self) -> bool:
        tests = self._config.get("tests")
        chosen = tests.get("ok_format", True) if isinstance(tests, dict) else True
        return bool(chosen)

    def _obey(self, cell: Cell, words: str, options: dict[str, Any] | None) -> None:
        if options is None:
            reason = f"what follows `# {words}` is not a YAML table"
            raise BadAssignment(self._path, cell.name, 2, reason)
        if words == "ASSIGNMENT CONFIG":
            self._config = options
            self._found.title = str(options.get("name", self._found.title))
            for key in options.keys() - _CARRIED:
                advice = "A setting of otter's that has no place here."
                self._found.lose("assignment config", f"`{key}: {options[key]!r}`", advice)
            return
        verb, block = words.split()
        if block == "QUESTION":
            self._begin_question(cell, options) if verb == "BEGIN" else self._end_question(cell)
        elif self._question is None:
            raise BadAssignment(self._path, cell.name, 1, f"{words} outside a question")
        elif verb == "BEGIN" and self._block:
            raise BadAssignment(self._path, cell.name, 1, f"{words} inside {self._block}")
        elif verb == "END" and self._block != block:
            raise BadAssignment(self._path, cell.name, 1, f"{words} without BEGIN {block}")
        else:
            self._block = block if verb == "BEGIN" else ""
            self._opened = words

    def _begin_question(self, cell: Cell, options: dict[str, Any]) -> None:
        if self._question is not None:
            reason = f"BEGIN QUESTION inside question {self._question['name']}"
            raise BadAssignment(self._path, cell.name, 1, reason)
        if not options.get("name"):
            raise BadAssignment(self._path, cell.name, 1, "a question needs a name")
        self._question, self._checks, self._opened = options, [], "BEGIN QUESTION"
        for key in options.keys() - _QUESTION_KEYS:
            advice = "A setting of otter's that has no place here."
            self._found.lose(str(options["name"]), f"`{key}: {options[key]!r}`", advice)

    def _end_question(self, cell: Cell) -> None:
        if self._question is None or self._block:
            reason = "END QUESTION without BEGIN" if not self._block else f"inside {self._block}"
            raise BadAssignment(self._path, cell.name, 1, reason)
        options, name = self._question, str(self._question["name"])
        self._question = None
        points = _points(self._path, cell, options.get("points"), len(self._checks))
        if options.get("manual"):
            advice = "Judge it by hand, or write a criterion that the judge can ask about."
            self._found.lose(name, f"{points or 1:g} points given by hand", advice)
        if self._checks:
            share_out(self._checks, points)
            checks = self._checks
            if options.get("all_or_nothing"):
                checks = [_together(name, checks)]
            self._found.questions.append(Question(name=name, checks=checks))
        elif not options.get("manual"):
            self._found.questions.append(Question(name=name))

    def _code(self, cell: Cell) -> None:
        prompts = [match["text"] for match in _PROMPT.finditer(cell.source)]
        for text in prompts:
            advice = "The stub says what to write: put it behind ### BEGIN SOLUTION."
            self._found.lose(cell.name, "a prompt", advice + _quoted(text))
        cell.source = _PROMPT.sub("", cell.source)
        kept = []
        for number, line in enumerate(cell.source.splitlines(), 1):
            if _SEED.search(line):
                advice = "Give the seed as an argument; hidden inputs are drawn for each attempt."
                self._found.lose(f"{cell.name}, line {number}", f"`{line.strip()}`", advice)
            else:
                kept.append(line)
        cell.source = _with_our_markers(self._path, cell, kept)
        answer = self._block == "SOLUTION" or "### BEGIN SOLUTION" in cell.source
        self._found.cells.append(cell)
        cell.question = len(self._found.questions) + 1
        self._found.code.append((cell, answer))


def _command(cell: Cell) -> tuple[str, dict[str, Any] | None] | None:
    """The words of a command cell and its options (``None``: no table); ``None`` for others."""
    body = cell.source
    if cell.kind == "markdown":
        fence = _FENCE.match(body)
        if fence is None:
            return None
        body = fence["body"]
    elif cell.kind != "raw":
        return None
    first, _, rest = body.strip().partition("\n")
    match = _COMMAND.fullmatch(first.strip())
    return None if match is None else (match[1], yaml_table(rest))


def _is_ignored(cell: Cell) -> bool:
    otter, tags = cell.metadata.get("otter"), cell.metadata.get("tags")
    return (isinstance(otter, dict) and bool(otter.get("ignore"))) or (
        isinstance(tags, list) and "otter_ignore" in tags
    )


def _with_our_markers(path: Path, cell: Cell, lines: list[str]) -> str:
    """Lines marked ``# SOLUTION`` and blocks of otter's, between nbgrader's markers."""
    out: list[str] = []
    opened = 0
    for number, line in enumerate(lines, 1):
        begin, one = _BEGIN.match(line), _LINE.match(line)
        if begin is not None:
            if opened:
                reason = f"# BEGIN SOLUTION inside the block of line {opened}"
                raise BadAssignment(path, cell.name, number, reason)
            opened = number
            out.append(f"{begin['indent']}### BEGIN SOLUTION")
        elif _END.match(line):
            if not opened:
                reason = "# END SOLUTION without # BEGIN SOLUTION"
                raise BadAssignment(path, cell.name, number, reason)
            opened = 0
            out.append(line.replace("# END", "### END"))
        elif one is not None and not opened:
            indent = line[: len(line) - len(line.lstrip())]
            if out and out[-1] == f"{indent}### END SOLUTION":
                out.pop()  # one region for lines that follow each other
            else:
                out.append(f"{indent}### BEGIN SOLUTION")
            out += [one["code"], f"{indent}### END SOLUTION"]
        else:
            out.append(line)
    if opened:
        raise BadAssignment(path, cell.name, opened, "# BEGIN SOLUTION without # END SOLUTION")
    return "\n".join(out)


def _points(path: Path, cell: Cell, points: Any, checks: int) -> float | None:
    """The points of a question: a number, or ``{each: number}``."""
    if isinstance(points, dict) and set(points) == {"each"}:
        points = points["each"] * checks
    if points is None:
        return None
    if isinstance(points, bool) or not isinstance(points, int | float) or points < 0:
        raise BadAssignment(path, cell.name, 0, f"points must be 0 or more, not {points!r}")
    return float(points)


def _together(name: str, checks: list[Check]) -> Check:
    """All or nothing: one test."""
    return Check(
        name=name,
        body="\n".join(check.body for check in checks),
        points=sum(check.points for check in checks),
        hidden=all(check.hidden for check in checks),
        problem="; ".join(check.problem for check in checks if check.problem),
    )


def _tests_beside(path: Path, metadata: dict[str, Any], found: Assignment) -> None:
    """Tests in files, or in the notebook's metadata: what ``otter assign`` has made before."""
    known = {question.name: question for question in found.questions}
    otter = metadata.get("otter")
    inside = otter.get("tests") if isinstance(otter, dict) else None
    tests = inside if isinstance(inside, dict) else {}
    files = sorted((path.parent / "tests").glob("*.py"))
    got = [checks_of_suites(path, str(name), test, found) for name, test in tests.items()]
    got += [checks_of_file(file, found) for file in files if file.stem != "__init__"]
    for question in got:
        if question.name in known:
            known[question.name].checks = question.checks
        else:
            found.questions.append(question)


def _quoted(text: str) -> str:
    return "\n\n" + "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())

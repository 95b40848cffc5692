"""An acceptance suite from the tests that an assignment had.

The statements are taken over; what they use of the answers is asked of the submission. A test
that could not be carried over fails for everybody until the author has written it: it is never
left out, and never passes.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap

from grader.markers.model import Assignment, Check
from grader.markers.module import imports_of
from grader.markers.points import Row, Table
from grader.notebooks.cellcode import bound_names, needed_names

__all__ = ["suite_source"]

_NOT_IN_A_NAME = re.compile(r"\W+", re.ASCII)
_HEAD = '''"""Acceptance of {title}, imported from {kind}: one test for each test there was.

What a learner is told is the first paragraph of a test's docstring; its assertions stay here.
"""

from __future__ import annotations

import pytest

from grader.proxy.submission import Submission
'''


def suite_source(found: Assignment, table: Table, module: str) -> str:
    """The source of the suite; what it cannot do is added to ``found.losses``."""
    names = _Names(module)
    taken: set[str] = set()
    parts = [_HEAD.format(title=_one_line(found.title), kind=found.kind).rstrip("\n")]
    for row, question in zip(table.criteria, found.questions, strict=True):
        checks = question.checks
        if not checks:
            checks = [Check(name=question.name, body="", points=0, problem="there was no test")]
        for check, points in zip(checks, row.tests, strict=True):
            parts.append(_test(check, row, points, names, taken, found))
    return "\n\n\n".join(parts) + "\n"


class _Names:
    """What the package gives: names to ask the submission for, and imports to repeat."""

    def __init__(self, module: str) -> None:
        self.imports = imports_of(module)
        self.given = bound_names(module) - self.imports.keys()


def _test(
    check: Check, row: Row, points: int, names: _Names, taken: set[str], found: Assignment
) -> str:
    name = f"test_{row.id}_{_NOT_IN_A_NAME.sub('_', check.name).strip('_') or 'case'}"
    while name in taken:
        name += "_"
    taken.add(name)
    told = _one_line(check.message) or f"As the notebook asks: {_one_line(row.title)}."
    body = _body(check, names, found)
    hidden = "    # Hidden from learners in the assignment it comes from.\n" if check.hidden else ""
    return (
        f'@pytest.mark.criterion("{row.id}", points={points})\n'
        f"def {name}(submission: Submission) -> None:\n"
        f'    """{told}"""\n{hidden}{textwrap.indent(body, "    ")}'
    )


def _body(check: Check, names: _Names, found: Assignment) -> str:
    source = _python_only(check, found)
    tree = None
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        check.problem = check.problem or f"it is not Python ({error.msg})"
    if check.problem or tree is None or not tree.body:
        reason = check.problem or "there was no test"
        advice = "Write the test: until then it fails for everybody."
        found.lose(check.name, f"a test that could not be carried over: {reason}", advice)
        was = "".join(f"# {line}\n" for line in check.body.splitlines())
        return f"{was}pytest.fail({('Not written yet: ' + reason)!r})"
    needed = needed_names(source)
    lines = [names.imports[name] for name in sorted(needed & names.imports.keys())]
    lines += [f"{name} = submission.{name}" for name in sorted(needed & names.given)]
    if unknown := needed - names.given - names.imports.keys() - set(dir(builtins)):
        advice = "Nothing in the package has these names; write the test without them."
        found.lose(check.name, f"a test that uses {', '.join(sorted(unknown))}", advice)
    if _has_long_strings(tree):
        source = ast.unparse(tree)  # indenting would change what is in them
    return "\n".join([*dict.fromkeys(lines), source.strip("\n")])


def _python_only(check: Check, found: Assignment) -> str:
    kept = []
    for line in check.body.splitlines():
        if line.lstrip()[:1] in ("%", "!"):
            found.lose(check.name, f"`{line.strip()}`", "A test runs in the judge, not in IPython.")
        else:
            kept.append(line)
    return "\n".join(kept)


def _has_long_strings(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
        for node in ast.walk(tree)
        if getattr(node, "lineno", 0) != getattr(node, "end_lineno", 0)
    )


def _one_line(text: str) -> str:
    return " ".join(text.replace("\\", "/").replace('"', "'").split())

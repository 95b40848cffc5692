"""Otter's tests: cells, doctests in a dict (``OK_FORMAT = True``), functions (``False``).

Test files are read as text, never imported.
"""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path
from typing import Any

from grader.markers.model import Assignment, BadAssignment, Cell, Check, Question

__all__ = ["checks_of_cell", "checks_of_file", "checks_of_suites", "share_out", "yaml_table"]

UNSAID = -1.0  # points that the question has to share out
_CONFIG = re.compile(
    r"\A\s*(\"\"\"|''')\s*# BEGIN TEST CONFIG\n(?P<yaml>.*?)\1\s*;?\s*# END TEST CONFIG[ \t]*\n?",
    re.DOTALL,
)
_HIDDEN = re.compile(r"\A\s*#\s*HIDDEN\s*\n?", re.IGNORECASE)
_RUN_IT = "Run the master notebook and save it with its outputs, then import again."


def checks_of_cell(path: Path, cell: Cell, ok_format: bool, found: Assignment) -> list[Check]:
    """The test in one cell of a TESTS block. Raises `BadAssignment`."""
    if cell.kind != "code":
        if cell.source.strip():
            found.lose(cell.name, "text between tests", "Say it in the test's docstring.")
        return []
    source = cell.source
    options: dict[str, Any] = {}
    if (match := _CONFIG.match(source)) is not None:
        table = yaml_table(match["yaml"])
        if table is None:
            raise BadAssignment(path, cell.name, 2, "TEST CONFIG is not a YAML table")
        options = table
        source = source[match.end() :]
    hidden = bool(options.get("hidden"))
    if (mark := _HIDDEN.match(source)) is not None:
        hidden, source = True, source[mark.end() :]
    points = options.get("points", UNSAID)
    if isinstance(points, bool) or not isinstance(points, int | float):
        raise BadAssignment(path, cell.name, 0, f"points must be a number, not {points!r}")
    check = Check(
        name=cell.name,
        body=source.strip("\n"),
        points=float(points),
        hidden=hidden,
        message=str(options.get("failure_message") or ""),
    )
    if options.get("success_message"):
        what = f"the message {options['success_message']!r}"
        found.lose(cell.name, what, "Learners are told what a criterion asks, not praise.")
    if ok_format:
        _expect_output(cell, check)
    else:
        _call_functions(check)
    return [check]


def yaml_table(text: str) -> dict[str, Any] | None:
    """The table in `text`, empty without text; ``None`` for what is no table."""
    import yaml

    try:
        options = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    if options is None:
        return {}
    return options if isinstance(options, dict) else None


def _expect_output(cell: Cell, check: Check) -> None:
    """A cell is a doctest: its last value must print as it did when the master was saved."""
    tree = _parsed(check)
    if tree is None or not tree.body:
        return
    values = [o for o in cell.outputs if o.get("output_type") == "execute_result"]
    if any(output.get("output_type") == "stream" for output in cell.outputs):
        check.problem = "it compares what is printed; compare values instead"
    elif isinstance(tree.body[-1], ast.Expr):
        if values:
            text = values[-1].get("data", {}).get("text/plain", "")
            text = "".join(text) if isinstance(text, list) else str(text)
            check.body = _with_expectation(check.body, tree, text)
        elif not _returns_nothing(tree.body[-1]):
            check.problem = f"what its last line must give is not saved. {_RUN_IT}"


def _returns_nothing(node: ast.stmt) -> bool:
    """Whether the last line is a call of a function whose value may well be ``None``."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _with_expectation(body: str, tree: ast.Module, text: str) -> str:
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    head = body.splitlines()[: last.lineno - 1]
    return "\n".join([*head, f"assert repr({ast.unparse(last.value)}) == {text!r}"])


def _call_functions(check: Check) -> None:
    """Functions named ``test_...`` are called with the names that they ask for."""
    tree = _parsed(check)
    if tree is None:
        return
    lines, calls = check.body.splitlines(), []
    for node in reversed(tree.body):
        called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if called and ast.unparse(node).startswith("test_"):
            del lines[node.lineno - 1 : node.end_lineno]  # the master's own call of it
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names = [argument.arg for argument in node.args.args]
            if "env" in names:
                check.problem = "it asks for `env`; name what it needs instead"
            calls.append(f"{node.name}({', '.join(names)})")
    check.body = "\n".join([*lines, *calls]).strip("\n")


def _parsed(check: Check) -> ast.Module | None:
    try:
        return ast.parse(check.body)
    except SyntaxError as error:
        check.problem = f"it is not Python ({error.msg})"
        return None


def checks_of_suites(path: Path, name: str, test: Any, found: Assignment) -> Question:
    """A question from a test dict: one check for each case. Raises `BadAssignment`."""
    try:
        cases = [case for suite in test["suites"] for case in suite["cases"]]
        checks = [_doctest(f"{name}-{n}", case) for n, case in enumerate(cases, 1)]
        total = test.get("points")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadAssignment(path, "", 0, f"test {name} is not in OK format ({error})") from None
    if any(isinstance(case, dict) and case.get("locked") for case in cases):
        found.lose(name, "locked cases", "They are judged like the others.")
    share_out(checks, total)
    return Question(name=str(test.get("name") or name), checks=checks)


def share_out(checks: list[Check], total: Any) -> None:
    """What a question is worth goes to its tests that do not say themselves (``UNSAID``)."""
    silent = [check for check in checks if check.points < 0]
    spoken = sum(check.points for check in checks if check.points >= 0)
    left = (float(total) if isinstance(total, int | float) else max(spoken, 1.0)) - spoken
    for check in silent:
        check.points = max(left, 0.0) / len(silent)


def _doctest(name: str, case: dict[str, Any]) -> Check:
    lines = []
    problem = ""
    for example in doctest.DocTestParser().get_examples(case["code"]):
        source = example.source.strip("\n")
        want = example.want.rstrip("\n")
        if not want:
            lines.append(source)
        elif _is_expression(source) and not source.lstrip().startswith("print("):
            lines.append(f"assert repr({source}) == {want!r}")
        else:
            lines.append(source)
            problem = "it compares what is printed; compare values instead"
    return Check(
        name=name,
        body="\n".join(lines),
        points=float(case.get("points", UNSAID)),
        hidden=bool(case.get("hidden")),
        message=str(case.get("failure_message") or ""),
        problem=problem,
    )


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def checks_of_file(path: Path, found: Assignment) -> Question:
    """The question in a test file. Raises `BadAssignment`."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        facts = dict(_assigned(tree))
    except (SyntaxError, ValueError) as error:
        raise BadAssignment(path, "", 0, f"not a test file of otter's ({error})") from None
    if facts.get("OK_FORMAT", True):
        if "test" not in facts:
            raise BadAssignment(path, "", 0, "there is no `test = {...}` in it")
        return checks_of_suites(path, path.stem, facts["test"], found)
    checks = [check for node in tree.body if (check := _case(node)) is not None]
    imports = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    imports = [line for line in imports if "otter" not in line]
    for check in checks:
        check.body = "\n".join([*imports, check.body])
    share_out(checks, facts.get("points"))
    return Question(name=str(facts.get("name") or path.stem), checks=checks)


def _assigned(tree: ast.Module) -> list[tuple[str, Any]]:
    """Plain values that a file gives to names."""
    return [
        (node.targets[0].id, ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]


def _case(node: ast.stmt) -> Check | None:
    """A function under ``@test_case(points=..., hidden=...)``."""
    if not isinstance(node, ast.FunctionDef):
        return None
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if ast.unparse(call.func if call else decorator).rpartition(".")[2] != "test_case":
            continue
        given = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg} if call else {}
        names = [argument.arg for argument in node.args.args]
        points = given.get("points")
        node.decorator_list = []
        return Check(
            name=node.name,
            body=f"{ast.unparse(node)}\n{node.name}({', '.join(names)})",
            points=UNSAID if points is None else float(points),
            hidden=bool(given.get("hidden")),
            message=str(given.get("failure_message") or ""),
            problem="it asks for `env`; name what it needs instead" if "env" in names else "",
        )
    return None

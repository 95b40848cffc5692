"""Programs of Tracing questions run alone, and what they did is reported as it was."""

from __future__ import annotations

import os

import pytest

from meridian.academy.quiz import Tracing, TracingAnswer, TracingRun, verify_tracing
from meridian.academy.quiz_questions import Extras, TracingPrompt


def run(program: str, **options) -> TracingRun:
    answer = TracingAnswer(True, "")
    return verify_tracing(Tracing(prompt=TracingPrompt(program=program), answer=answer), **options)


@pytest.mark.parametrize(
    ("program", "stdout"),
    [
        ("print(2 + 2)", "4\n"),
        ("import struct\nprint(struct.pack('<IH', 7, 258).hex())", "070000000201\n"),
        ("if __name__ == '__main__':\n    print('main', end='')", "main"),
        ("print('é')", "é\n"),
        ("import sys\nprint(sys.argv, len(sys.stdin.read()))", "['<program>'] 0\n"),
        ("import os\nprint(os.listdir())", "[]\n"),
        ("import sys\nsys.exit(0)", ""),
        ("x = 1\ndef f():\n    return x\nprint(f())", "1\n"),
        ("", ""),
    ],
)
def test_a_program_that_ends(program: str, stdout: str) -> None:
    assert run(program) == TracingRun(True, stdout)


@pytest.mark.parametrize(
    ("program", "line", "error"),
    [
        ("x = [1]\nx[1] = 2\n", 2, "IndexError"),
        ("def f():\n    return 1 / 0\nprint('a')\nf()", 2, "ZeroDivisionError"),
        ("import json\n\njson.loads('{')", 3, "JSONDecodeError"),
        ("x = 1\nif x\n    pass", 2, "SyntaxError"),
        ("x = 1\n  y = 2", 2, "IndentationError"),
        ("import sys\nsys.exit('no')", 2, "SystemExit"),
        ("try:\n    1 / 0\nfinally:\n    x = [][0]", 4, "IndexError"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError from e", 4, None),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
    ],
)
def test_a_program_that_fails(program: str, line: int, error: str | None) -> None:
    result = run(program)
    assert not result.ok
    assert result.line == line
    assert error is None or result.error == error


def test_what_was_printed_before_the_failure_is_kept() -> None:
    assert run("print('before')\n1 / 0").stdout == "before\n"


def test_an_endless_program_is_stopped_with_its_children() -> None:
    program = "import subprocess\nprint('on', flush=True)\nsubprocess.run(['sleep', '600'])"
    result = run(program, timeout_s=1.0)
    assert (result.ok, result.line, result.error) == (False, None, "TimeoutExpired")
    assert result.stdout == "on\n"


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("import os\nos._exit(0)", "exit status 0"),
        ("import os\nos._exit(3)", "exit status 3"),
        ("import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
    ],
)
def test_a_program_that_kills_its_interpreter_has_failed(program: str, error: str) -> None:
    result = run(program)
    assert (result.ok, result.line, result.error) == (False, None, error)


def test_endless_output_is_cut_off() -> None:
    result = run("while True:\n    print('x' * 100_000, flush=True)")
    assert (result.ok, result.line, result.error) == (False, 2, "OSError")
    assert len(result.stdout) == 1 << 20


def test_the_environment_does_not_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    assert run("assert False").error == "AssertionError"


def test_the_recorded_answer_is_compared_with_what_happened() -> None:
    def agrees(program: str, error: str | None = None, **answer) -> bool:
        question = Tracing(
            prompt=TracingPrompt(program=program),
            answer=TracingAnswer(**answer),
            meridian=Extras(error=error),
        )
        return verify_tracing(question).agrees_with(question)

    assert agrees("print(1)", does_compile=True, stdout=" 1")
    assert not agrees("print(1)", does_compile=True, stdout="2")
    assert not agrees("print(1)\n1/0", does_compile=True, stdout="1")
    assert not agrees("print(1)", does_compile=False, line_number=1)
    assert agrees("1 / 0", does_compile=False, line_number=1)
    assert agrees("1 / 0", does_compile=False, line_number=1, error="ZeroDivisionError")
    assert not agrees("1 / 0", does_compile=False, line_number=1, error="NameError")
    assert not agrees("\n1 / 0", does_compile=False, line_number=1)

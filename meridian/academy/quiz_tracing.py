"""Run the program of a Tracing question, so that its recorded answer is known to be true.

The program gets a fresh, isolated interpreter and an empty folder: nothing that ran before, no
environment variable and no file nearby can change what it does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import IO

import msgspec

from meridian.academy.quiz_questions import Tracing

__all__ = ["MAX_OUTPUT_BYTES", "TracingRun", "verify_tracing"]

MAX_OUTPUT_BYTES = 1 << 20

# The child. Its verdict travels on a pipe of its own: standard output belongs to the program.
_RUNNER = """
import json, linecache, os, resource, sys, traceback
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(2)),) * 2)
channel, name, source = int(sys.argv.pop(1)), "<program>", sys.stdin.read()
sys.argv[0] = name
sys.stdin = open(os.devnull)
linecache.cache[name] = (len(source), None, source.splitlines(True), name)
verdict = {"ok": True}
try:
    exec(compile(source, name, "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
except SystemExit as stop:
    verdict["ok"] = stop.code in (None, 0)
    failure = stop
except BaseException as error:
    verdict["ok"] = False
    failure = error
if not verdict["ok"]:
    lines = [n.lineno for n in traceback.extract_tb(failure.__traceback__) if n.filename == name]
    if isinstance(failure, SyntaxError) and failure.filename == name:
        lines.append(failure.lineno)
    verdict["line"] = lines[-1] if lines else None
    verdict["error"] = type(failure).__name__
    verdict["message"] = str(failure)
sys.stdout.flush()
with os.fdopen(channel, "w") as pipe:
    json.dump(verdict, pipe)
"""


class TracingRun(msgspec.Struct, frozen=True):
    """What a program did. If it failed, `line` is the deepest frame inside it, counted from 1."""

    ok: bool
    stdout: str = ""
    line: int | None = None
    error: str | None = None
    message: str = ""

    def agrees_with(self, question: Tracing) -> bool:
        """Whether the recorded answer of `question` says what happened."""
        answer = question.answer
        if answer.does_compile:
            return self.ok and self.stdout.strip() == (answer.stdout or "").strip()
        named = question.meridian.error
        return (
            not self.ok
            and self.line == answer.line_number
            and (named is None or named == self.error)
        )


def verify_tracing(question: Tracing, *, timeout_s: float = 30.0) -> TracingRun:
    """Run the program of `question` and return what happened.

    It may print up to `MAX_OUTPUT_BYTES`; the write beyond fails with ``OSError``.
    A program that runs longer than `timeout_s` seconds, or kills its interpreter, has failed on
    no line (`line` is ``None``), with `error` ``"TimeoutExpired"`` or the name of the signal.
    """
    reader, writer = os.pipe()
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as printed,
        os.fdopen(reader) as pipe,
    ):
        arguments = [str(writer), str(MAX_OUTPUT_BYTES)]
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-c", _RUNNER, *arguments],
                stdin=subprocess.PIPE,
                stdout=printed,  # a file, because its size can be limited
                stderr=subprocess.PIPE,
                cwd=folder,
                pass_fds=[writer],
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
        finally:
            os.close(writer)
        with child:
            try:
                _, stderr = child.communicate(question.program, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
                message = f"over {timeout_s:g} s"
                return TracingRun(False, _read(printed), None, "TimeoutExpired", message)
        verdict = pipe.read()
        stdout = _read(printed)
    if not verdict:
        code = child.returncode
        error = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return TracingRun(False, stdout, None, error, stderr.strip())
    run = msgspec.json.decode(verdict, type=TracingRun)
    return msgspec.structs.replace(run, stdout=stdout)


def _read(printed: IO[bytes]) -> str:
    printed.seek(0)
    return printed.read().decode("utf-8", "replace")

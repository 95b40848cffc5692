"""A failure as a program: what the test asked, against the learner's own package, runnable alone.

The program needs neither the grader nor the suite. It ends by making the failed check again where
that can be said in source (`Compared`, `MustRaise`), else by comparing the last answer with what
it was when it was judged.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from grader.errors import RemoteError, WorkerLost
from grader.judging import replay_parts
from grader.judging.compare import CriterionFailed
from grader.judging.literals import Literals, Unwritable
from grader.judging.properties import Smallest
from grader.judging.questions import Names, Writer
from grader.judging.replay_body import Body, Failure, comment
from grader.judging.transcript import Event, Fault, Witness
from meridian.academy.replaying import ASKED

__all__ = ["MAX_PROGRAM_BYTES", "Failure", "replay_of", "replay_program"]


MAX_PROGRAM_BYTES = 64 * 1024
_FOLDER = (
    'FOLDER = tempfile.mkdtemp(prefix="replay-")',
    "atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)",
    "",
)
_IMPORTS = (
    "from __future__ import annotations",
    "",
    "import atexit, base64, contextlib, operator, os, random, shutil, signal, sys, tempfile",
    "import traceback, zlib",
    "from itertools import islice",
)
_PARTS = (
    "path",
    "read",
    "write",
    "noise",
    "unpacked",
    "call_all",
    "run_async",
    "killed",
    "die",
    "same",
    "check",
    "must_raise",
    "unlike",
    "raise_first",
    "unknown",
    "told",
    "finish",
)
_NEEDS = {
    "read": "path",
    "write": "path",
    "check": "same told finish",
    "unlike": "same told unknown",
    "unknown": "finish",
    "must_raise": "finish",
    "killed": "finish",
}


def replay_of(
    error: BaseException,
    witness: Witness,
    *,
    name: str,
    title: str,
    message: str,
    package: str,
    noise: Mapping[bytes, int],
) -> str:
    """The program for what ended a test, from what its `witness` wrote down."""
    counterexample = getattr(error, "counterexample", "")
    if isinstance(error, Smallest):
        error = error.error
        counterexample = counterexample or getattr(error, "counterexample", "")
    transcript = witness.transcript
    if isinstance(error, CriterionFailed):
        transcript.until(error.at_ns)
    elif isinstance(error, RemoteError | WorkerLost):
        transcript.until(_raised_at(transcript.events, error))
    check = getattr(error, "check", None)
    failure = Failure(title, message, counterexample, check, isinstance(error, RemoteError))
    return replay_program(
        transcript.events,
        failure,
        name=name,
        package=package,
        folder=witness.seen_folder,
        noise=noise,
    )


def _raised_at(events: Sequence[Event], error: RemoteError | WorkerLost) -> int:
    """When the question was answered that ended the test: what came later only cleaned up."""
    faults = (e.at_ns for e in reversed(events) if _is_fault(e.value, error.message))
    return next(faults, events[-1].at_ns if events else 0)


def _is_fault(value: Any, message: str) -> bool:
    return type(value) is Fault and value.message == message


def replay_program(
    events: Sequence[Event],
    failure: Failure,
    *,
    name: str,
    package: str,
    folder: str,
    noise: Mapping[bytes, int],
) -> str:
    """The program, or ``""`` where there is nothing to show or no way to show it in bounded size.

    `name` is the replay's id, `folder` what the worker called its scratch folder.
    """
    names = Names(package)
    literals = Literals(names.of, folder, noise)
    try:
        body = Body(Writer(names, literals, events), literals).lines(events, failure)
    except Unwritable:
        return ""
    text = "\n".join(
        [
            *_head(failure, name, package),
            *_parts("\n".join([*literals.data, *body])),
            "sys.path.insert(0, sys.argv[1] if len(sys.argv) > 1 else os.curdir)",
            *(f"import {module}" for module in names.modules),
            *(["import numpy"] if "numpy." in "".join([*literals.data, *body]) else []),
            "",
            ASKED,
            *literals.data,
            *body,
            "",
        ]
    )
    return text if len(text) <= MAX_PROGRAM_BYTES else ""


def _head(failure: Failure, name: str, package: str) -> list[str]:
    said = [f"Replay {name}: {failure.title}", "", failure.message]
    if failure.counterexample:
        said += ["", f"Smallest example: {failure.counterexample}"]
    said += [
        "",
        f"Run it: meridian replay {name}",
        f"Or:     python THIS_FILE FOLDER, where FOLDER holds the package {package}",
    ]
    return [*comment("\n".join(said)), "", *_IMPORTS, ""]


def _parts(body: str) -> list[str]:
    """The source of the parts that `body` uses, with what they use themselves."""
    used = {part for part in _PARTS if re.search(rf"\b{part}\(", body)}
    while more := {need for part in used for need in _NEEDS.get(part, "").split()} - used:
        used |= more
    lines = [*_FOLDER]
    for part in _PARTS:
        if part in used:
            source = inspect.getsource(getattr(replay_parts, part))
            lines += ["", *source.rstrip().split("\n"), ""]
    return [*lines, ""]

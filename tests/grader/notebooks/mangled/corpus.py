"""What learners and tools do to a notebook: each function does one thing to one that was solved.

A mangler takes the notebook as a dict (its own copy) and returns what is handed in: the dict, or
bytes where the file is no longer JSON. `answer` finds the learner's cell, whose id is ``ANSWER``.
`REPAIRED` says what the report must tell, `REPORTED` which problem it must name instead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

Notebook = dict[str, Any]
Mangler = Callable[[Notebook], "Notebook | bytes"]

ANSWER = "by-hand"
BEFORE, AFTER = "header", "offsets"  # the author's code cells around it
STUB = 'raise NotImplementedError("database/01-storage #1: fields of `raw` by hand")'
REPAIRED: dict[str, tuple[Mangler, str]] = {}
REPORTED: dict[str, tuple[Mangler, str]] = {}


def repaired(said: str) -> Callable[[Mangler], Mangler]:
    """The notebook gets the verdict of the one that was not mangled; `said` is told."""

    def enter(mangler: Mangler) -> Mangler:
        REPAIRED[mangler.__name__] = (mangler, said)
        return mangler

    return enter


def reported(said: str) -> Callable[[Mangler], Mangler]:
    """Nothing is guessed: the answer does not run, and `said` is told."""

    def enter(mangler: Mangler) -> Mangler:
        REPORTED[mangler.__name__] = (mangler, said)
        return mangler

    return enter


def at(notebook: Notebook, name: str = ANSWER) -> int:
    return next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == name)


def answer(notebook: Notebook) -> dict[str, Any]:
    found: dict[str, Any] = notebook["cells"][at(notebook)]
    return found


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def like(cell: dict[str, Any], text: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(cell), "source": text, **changes}


def own(text: str, name: str = "9f8e7d6c", kind: str = "code") -> dict[str, Any]:
    cell = {"id": name, "cell_type": kind, "metadata": {}, "source": text}
    return cell | ({"outputs": [], "execution_count": 7} if kind == "code" else {})


def skeleton(notebook: Notebook) -> str:
    """The answer's cell as it was given out."""
    lines = source(answer(notebook)).split("\n")
    return "\n".join([*lines[:2], STUB, lines[-1]])

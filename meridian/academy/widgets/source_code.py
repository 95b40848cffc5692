"""The source of what a lesson talks about, read from the library that is running.

Code pasted into a text drifts from the code that runs. A lesson shows it through `show_source`
instead: highlighted where Markdown is shown, plain elsewhere, always the present version.
"""

from __future__ import annotations

import inspect
from textwrap import dedent
from typing import Any

__all__ = ["SourceListing", "show_source"]


class SourceListing:
    """The source of some objects, as a notebook shows it; `text` is the code alone."""

    def __init__(self, parts: list[tuple[str, str]]) -> None:
        self._parts = parts

    @property
    def text(self) -> str:
        return "\n\n".join(code for _, code in self._parts)

    def __repr__(self) -> str:
        return "\n\n".join(f"# {where}\n{code}" for where, code in self._parts)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(f"`{where}`\n```python\n{code}\n```" for where, code in self._parts)


def show_source(*objects: Any) -> SourceListing:
    """The source of classes, functions and methods, each under the module it lives in.

    Properties show their getter. Raises `TypeError` for what has no Python source: builtins,
    values, compiled code; `ValueError` for nothing at all.
    """
    if not objects:
        raise ValueError("Expected something to show the source of, got nothing")
    parts = []
    for thing in objects:
        if isinstance(thing, property):
            thing = thing.fget
        try:
            code = dedent(inspect.getsource(thing)).rstrip()
        except (OSError, TypeError) as error:
            raise TypeError(f"No Python source for {thing!r}: {error}") from None
        name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
        module = getattr(thing, "__module__", None)
        parts.append((f"{module}.{name}" if module else name, code))
    return SourceListing(parts)

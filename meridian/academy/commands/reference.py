"""The command reference, ``docs/cli.md``, made from the commands themselves.

Run ``python -m meridian.academy.commands.reference`` after changing a command; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "reference"]

PAGE = Path("docs/cli.md")
_WIDTH = 96
_HEAD = """# Commands

Every command prints this text itself: `meridian COMMAND --help`, `grader COMMAND --help`.
Exit status of `meridian`: 0 done or passed, 1 a verdict that is not passed, 2 wrong use or an
error, 130 interrupted. With `--json` an error is one object on standard error,
`{"error": {"kind": ..., "message": ...}}`, and standard output is valid JSON or empty.
"""


def reference() -> str:
    """The page as Markdown: one section a command, its help in a block."""
    import typer.main

    import grader.cli
    from meridian.academy import cli

    parts = [_HEAD]
    for name, app in (("meridian", cli.app), ("grader", grader.cli.app)):
        for path, text in _helps(typer.main.get_command(app), name, None):
            level = "##" if path == name else "###"
            parts.append(f"{level} `{path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    """The command line and help text of `command` and of every command below it."""
    command.rich_markup_mode = None  # plain text, whatever the application prefers
    settings = {**command.context_settings, "terminal_width": _WIDTH}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    lines = command.get_help(context).splitlines()
    yield context.command_path, "\n".join(line.rstrip() for line in lines).strip()
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _helps(child, child_name, context)


if __name__ == "__main__":
    from meridian.academy.curriculum import lab_root

    (lab_root() / PAGE).write_text(reference(), encoding="utf-8")

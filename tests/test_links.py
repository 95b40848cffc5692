"""What the written pages point at is there: files, headings, commands."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main

import grader.cli
from meridian.academy import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "notebooks" / "README.md",
    ROOT / "benchmarks" / "README.md",
]
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
_IMAGE = re.compile(r"<(?:img|a|source)\b[^>]*?\b(?:src|href|srcset)=\"([^\"]+)\"")
_SHELL = re.compile(r"```[a-z]*\n(.*?)```|``?([^`\n]+)`", re.DOTALL)
COMMANDS = {
    "meridian": typer.main.get_command(cli.app),
    "grader": typer.main.get_command(grader.cli.app),
}


def targets(text: str) -> Iterator[str]:
    """Where the links and images of a page lead, code blocks left out."""
    prose = _FENCE.sub("", text)
    for pattern in (_LINK, _IMAGE):
        for found in pattern.finditer(prose):
            yield found[1]


def anchors(page: Path) -> set[str]:
    """The names by which the headings of `page` can be linked to."""
    headings = re.findall(r"^#+ +(.*?) *$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken(page: Path) -> list[str]:
    bad = []
    for target in targets(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):  # the internet is not asked
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        inside = place == ROOT or ROOT in place.parents
        if not (inside and place.exists()) or (anchor and anchor not in anchors(place)):
            bad.append(target)
    return bad


def command_lines(text: str) -> Iterator[list[str]]:
    """Every `uv run ...`, `meridian ...` and `grader ...` of a page, as words without `uv run`."""
    for block, inline in _SHELL.findall(text):
        for line in (block or inline).splitlines():
            for part in line.split("&&"):
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:  # a line of Python
                    continue
                part = part.partition("#")[0]
                if words[:2] == ["uv", "run"]:
                    yield words[2:]
                elif words and words[0] in COMMANDS and "  " not in part.strip():
                    yield words


def problem(words: list[str]) -> str | None:
    """Why this command line could not run, as far as can be told without running it."""
    name, *rest = words
    if name in COMMANDS:
        return _typer_problem(COMMANDS[name], rest)
    if name == "python":
        if rest[:1] != ["-m"] or find_spec(rest[1]) is None:
            return f"no module for {rest}"
    elif shutil.which(name, path=str(Path(sys.executable).parent)) is None:
        return f"no command {name!r}"
    for word in rest:
        bare = word.split("::")[0]
        if bare.startswith(("tests/", "grader/", "meridian/")) and not (ROOT / bare).exists():
            return f"no file {bare}"
    return None


def _typer_problem(command: Any, words: list[str]) -> str | None:
    while children := getattr(command, "commands", None):
        if not words or not words[0].islower() or words[0].startswith("-"):
            return None  # the command itself, or a placeholder such as COMMAND or ...
        if words[0] not in children:
            return f"no command {words[0]!r}"
        command, words = children[words[0]], words[1:]
    known = {
        opt for parameter in command.params for opt in parameter.opts + parameter.secondary_opts
    }
    for word in words:
        if word.startswith("-") and word not in {*known, "--help", "-h"}:
            return f"no option {word!r}"
    return None


def test_the_pages_to_check_are_there() -> None:
    assert len(PAGES) >= 7
    assert [str(page) for page in PAGES if not page.is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_image_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    lines = list(command_lines(page.read_text(encoding="utf-8")))
    problems = [(words, said) for words in lines if (said := problem(words))]
    assert problems == []


def test_the_readme_names_every_command_a_learner_needs() -> None:
    lines = list(command_lines((ROOT / "README.md").read_text(encoding="utf-8")))
    named = {words[1] for words in lines if words[0] == "meridian" and len(words) > 1}
    needed = {"lab", "doctor", "next", "quiz", "check", "bench", "submit", "reset", "status"}
    assert needed <= named
    assert ["pytest"] in lines


def test_the_command_names_are_what_is_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(COMMANDS) <= set(scripts)


def test_a_dead_link_and_a_dead_command_are_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "never-written.md"
    text = "[a](none.md) ![b](../docs/images/none.png) [c](cli.md) [d](https://x.y) [e](cli.md#no)"
    assert list(targets(text))[:2] == ["none.md", "../docs/images/none.png"]
    copy = tmp_path / "page.md"
    copy.write_text(text)
    assert broken(copy) == ["none.md", "../docs/images/none.png", "cli.md", "cli.md#no"]
    assert not page.exists()
    assert anchors(ROOT / "docs" / "cli.md") >= {"commands", "meridian-lab", "grader-build"}
    for line, said in (
        ("uv run meridian labb", "no command 'labb'"),
        ("meridian check database/01-storage --fast", "no option '--fast'"),
        ("uv run pytest tests/none.py", "no file tests/none.py"),
        ("uv run python -m benchmarkz", "no module"),
        ("uv run no-such-tool", "no command"),
    ):
        [words] = command_lines(f"```\n{line}  # why\n```")
        assert said in (problem(words) or ""), line
    for line in ("uv run meridian ...", "meridian COMMAND --help", "uv run grader build"):
        [words] = command_lines(f"Run `{line}` now")
        assert problem(words) is None

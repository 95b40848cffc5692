"""The command reference says what the commands say, and every command teaches."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from meridian.academy import cli
from meridian.academy.commands.reference import PAGE, reference

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = typer.main.get_command(cli.app).commands


def test_the_reference_page_is_up_to_date() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == reference(), (
        "run: python -m meridian.academy.commands.reference"
    )


def test_every_command_of_the_design_is_there() -> None:
    assert list(COMMANDS) == [
        *("lab", "doctor", "next", "quiz", "check", "bench", "submit", "replay"),
        *("reset", "status", "map", "export", "import"),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_teaches(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    first = command.help.splitlines()[0]
    assert len(first.split(". ")[0]) <= 60, "the list of commands would cut it"
    assert f"Example:    meridian {name}" in command.help
    assert "hat comes next" in command.help or "Next" in command.help
    for parameter in command.params:
        assert parameter.help, parameter.name


@pytest.mark.parametrize("name", ["status", "next", "doctor", "check", "submit", "bench", "map"])
def test_what_a_script_wants_has_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)

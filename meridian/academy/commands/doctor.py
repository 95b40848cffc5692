"""`doctor`: is this machine fit for the course?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from meridian.academy.commands.shared import JsonOption, console, open_lab, print_json

if TYPE_CHECKING:
    from meridian.academy.doctor import Tier


def doctor(json: JsonOption = False) -> None:
    """Find out whether this machine is fit. What is not, comes with its fix.

    \b
    Example:    meridian doctor

    Findings marked with ! are optional. Exit status 1 means not ready. What comes next:
    `meridian lab`.
    """
    from meridian.academy.doctor import examine

    course, store = open_lab()
    diagnosis = examine(course, store, detect_box=_detect_box)
    if json:
        print_json(diagnosis)
    else:
        out = console()
        for finding in diagnosis.findings:
            mark = "✓" if finding.ok else ("✗" if finding.required else "!")
            line = f"{mark} {finding.name + ':':<14} {finding.said}"
            out.print(line, markup=False, soft_wrap=True)
            if finding.fix:
                out.print(f"                 {finding.fix}", markup=False, soft_wrap=True)
        out.print()
        out.print(diagnosis.verdict, markup=False)
    if not diagnosis.ready:
        raise typer.Exit(1)


def _detect_box() -> Tier:
    from grader.box.tiers import detect
    from meridian.academy.doctor import Tier

    found = detect()
    return Tier(found.tier, found.reason, found.fix)

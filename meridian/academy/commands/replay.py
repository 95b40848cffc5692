"""`replay`: see a failure again, against your own code, outside the box."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meridian.academy.commands.shared import UsageError

if TYPE_CHECKING:
    from meridian.academy.replays import Replay

__all__ = ["replay"]

ReplayId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Eight letters and digits from a report.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Look in this report.json, not in the lab's."),
]
SubmissionOption = Annotated[
    Path | None,
    typer.Option("--submission", metavar="DIR", help="Run against this folder, not your exercise."),
]
PdbOption = Annotated[bool, typer.Option("--pdb", help="Stop in the debugger at the last call.")]
ShowOption = Annotated[bool, typer.Option("--show", help="Print the program, run nothing.")]
SaveOption = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", help="Write the program, run nothing.")
]


def replay(
    name: ReplayId = None,
    report: ReportOption = None,
    submission: SubmissionOption = None,
    pdb: PdbOption = False,
    show: ShowOption = False,
    save: SaveOption = None,
) -> None:
    """Replay a failure. The calls that the judge made, against your code as it is now.

    \b
    Example:    meridian replay 1a2b3c4d --pdb

    Without an ID: list what can be replayed. Exit status 0 means that it gives now what was
    expected, 1 that it is still wrong, 3 that only a check can tell. What comes next: mend it,
    then meridian check.
    """
    from meridian.academy.replays import find_replay

    known = _known(report)
    if name is None:
        _list(known)
        return
    found = find_replay(name, known)
    if show:
        print(found.program, end="")
    if save is not None:
        save.write_text(found.program)
        print(f"Saved. Run it: python {save} {_folder(found, submission)}")
    if not show and save is None:
        raise typer.Exit(_run(found, _folder(found, submission), debug=pdb))


def _known(report: Path | None) -> list[Replay]:
    from meridian.academy.curriculum import lab_root
    from meridian.academy.replays import known_replays, replays_in

    return known_replays(lab_root()) if report is None else replays_in(report)


def _list(known: list[Replay]) -> None:
    wide = max((len(entry.criterion) for entry in known), default=0)
    for entry in known:
        print(f"{entry.id}  {entry.capstone}  {entry.criterion:<{wide}}  {entry.title}")
    if known and sys.stdout.isatty():
        print(f"See one happen: meridian replay {known[0].id}")
    if not known:
        print("Nothing to replay: no report has a failure that was recorded.")


def _folder(found: Replay, submission: Path | None) -> Path:
    """The folder with the learner's package. Raises `UsageError` when there is none."""
    from meridian.academy.curriculum import load

    course = load()
    module = course.module(found.capstone)
    folder = submission or course.root / module.exercise
    package = module.capstone.package
    if not (folder / package).is_dir():
        raise UsageError(
            f"There is no package {package} in {folder}",
            f"Name another folder with --submission, or bring it back: "
            f"meridian reset {found.capstone}",
        )
    return folder


def _run(found: Replay, folder: Path, *, debug: bool) -> int:
    """Run the program in a process of its own; its exit status."""
    from meridian.academy.replaying import last_call

    if debug and "JPY_PARENT_PID" in os.environ:
        raise UsageError(
            "A notebook cannot talk to the debugger of a command",
            f"Run it in a terminal, or save it with --save and use %run -d: {found.id}.py",
        )
    print(f"Replay {found.id}: {found.capstone}, criterion {found.criterion}, {found.title}")
    with tempfile.TemporaryDirectory(prefix="meridian-replay-") as place:
        program = Path(place) / f"replay_{found.id}.py"
        program.write_text(found.program)
        how = ["-m", "meridian.academy.replaying"]
        if debug:
            stop = f"break {last_call(found.program)}"
            how = ["-m", "pdb", "-c", stop, "-c", "continue"]
        sys.stdout.flush()
        run = subprocess.run([sys.executable, *how, str(program), str(folder)], check=False)
    return run.returncode if run.returncode >= 0 else 1

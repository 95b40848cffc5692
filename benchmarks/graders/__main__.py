"""``python -m benchmarks.graders``: three graders side by side. Minutes; needs the network once."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.graders.assignment import HONEST, TRICKS
from benchmarks.graders.ours import OursCommand, OursWarm
from benchmarks.graders.peers import (
    NbgraderApi,
    NbgraderCommand,
    OtterCommand,
    Verdict,
    environment,
)
from meridian.foundation.profiling.bench import Fingerprint, load_average

AFTERWARDS_S = 4.0
"""How long a process left behind has, to show what it can do."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graders", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="times each grades the honest answer")
    parser.add_argument("--box", default="auto", help="tier of our box")
    parser.add_argument("--tricks", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument(
        "--peers", type=Path, default=cache / "meridian-peer-graders", help="their environment"
    )
    options = parser.parse_args()
    console = Console(stderr=True)
    python = environment(options.peers)
    with tempfile.TemporaryDirectory(prefix="graders-") as name:
        graders = _open(python, Path(name), options.box)
        try:
            seconds = _speed(graders, options.rounds, console)
            verdicts = _tricks(graders, Path(name), console) if options.tricks else {}
        finally:
            for grader in graders:
                grader.close()
    text = _page(seconds, verdicts)
    found = {"seconds": seconds, "verdicts": verdicts, "machine": str(Fingerprint.current())}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "graders.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "graders.md").write_text(text)
    print(text)
    return 0


def _open(python: Path, folder: Path, box: str) -> list[Any]:
    return [
        NbgraderCommand(python, folder / "nbgrader"),
        NbgraderApi(python, folder / "nbgrader-api"),
        OtterCommand(python, folder / "otter"),
        OursCommand(folder / "ours", box),
        OursWarm(folder / "ours-warm", box),
    ]


def _speed(graders: list[Any], rounds: int, console: Console) -> dict[str, list[float]]:
    """Seconds for the honest answer, every grader in turn, there and back."""
    seconds: dict[str, list[float]] = {grader.name: [] for grader in graders}
    for done in range(-1, rounds):  # the first round warms up
        order = graders if done % 2 else graders[::-1]
        for grader in order:
            console.print(f"round {done + 1} of {rounds}: {grader.name}", highlight=False)
            verdict: Verdict = grader.grade(HONEST)
            if verdict.score != 3:
                raise RuntimeError(f"{grader.name} gave {verdict.score} of 3 to an honest answer")
            if done >= 0:
                seconds[grader.name].append(verdict.seconds)
    return seconds


def _tricks(graders: list[Any], folder: Path, console: Console) -> dict[str, dict[str, str]]:
    """What each grader says to each trick; the API of nbgrader says what its command says."""
    told: dict[str, dict[str, str]] = {}
    for trick, source in TRICKS.items():
        told[trick] = {}
        for grader in graders:
            if isinstance(grader, NbgraderApi | OursWarm):
                continue
            console.print(f"{trick}: {grader.name}", highlight=False)
            told[trick][grader.name] = _one(grader, source, folder)
    return told


def _one(grader: Any, source: str, folder: Path) -> str:
    home, called = folder / "home", []
    home.mkdir(exist_ok=True)
    mark = f"mark-{secrets.token_hex(4)}"
    traces = [home / mark, Path("/dev/shm", mark)]
    with _listener(called) as port:
        answer = source.replace("PORT_HERE", str(port)).replace("HOME_HERE", str(home))
        answer = answer.replace("GRADES_HERE", str(grader.grades)).replace("MARK_HERE", mark)
        verdict = grader.grade(answer)
        score = verdict.score
        if "setsid" in source:
            time.sleep(AFTERWARDS_S)
            score = _now(grader, score)
    said = "no verdict" if score is None else f"{score:g} of 3"
    if verdict.seconds > 55:
        said = "hangs"
    if called:
        said += ", reached the network"
    for trace in traces:
        if trace.exists():
            said += ", still running" if "setsid" in source else ", wrote into the home folder"
            trace.unlink()
    return said


def _now(grader: Any, score: float | None) -> float | None:
    """The grade after a while, where it is kept."""
    if isinstance(grader, NbgraderCommand):
        return grader.score(f"learner-{grader._jobs}")
    if isinstance(grader, OtterCommand):
        return grader.score(grader.folder / f"job-{grader._jobs}")
    report = grader.folder / "graded" / str(grader._jobs) / "report.json"
    return json.loads(report.read_text())["score"] * 3 / 100 if report.exists() else score


@contextlib.contextmanager
def _listener(called: list[bool]) -> Iterator[int]:
    """A port on this machine; afterwards `called` is not empty when somebody connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server.getsockname()[1]
        with contextlib.suppress(BlockingIOError):
            server.accept()[0].close()
            called.append(True)


def _page(seconds: dict[str, list[float]], verdicts: dict[str, dict[str, str]]) -> str:
    """Two Markdown tables, with what they were measured on."""
    ours = statistics.median(seconds[OursWarm.name])
    command = statistics.median(seconds[OursCommand.name])
    lines = [
        "| | seconds to verdict (min to max) | times our warm pool | times our command |",
        "|---|---|---|---|",
    ]
    for name, times in seconds.items():
        middle = statistics.median(times)
        spread = f"{min(times):.3g} to {max(times):.3g}"
        lines.append(
            f"| {name} | {middle:.3g} ({spread}) | {middle / ours:.3g} | {middle / command:.2g} |"
        )
    if verdicts:
        names = list(next(iter(verdicts.values())))
        lines += ["", f"| trick (deserves 0 of 3) | {' | '.join(names)} |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for trick, said in verdicts.items():
            lines.append(f"| {trick} | {' | '.join(said[name] for name in names)} |")
    lines += ["", f"{Fingerprint.current()}. Load average {load_average() or 0:.1f}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

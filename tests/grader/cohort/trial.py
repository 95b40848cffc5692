"""A cohort of labelled storage submissions through the real command, and what it came to.

    python -m tests.grader.cohort.trial --count 300 --workers 2 --mode check [--kill 2]

Prints throughput, every verdict that is not the deserved one, and the most memory that the
coordinator and a worker had. With ``--kill`` the coordinator is killed so many times, at random
moments, and the same command goes on. ``--reports FILE`` keeps what the reports say but for time:
two runs with the same seed, killed or not, on Dask or not, must write the same file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from grader.report import read_report
from tests.grader.cohort.generate import KEY, ROOT, Labelled, generate, wrongly_judged
from tests.grader.cohort.test_kill import reports

ADDRESS = re.compile(r"0x7f[0-9a-f]{10}")
"""Some of the wrong submissions print where an object lies: that is new in every run."""


def misjudged(labelled: list[Labelled], out: Path, mode: str) -> list[str]:
    """Every submission whose report is not what it deserves."""
    found = []
    for label in labelled:
        path = out / "reports" / label.learner / "attempt-1" / "report.json"
        report = read_report(path)
        problem = wrongly_judged(label, report)
        if label.what == "mangled notebook" and report.passed != (mode == "check"):
            problem = f"passed is {report.passed} in mode {mode}"
        if problem:
            found.append(f"{label.learner} ({label.what}): {problem}")
    return found


def grade(folder: Path, lab: Path, arguments: list[str], kill_after_s: float | None) -> bool:
    """Run the command once; whether it came to its end."""
    own = [sys.executable, "-c", "from grader.cli import main; main()", "cohort", "run"]
    places = [str(folder / "submissions"), "--capstone", KEY, "--out", str(folder / "out")]
    process = subprocess.Popen(
        [*own, *places, *arguments], env={**os.environ, "MERIDIAN_LAB": str(lab)}, cwd=ROOT
    )
    try:
        process.wait(kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def lab_beside(folder: Path) -> Path:
    """A lab that reads the course here and keeps its records there."""
    lab = folder / "lab"
    lab.mkdir(parents=True)
    for name in ("curriculum.toml", "grader", "solutions"):
        (lab / name).symlink_to(ROOT / name)
    (lab / ".meridian").mkdir()
    (lab / ".meridian" / "key").write_bytes(b"k" * 32)  # the same hidden inputs in every run
    return lab


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mode", choices=("check", "submit"), default="check")
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("--kill-every-s", type=float, default=60.0)
    parser.add_argument("--scheduler", default="")
    parser.add_argument("--reports", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cohort-trial-") as name:
        folder = Path(name)
        labelled = generate(folder / "submissions", given.count, given.seed)
        print(dict(Counter(label.kind for label in labelled)), flush=True)
        arguments = ["--workers", str(given.workers), "--mode", given.mode]
        if given.scheduler:
            arguments += ["--scheduler", given.scheduler]
        lab, rng, start_s = lab_beside(folder), random.Random(given.seed), time.monotonic()
        for _ in range(given.kill):
            if grade(folder, lab, arguments, given.kill_every_s * (0.5 + rng.random())):
                break
            print("killed", flush=True)
        grade(folder, lab, arguments, None)
        if given.reports:
            text = json.dumps(reports(folder / "out"), indent=1, sort_keys=True, default=str)
            given.reports.write_text(ADDRESS.sub("0x...", text) + "\n")
        return tell(labelled, folder / "out", given.mode, time.monotonic() - start_s)


def tell(labelled: list[Labelled], out: Path, mode: str, took_s: float) -> int:
    summary: dict[str, Any] = json.loads((out / "cohort.json").read_text())
    rows = summary["submissions"]
    problems = misjudged(labelled, out, mode)
    problems += [f"{row['learner']}: {row['note']}" for row in rows if row["state"] != "done"]
    problems += [f"{item['path']}: {item['reason']}" for item in summary["odd"]]
    print(f"{len(rows)} submissions in {took_s:.0f} s: {60 * len(rows) / took_s:.1f} a minute")
    print(f"peak memory: coordinator {summary['coordinator_peak_bytes'] / 2**20:.0f} MiB, ", end="")
    print(f"a worker {summary['peak_bytes'] / 2**20:.0f} MiB")
    print(f"{len(problems)} verdicts are not as deserved")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The replays in a learner's reports: failures as programs, by the short id that a report shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from meridian.academy.outcomes import replay_id
from meridian.errors import MeridianError

__all__ = ["NoReplays", "Replay", "UnknownReplay", "find_replay", "known_replays", "replays_in"]

_MAX_LISTED = 12


class NoReplays(MeridianError, ValueError):
    """A file holds no replays, because it is no report of the grader."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is no report of the grader: {reason}. Name the report.json beside a "
            "feedback page"
        )


class UnknownReplay(MeridianError, LookupError):
    """No report here has a replay of this id."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        listed = ", ".join(self.known[:_MAX_LISTED])
        fix = (
            f"There are: {listed}"
            if listed
            else "There are none: check a capstone first, or name a report with --report"
        )
        super().__init__(f"No replay {name!r} in the reports. {fix}")


class Replay(msgspec.Struct, frozen=True):
    """One failure: the program shows it against the learner's package."""

    id: str
    capstone: str
    criterion: str
    title: str
    program: str
    report: Path


class _Criterion(msgspec.Struct):
    id: str
    title: str
    replay: str = ""


class _Report(msgspec.Struct):
    capstone: str
    seed: str
    criteria: list[_Criterion]


def replays_in(report: Path) -> list[Replay]:
    """The replays of one ``report.json``. Raises `NoReplays`, or `OSError`."""
    path = report / "report.json" if report.is_dir() else report
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoReplays(path, str(error)) from None
    return [
        Replay(replay_id(found.seed, c.id), found.capstone, c.id, c.title, c.replay, path)
        for c in found.criteria
        if c.replay
    ]


def known_replays(root: Path) -> list[Replay]:
    """The replays of all reports of the lab at `root`, of the latest report first.

    An id that is in several reports, a check that was repeated, is its latest.
    """
    reports = [(path.stat().st_mtime_ns, path) for path in _reports(root)]
    found: dict[str, Replay] = {}
    for _, path in sorted(reports, reverse=True):
        try:
            replays = replays_in(path)
        except (NoReplays, OSError):  # cut short by a crash, or just being replaced
            continue
        for replay in replays:
            found.setdefault(replay.id, replay)
    return list(found.values())


def find_replay(name: str, replays: Iterable[Replay]) -> Replay:
    """The replay of this id. Raises `UnknownReplay`, which lists those there are."""
    there = {replay.id: replay for replay in replays}
    try:
        return there[name.strip().lower()]
    except KeyError:
        raise UnknownReplay(name, there) from None


def _reports(root: Path) -> Iterator[Path]:
    return (root / ".meridian" / "reports").glob("*/*/*/report.json")

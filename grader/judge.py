"""Runs an acceptance suite with pytest in the trusted process and turns it into verdicts.

The suite is ours; the submission is only ever reached through the `submission` fixture. A test
without a verdict has failed, and a suite that yields another number of verdicts than it has tests
is itself at fault (`SuiteError`): nothing is scored from it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from grader.compare import CriterionFailed, expect
from grader.errors import RemoteError, WorkerLost, WrongType
from grader.race import Race
from grader.report import Outcome
from grader.submission import Submission, opened
from grader.workers import Workshop, random_for
from meridian.academy.curriculum import Capstone
from meridian.academy.outcomes import NOT_WRITTEN
from meridian.errors import MeridianError

__all__ = ["Judge", "SuiteError", "Verdict", "explain", "run_suite"]

_EFBIG = 27
# Only what running tests takes. No terminal, no files, nothing from the environment.
_PYTEST_ARGUMENTS = (
    "-c",
    os.devnull,
    "--rootdir=/",
    "--noconftest",
    "--import-mode=importlib",
    "--strict-markers",
    *(
        f"-pno:{name}"
        for name in ("cacheprovider", "terminal", "junitxml", "doctest", "unittest", "warnings")
    ),
    *(
        f"-pno:{name}"
        for name in (
            "faulthandler",
            "stepwise",
            "pastebin",
            "logging",
            "unraisableexception",
            "threadexception",
        )
    ),
    "--capture=sys",
)
_PYTEST_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST")


class SuiteError(MeridianError, RuntimeError):
    """An acceptance suite does not fit its capstone, or did not run as a suite must."""

    def __init__(self, suite: Path, reason: str) -> None:
        self.suite = suite
        self.reason = reason
        super().__init__(f"{suite}: {reason}")


class Verdict(msgspec.Struct):
    """One test. Until it has run it has failed."""

    criterion: str
    points: float
    category: str
    outcome: Outcome = "failed"
    message: str = "No verdict was reached"
    counterexample: str = ""
    duration_s: float = 0
    reached: bool = False
    detail: str = ""
    """The suite's own words, for its author alone."""


class Judge:
    """The pytest plugin: fixtures for the suite, verdicts from its tests."""

    def __init__(
        self,
        *,
        package: str,
        workshop: Workshop,
        peers: Workshop | None,
        peer_module: str,
        reference: Workshop | None = None,
        seed: str,
        race: Race,
        selected: frozenset[str],
        on_verdict: Callable[[int, int, str], None],
    ) -> None:
        self._package = package
        self._workshop = workshop
        self._peers = peers
        self._peer_module = peer_module
        self._reference = reference
        self._seed = seed
        self._race = race
        self._selected = selected
        self._on_verdict = on_verdict
        self.verdicts: dict[str, Verdict] = {}
        self.points: dict[str, float] = {}
        self.problems: list[str] = []
        self.interrupted = False

    # -- fixtures --------------------------------------------------------------------------------

    @pytest.fixture
    def submission(self) -> Iterator[Submission]:
        """The learner's package in a fresh worker with a fresh scratch folder."""
        yield from opened(self._workshop, self._package)

    @pytest.fixture
    def peer(self) -> Iterator[Submission]:
        """The suite's own ``peer_<module>.py`` in a second, trusted worker."""
        if self._peers is None:
            raise SuiteError(Path(self._peer_module), "the suite has no peer module")
        yield from opened(self._peers, self._peer_module)

    @pytest.fixture
    def reference(self) -> Iterator[Submission | None]:
        """The model answer in a worker of its own, ``None`` where the course has none."""
        if self._reference is None:
            yield None
        else:
            yield from opened(self._reference, self._package)

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> Random:
        """Random numbers of this job and test; the report's seed repeats them."""
        return random_for(self._seed, request.node.name)

    @pytest.fixture
    def race(self) -> Race:
        return self._race

    @pytest.fixture(name="expect")
    def expect_fixture(self) -> Callable[..., None]:
        return expect

    # -- hooks -----------------------------------------------------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "criterion(id, points): what a test is worth")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.type is KeyboardInterrupt  # pytest.exit() comes here as well

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept, others = [], []
        for item in items:
            marker = item.get_closest_marker("criterion")
            if marker is None or len(marker.args) != 1 or "points" not in marker.kwargs:
                self.problems.append(f"{item.name} has no mark criterion(id, points=...)")
                continue
            criterion, points = str(marker.args[0]), float(marker.kwargs["points"])
            self.points[criterion] = self.points.get(criterion, 0) + points
            if criterion in self._selected:
                kept.append(item)
                self.verdicts[item.nodeid] = Verdict(criterion, points, _category(item))
            else:
                others.append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        verdict = self.verdicts[item.nodeid]
        verdict.duration_s += call.duration
        if call.excinfo is not None:
            if not verdict.reached or verdict.outcome == "passed":
                verdict.outcome, said, verdict.counterexample = explain(call.excinfo.value)
                verdict.message = _sentence(verdict.category, said)
                verdict.detail = str(report.longrepr)
            verdict.reached = True
        elif call.when == "call":
            verdict.outcome, verdict.message, verdict.reached = "passed", "", True
        if call.when == "teardown":
            done = sum(v.reached for v in self.verdicts.values())
            self._on_verdict(done, len(self.verdicts), verdict.criterion)
        return report


def explain(error: BaseException) -> tuple[Outcome, str, str]:
    """Outcome, message and counterexample for what ended a test.

    Only text that was written for the learner, or that the submission itself raised, comes
    through: never the suite's own assertions.
    """
    if isinstance(error, CriterionFailed):
        return "failed", error.message, error.counterexample
    if isinstance(error, WorkerLost):
        return error.outcome, error.message, ""  # type: ignore[return-value]
    if isinstance(error, RemoteError):
        return _explain_remote(error)
    if isinstance(error, WrongType):
        return "failed", str(error), ""
    if isinstance(error, pytest.skip.Exception):
        return "not_run", str(error), ""
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    return "failed", "", ""


def _explain_remote(error: RemoteError) -> tuple[Outcome, str, str]:
    where = f" ({error.where})" if error.where else ""
    if error.is_a("NotImplementedError"):
        return "failed", f"{NOT_WRITTEN}{where}: {' '.join(error.message.split())}", ""
    if error.is_a("MemoryError"):
        return "memory", f"{error.call} ran out of memory{where}", ""
    if error.is_a("OSError") and error.fields.get("errno") == _EFBIG:
        return "output", f"{error.call} wrote a file beyond the size limit{where}", ""
    return "error", f"{error}{where}", ""


def _category(item: pytest.Item) -> str:
    """The first sentence of the test's docstring: what the learner may know about it."""
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return " ".join(text.strip().split("\n\n")[0].split())


def _sentence(category: str, said: str) -> str:
    return ". ".join(part.rstrip(".") for part in (category, said) if part)


def run_suite(suite: Path, capstone: Capstone, judge: Judge) -> None:
    """Run `suite`; afterwards every selected test of `judge` has its verdict.

    Raises `SuiteError` when the suite cannot be collected, does not match the capstone's criteria
    and points, or leaves tests without a verdict though the run was not cut short.
    """
    with _clean_environment():
        status = pytest.main([*_PYTEST_ARGUMENTS, os.fspath(suite)], plugins=[judge])
    if judge.interrupted:
        raise KeyboardInterrupt
    if judge.problems:
        raise SuiteError(suite, "; ".join(judge.problems))
    for criterion in (*capstone.criteria, *capstone.bonus):
        found = judge.points.pop(criterion.id, None)
        if found != criterion.points and not (found is None and criterion in capstone.bonus):
            raise SuiteError(
                suite,
                f"criterion {criterion.id} has {criterion.points} points in the course index "
                f"and {found or 0:g} in its tests",
            )
    if judge.points:
        raise SuiteError(suite, f"unknown criterion {', '.join(judge.points)}")
    ran = sum(verdict.reached for verdict in judge.verdicts.values())
    finished = status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    empty = status == pytest.ExitCode.NO_TESTS_COLLECTED and not judge.verdicts
    if not (finished or empty) or ran != len(judge.verdicts):
        raise SuiteError(
            suite, f"{ran} verdicts of {len(judge.verdicts)} tests (pytest ended with {status!r})"
        )


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """pytest as if nothing were installed beside it and no variable steered it."""
    saved = {name: os.environ.pop(name, None) for name in _PYTEST_VARIABLES}
    saved["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

"""Runs an acceptance suite with pytest in the trusted process and turns it into verdicts.

The suite is ours; the submission is only ever reached through the `submission` fixture. A test
without a verdict has failed, and a suite that yields another number of verdicts than it has tests
is itself at fault (`SuiteError`): nothing is scored from it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest

from grader.box.workers import Workshop
from grader.judging.blame import machine_trouble
from grader.judging.compare import expect
from grader.judging.dependents import Dependents
from grader.judging.properties import Finder
from grader.judging.replay import replay_of
from grader.judging.transcript import Draws, Witness, witnessed
from grader.judging.verdict import Verdict, explain, sentence
from grader.proxy.submission import Submission, opened
from grader.races.race import Race
from meridian.academy.curriculum import Capstone
from meridian.academy.outcomes import NOT_JUDGED, NOT_WRITTEN, replay_id
from meridian.errors import MeridianError

__all__ = ["Judge", "SuiteError", "Verdict", "explain", "run_suite"]

# Only what running tests takes: no terminal, no files, nothing from the environment. Each plugin
# that is not registered also saves a millisecond of every job.
_UNWANTED = (
    *("cacheprovider", "debugging", "doctest", "faulthandler", "junitxml", "legacypath", "logging"),
    *("pastebin", "recwarn", "setuponly", "setupplan", "stepwise", "subtests", "terminal"),
    *("threadexception", "unittest", "unraisableexception", "warnings"),
)
_PYTEST_ARGUMENTS = (
    "-c",
    os.devnull,
    "--rootdir=/",  # a module is named after its path from here: no two suites share a name
    "--noconftest",
    "--import-mode=importlib",
    "--strict-markers",
    *(f"-pno:{name}" for name in _UNWANTED),
    "--capture=sys",
)
_NO_PLUGINS = ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "HYPOTHESIS_NO_PLUGINS")
_PYTEST_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST")


class SuiteError(MeridianError, RuntimeError):
    """An acceptance suite does not fit its capstone, or did not run as a suite must."""

    def __init__(self, suite: Path, reason: str) -> None:
        self.suite = suite
        self.reason = reason
        super().__init__(f"{suite}: {reason}")


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
        titles: Mapping[str, str] | None = None,
        earlier: Mapping[str, Verdict] | None = None,
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
        self._titles = titles or {}
        self._earlier = earlier or {}
        self._dependents = Dependents(self._titles)
        self.verdicts: dict[str, Verdict] = {}
        self.points: dict[str, float] = {}
        self.problems: list[str] = []
        self.interrupted = False
        self.trouble: Exception | None = None
        """What the machine did to a test. Nothing after it is judged."""

    # -- fixtures --------------------------------------------------------------------------------

    @pytest.fixture
    def submission(self, request: pytest.FixtureRequest) -> Iterator[Submission]:
        """The learner's package in a fresh worker with a fresh scratch folder.

        What a test asks is written down for a replay; inside a race, writing would cost time.
        """
        make = opened if "race" in request.fixturenames else witnessed
        yield from make(self._workshop, self._package)

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
    def rng(self, request: pytest.FixtureRequest) -> Draws:
        """Random numbers of this job and test; the report's seed repeats them."""
        return Draws(self._seed, request.node.name)

    @pytest.fixture
    def find(self, request: pytest.FixtureRequest, submission: Submission) -> Finder:
        """Looks for a counterexample to a property, and tells the smallest."""
        if not isinstance(submission, Witness):
            raise SuiteError(Path(request.node.name), "a race looks for no counterexample")
        return Finder(submission, self._seed, request.node.name)

    @pytest.fixture
    def race(self) -> Race:
        return self._race

    @pytest.fixture(name="expect")
    def expect_fixture(self) -> Callable[..., None]:
        return expect

    # -- hooks -----------------------------------------------------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line(
            "markers", "criterion(id, points, after=()): what a test is worth, and what it needs"
        )

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.type is KeyboardInterrupt  # pytest.exit() comes here as well

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        marks = {}
        for item in items:
            mark = item.get_closest_marker("criterion")
            if mark is None or len(mark.args) != 1 or not isinstance(mark.args[0], str):
                self.problems.append(f"{item.name} has no mark criterion(id, points=...)")
            elif "points" not in mark.kwargs or mark.kwargs.keys() - {"points", "after"}:
                self.problems.append(f"{item.name}: criterion takes points and after")
            else:
                marks[item.nodeid] = mark
                self.points.setdefault(mark.args[0], 0)
                self.points[mark.args[0]] += float(mark.kwargs["points"])
        names = {item.nodeid: getattr(item, "originalname", item.name) for item in items}
        self.problems += self._dependents.read(marks, names)
        chosen = {item.nodeid: item for item in items if self._is_chosen(marks, item)}
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in chosen])
        items[:] = [chosen[node] for node in self._dependents.ordered(tuple(chosen))]
        for item in items:
            mark = marks[item.nodeid]
            points = float(mark.kwargs["points"])
            self.verdicts[item.nodeid] = Verdict(mark.args[0], points, _category(item))

    def _is_chosen(self, marks: Mapping[str, pytest.Mark], item: pytest.Item) -> bool:
        return item.nodeid in marks and marks[item.nodeid].args[0] in self._selected

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out a test that a failure before it makes meaningless."""
        cause = self._dependents.cause(item.nodeid, {**self._earlier, **self.verdicts})
        if cause:
            self.verdicts[item.nodeid].because = cause
            pytest.skip(f"{NOT_JUDGED} {cause}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        verdict = self.verdicts[item.nodeid]
        verdict.duration_s += call.duration
        if call.excinfo is not None:
            self._look_at_machine(item, call.excinfo.value)
            if not verdict.reached or verdict.outcome == "passed":
                verdict.outcome, said, verdict.counterexample = explain(call.excinfo.value)
                verdict.said, verdict.message = said, sentence(verdict.category, said)
                verdict.replay = self._replay(item, verdict, call.excinfo.value)
                verdict.detail = str(report.longrepr)
            verdict.reached = True
        elif call.when == "call":
            verdict.outcome, verdict.message, verdict.reached = "passed", "", True
        if call.when == "teardown":
            done = sum(v.reached for v in self.verdicts.values())
            self._on_verdict(done, len(self.verdicts), verdict.criterion)
        return report

    def _look_at_machine(self, item: pytest.Item, error: BaseException) -> None:
        if self.trouble is None and not isinstance(error, pytest.skip.Exception):
            self.trouble = machine_trouble(error, self._workshop.place, self._workshop.limits)
            if self.trouble is not None:
                item.session.shouldstop = "the machine is in trouble"

    def _replay(self, item: pytest.Item, verdict: Verdict, error: BaseException) -> str:
        """The failure as a program, where there is a failure and something was asked."""
        fixtures = getattr(item, "funcargs", {})
        witness = fixtures.get("submission")
        told = verdict.outcome not in ("passed", "not_run") and NOT_WRITTEN not in verdict.said
        if not told or not isinstance(witness, Witness):
            return ""
        draws = fixtures.get("rng")
        title = self._titles.get(verdict.criterion, "")
        return replay_of(
            error,
            witness,
            name=replay_id(self._seed, verdict.criterion),
            title=f"criterion {verdict.criterion}" + (f", {title}" if title else ""),
            message=verdict.message,
            package=self._package,
            noise=draws.noise if isinstance(draws, Draws) else {},
        )


def _category(item: pytest.Item) -> str:
    """The first sentence of the test's docstring: what the learner may know about it."""
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return " ".join(text.strip().split("\n\n")[0].split())


def run_suite(suite: Path, capstone: Capstone, judge: Judge) -> None:
    """Run `suite`; afterwards every selected test of `judge` has its verdict.

    Raises `SuiteError` when the suite cannot be collected, does not match the capstone's criteria
    and points, or leaves tests without a verdict though the run was not cut short.
    """
    with _clean_environment():
        # The folders from here to the suite are listed one by one: let there be no others.
        cut = f"--confcutdir={suite.parent}"
        status = pytest.main([*_PYTEST_ARGUMENTS, cut, os.fspath(suite)], plugins=[judge])
    if judge.interrupted:
        raise KeyboardInterrupt
    if judge.trouble is not None:
        raise judge.trouble
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
    for name in _NO_PLUGINS:
        saved[name] = os.environ.get(name)
        os.environ[name] = "1"
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

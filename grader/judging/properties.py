"""Looking for a counterexample with hypothesis, and telling the smallest one that was found.

A property is tried on values that hypothesis draws from the job's seed alone: equal seed, equal
examples, whatever else ran or is installed. What hypothesis prints is dropped; what a learner sees
is the failure of the smallest example, with the values in plain words.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from grader.errors import RemoteError, WorkerLost, WrongType
from grader.judging.compare import CriterionFailed, show
from grader.judging.drawing import at_home, configured, sequences
from grader.judging.transcript import Event, Witness
from meridian.errors import MeridianError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Finder", "Smallest", "values"]

F = TypeVar("F", bound=Callable[..., Any])

_STEPS = "__steps__"
_MARK = "__drawn__"
_MAX_STEPS_TOLD = 24
_FAILURES = (CriterionFailed, RemoteError, WrongType, WorkerLost, AssertionError)


class Smallest(MeridianError, AssertionError):
    """The smallest example that fails: what ended it, and its values in plain words."""

    def __init__(self, error: BaseException, counterexample: str) -> None:
        self.error = error
        self.counterexample = counterexample
        super().__init__(f"{counterexample}: {error}")


class _Stop(BaseException):
    """Ends the search at once: hypothesis lets through what is no `Exception`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__()


class _Found(msgspec.Struct):
    """One example that failed."""

    error: BaseException
    text: str
    run: tuple[Event, ...]


def values(**drawn: SearchStrategy[Any]) -> Callable[[F], F]:
    """Marks a method of a model as a step, and names what is drawn for it.

    On ``__init__``: what is drawn for the model itself.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, drawn)
        return method

    return mark


class Finder:
    """Tries a property on many examples; every example is a run of its own in the transcript.

    >>> find(lambda size: expect(submission.double(size), 2 * size), size=integers())
    ...                                                                  # doctest: +SKIP
    """

    def __init__(self, submission: Witness, seed: str, name: str) -> None:
        self._submission = submission
        self._transcript = submission.transcript
        digest = hashlib.sha256(f"{seed}/{name}/property".encode()).digest()
        self._seed = int.from_bytes(digest[:8], "little")

    def __call__(
        self,
        check: Callable[..., None],
        /,
        *,
        examples: int = 100,
        questions: int = 20_000,
        shrink_s: float = 30.0,
        restart: bool = False,
        **drawn: SearchStrategy[Any],
    ) -> None:
        """Call ``check(**values)`` for up to `examples` draws; the smallest failure is raised.

        No example starts after `questions` questions; shrinking may ask as many again, and stops
        after `shrink_s` seconds whatever the machine. `restart` gives every example a worker of
        its own, and lets an example that ends the worker be shrunk. `check` makes what it needs
        afresh: an example must not depend on the one before. Raises `Smallest`; a stub that is
        not written yet is raised as it is.
        """
        from hypothesis import strategies

        search = _Search(self, check, questions, shrink_s, restart)
        whole = strategies.tuples(*drawn.values()).map(lambda given: _named(drawn, given))
        search.run(whole, self._seed, examples)

    def operations(
        self,
        model: type,
        /,
        *arguments: Any,
        examples: int = 50,
        steps: int = 100,
        questions: int = 12_000,
        shrink_s: float = 30.0,
        restart: bool = False,
    ) -> None:
        """Call sequences of the steps of ``model(*arguments)``, a fresh one for each example.

        The model's methods marked by `values` are the steps: each asks the submission and the
        model's own idea of it, and compares. A step that makes no sense now returns
        ``NotImplemented`` and is left out of the story. ``close()``, if there is one, ends an
        example. Raises as a call of the `Finder` does.
        """
        from hypothesis import strategies

        made = getattr(vars(model).get("__init__"), _MARK, {})
        kinds = [
            strategies.tuples(strategies.just(name), strategies.fixed_dictionaries(taken))
            for name, taken in _steps(model).items()
        ]
        if not kinds:
            raise ValueError(f"{model.__name__} has no method marked with `values`")
        sequence = sequences(strategies.one_of(kinds), steps)
        drawn = {**made, _STEPS: sequence}
        whole = strategies.tuples(*drawn.values()).map(lambda given: _named(drawn, given))
        story = _Story()

        def check(**settings: Any) -> None:
            chosen = settings.pop(_STEPS)
            story.begin(settings)
            machine = model(*arguments, **settings)
            with _closing(machine):
                for name, given in chosen:
                    story.steps.append(_called(name, given))
                    if getattr(machine, name)(**given) is NotImplemented:
                        story.steps.pop()

        search = _Search(self, check, questions, shrink_s, restart, story)
        search.run(whole, self._seed, examples)


class _Story:
    """An example in plain words: its values, or the steps that were taken."""

    def __init__(self) -> None:
        self._opening = ""
        self.steps: list[str] = []

    def begin(self, settings: Mapping[str, Any]) -> None:
        self._opening = ", ".join(f"{name} = {show(value)}" for name, value in settings.items())
        self.steps = []

    def __str__(self) -> str:
        told = " | ".join(self.steps[-_MAX_STEPS_TOLD:])
        if len(self.steps) > _MAX_STEPS_TOLD:
            told = f"{len(self.steps) - _MAX_STEPS_TOLD} steps | {told}"
        return ": ".join(part for part in (self._opening, told) if part)


class _Search:
    """One call of a `Finder`: tries examples until one fails, then smaller ones."""

    def __init__(
        self,
        finder: Finder,
        check: Callable[..., None],
        questions: int,
        shrink_s: float,
        restart: bool,
        story: _Story | None = None,
    ) -> None:
        self._submission = finder._submission
        self._transcript = finder._transcript
        self._check = check
        self._questions = questions
        self._shrink_s = shrink_s
        self._restart = restart
        self._story = story
        self._until = self._transcript.asked + questions
        self._until_s = float("inf")
        self._failed: dict[str, _Found] = {}
        self._last: _Found | None = None

    def run(self, drawn: SearchStrategy[Any], seed: int, examples: int) -> None:
        try:
            with at_home():
                configured(self._example, drawn, seed, examples)()
        except _Stop as stop:
            raise stop.error from None
        except Exception:
            if self._last is None:
                raise
        if self._last is not None:
            self._transcript.settle(self._last.run)
            raise Smallest(self._last.error, self._last.text) from self._last.error

    def _example(self, drawn: dict[str, Any]) -> None:
        """Try one example. What is known to fail fails again without a question."""
        key = repr(drawn)
        known = self._failed.get(key)
        if known is not None:
            self._last = known
            raise known.error
        if self._transcript.asked >= self._until or time.monotonic() >= self._until_s:
            return
        self._transcript.begin()
        if self._restart:
            self._submission.restart()
        story = self._story or _Story()
        story.begin(drawn)
        try:
            self._check(**drawn)
        except _FAILURES as error:
            self._keep(key, error, str(story))
            raise

    def _keep(self, key: str, error: BaseException, text: str) -> None:
        if isinstance(error, RemoteError) and error.is_a("NotImplementedError"):
            raise _Stop(error)
        if not self._failed:
            self._until = self._transcript.asked + self._questions
            self._until_s = time.monotonic() + self._shrink_s
        self._last = self._failed[key] = _Found(error, text, self._transcript.run)
        if isinstance(error, WorkerLost) and (error.outcome == "timeout" or not self._restart):
            raise _Stop(Smallest(error, text))  # the worker is gone, or each try costs too long


def _named(drawn: Mapping[str, Any], given: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(drawn, given, strict=True))


@contextmanager
def _closing(machine: Any) -> Iterator[None]:
    """Close the model whatever happens; what went wrong first is what is told."""
    close = getattr(machine, "close", None)
    try:
        yield
    except BaseException:
        if close is not None:
            with suppress(*_FAILURES):
                close()
        raise
    if close is not None:
        close()


def _steps(model: type) -> dict[str, dict[str, Any]]:
    """The marked methods, in the order of their definition, bases first."""
    found: dict[str, dict[str, Any]] = {}
    for cls in reversed(model.__mro__):
        for name, method in vars(cls).items():
            if name != "__init__" and hasattr(method, _MARK):
                found[name] = getattr(method, _MARK)
    return found


def _called(name: str, given: Mapping[str, Any]) -> str:
    """The step as a call; one argument needs no name."""
    named = len(given) > 1
    told = (f"{key}={show(value)}" if named else show(value) for key, value in given.items())
    return f"{name}({', '.join(told)})"

"""Four ways for a task to end, and what is none of them."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from meridian.errors import MeridianError
from meridian.foundation.tasks import TaskExit, classify

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [MeridianError("x"), OSError(5, "x"), TimeoutError(), EOFError()])
def test_what_operation_expects_and_what_is_a_bug(error: Exception) -> None:
    case = TaskExit.Panicked if isinstance(error, EOFError) else TaskExit.Errored
    assert classify(error) == case(error)
    assert isinstance(classify(error), TaskExit)


def test_the_caller_says_what_is_expected() -> None:
    error = KeyError("x")
    assert classify(error, expected=(LookupError,)) == TaskExit.Errored(error)
    assert classify(OSError(), expected=()) != TaskExit.Errored(OSError())


def test_a_group_is_expected_only_if_every_leaf_is() -> None:
    good = ExceptionGroup("a", [OSError(), ExceptionGroup("b", [TimeoutError()])])
    assert classify(good) == TaskExit.Errored(good)
    bad = ExceptionGroup("a", [OSError(), ExceptionGroup("b", [ValueError()])])
    assert classify(bad) == TaskExit.Panicked(bad)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_meant_for_the_process_is_raised(error: BaseException) -> None:
    with pytest.raises(type(error)):
        classify(error)
    with pytest.raises(BaseExceptionGroup) as caught:
        classify(BaseExceptionGroup("g", [ValueError(), error]))
    assert caught.value.exceptions[1] is error


async def test_a_cancellation_is_an_abort() -> None:
    try:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep(0)
            except BaseException as error:
                ended = classify(error)
                raise
    finally:
        assert isinstance(ended, TaskExit.Aborted)


def test_errors_beside_a_cancellation_count_and_the_cancellation_does_not() -> None:
    error = OSError("disk")
    ended = classify(BaseExceptionGroup("g", [asyncio.CancelledError(), error]))
    assert isinstance(ended, TaskExit.Errored)
    assert isinstance(ended.exc, ExceptionGroup)
    assert ended.exc.exceptions == (error,)
    assert classify(BaseExceptionGroup("g", [asyncio.CancelledError()])) == TaskExit.Aborted(
        "g (1 sub-exception)"
    )


def test_the_cases_are_told_apart_by_match() -> None:
    def told(ended: TaskExit[int]) -> str:
        match ended:
            case TaskExit.Ok(value):
                return f"ok {value}"
            case TaskExit.Errored(exc) | TaskExit.Panicked(exc):
                return repr(exc)
            case TaskExit.Aborted(reason):
                return reason
        return "none"

    assert told(TaskExit.Ok(3)) == "ok 3"
    assert told(TaskExit.Errored(OSError())) == "OSError()"
    assert told(TaskExit.Panicked(KeyError())) == "KeyError()"
    assert told(TaskExit.Aborted("late")) == "late"

"""One check that every channel has to pass: ours, a learner's, a handed-in one.

The idea is Trio's ``check_one_way_stream``: a contract is a function that anything can be given
to. It knows no channel: an adapter says how to make one, send, receive and close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from random import Random

import anyio
import anyio.lowlevel

from meridian.checks import checked_int
from meridian.testing.channel_adapter import ChannelAdapter, Item
from meridian.testing.channel_scenarios import Problem, Scenario, check_texts
from meridian.testing.channel_schedules import Action, draw, smaller

__all__ = ["ChannelAdapter", "Item", "check_channel"]

BACKENDS = ("asyncio", "trio")
REQUIRED = ("send", "recv", "close", "pending")


def check_channel(
    factory: Callable[[], ChannelAdapter],
    *,
    backends: str | Iterable[str] = BACKENDS,
    rounds: int = 300,
    seed: int = 0,
) -> None:
    """Check what `factory` makes against `rounds` random schedules on each of the `backends`.

    Each schedule starts sends and receives in tasks, cancels some of them at any moment, closes
    ends, and at last drains the channel. Checked are, at every moment or at the end:

    - conservation: what was accepted is received once, or still pending, or reported as lost; what
      was refused or cancelled is never received;
    - order among the items of one producer (and of one `stream`);
    - the capacity is never exceeded;
    - no wake-up is lost: nobody waits for what is there;
    - whoever waits at the end is told of it, and closing twice is harmless;
    - no reference is kept to an item that was delivered, refused or given up;
    - a repr of one line shows name, length, capacity and state.

    `factory` is called within the loop, once a schedule; see `ChannelAdapter` for what it returns.
    The schedules follow from `seed` alone. Works where a loop is running already, as in a notebook.

    Raises `AssertionError` with the smallest schedule found that fails, what went wrong in it, the
    backend, and the seed to see it again; `TypeError` for a factory that makes no complete
    `ChannelAdapter` and for `rounds` that is no int; `ValueError` for less than 1.
    """
    rounds = checked_int("rounds", rounds, least=1)
    names = (backends,) if isinstance(backends, str) else tuple(backends)
    for backend in names:
        failure = _in_loop_of_its_own(backend, factory, rounds, seed)
        if failure is not None:
            raise AssertionError(failure)


def _in_loop_of_its_own(
    backend: str, factory: Callable[[], ChannelAdapter], rounds: int, seed: int
) -> str | None:
    """What `_check` returns, in a thread of its own: a loop may be running in this one."""
    results: list[str | BaseException | None] = []

    def run() -> None:
        try:
            results.append(anyio.run(_check, factory, rounds, seed, backend=backend))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, name=f"check_channel on {backend}")
    thread.start()
    thread.join()
    [result] = results
    if isinstance(result, BaseException):
        raise result
    return result and f"On {backend}: {result}"


async def _check(factory: Callable[[], ChannelAdapter], rounds: int, seed: int) -> str | None:
    """The report of the first schedule that fails, made small; ``None`` when none does."""
    adapter = factory()
    if not isinstance(adapter, ChannelAdapter):
        raise TypeError(f"Expected factory to return a ChannelAdapter, got {adapter!r}")
    kind = type(adapter)
    if missing := [name for name in REQUIRED if not kind.can(name)]:
        raise TypeError(f"Expected {kind.__name__} to have {', '.join(missing)} of its own")
    try:
        await check_texts(adapter, factory())
    except Problem as error:
        return f"{error}"
    for number in range(seed, seed + rounds):
        actions = draw(Random(number), kind)
        problem = await _problem(factory, actions)
        if problem is not None:
            actions, problem = await _shrunk(factory, actions, problem)
            lines = [f"  {place}. {action}" for place, action in enumerate(actions, 1)]
            lines = lines or ["  (nothing was done)"]
            return "\n".join([f"{problem}", *lines, f"Again: rounds=1, seed={number}"])
    return None


async def _problem(
    factory: Callable[[], ChannelAdapter], actions: list[Action], tries: int = 1
) -> Problem | None:
    """What goes wrong; tried several times, for trio runs tasks in an order that it draws."""
    for _ in range(tries):
        try:
            await Scenario(factory()).run(actions)
        except Problem as problem:
            return problem
    return None


async def _shrunk(
    factory: Callable[[], ChannelAdapter], actions: list[Action], problem: Problem
) -> tuple[list[Action], Problem]:
    """A smaller schedule that fails as well, as long as there is one."""
    while True:
        for fewer in smaller(actions):
            if (found := await _problem(factory, fewer, tries=3)) is not None:
                actions, problem = fewer, found
                break
        else:
            return actions, problem

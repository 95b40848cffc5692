"""An actor that keeps a total, and tasks that ask it: every message and answer, with its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import anyio

from meridian.foundation.channels import Actor, ActorHandle, OneSender
from meridian.testing.virtual_loop import run_virtual

__all__ = ["ONE_MESSAGE", "TWO_MESSAGES", "Ask", "AskRun", "run_asks"]

ONE_MESSAGE = "one message: add 1"
TWO_MESSAGES = "two messages: read, then set"
_THINK_S = 0.1  # what an asker takes before each question


@dataclass(slots=True)
class Ask:
    """A question on its way: put, taken from the mailbox, and answered."""

    asker: int
    words: str
    asked_s: float
    begun_s: float = 0.0
    replied_s: float = 0.0
    answer: int = 0


class AskRun(NamedTuple):
    """All asks in the order they were handled, and the total at the end."""

    asks: tuple[Ask, ...]
    askers: int
    total: int
    wanted: int


class _Message(NamedTuple):
    ask: Ask
    reply: OneSender[int]
    value: int


class _Total(Actor[_Message]):
    def __init__(self, work_s: float, told: list[Ask]) -> None:
        super().__init__(name="total")
        self.total = 0
        self._work_s = work_s
        self._told = told

    async def on_message(self, message: _Message) -> None:
        ask, reply, value = message
        ask.begun_s = anyio.current_time()
        before = self.total
        await anyio.sleep(self._work_s)  # between reading and writing, and still safe
        if ask.words == "add 1":
            self.total = before + 1
        elif ask.words != "read":
            self.total = value
        ask.answer = self.total
        ask.replied_s = anyio.current_time()
        self._told.append(ask)
        reply.send(self.total)


def run_asks(
    askers: int = 2,
    each: int = 2,
    work_s: float = 0.4,
    apart_s: float = 0.1,
    way: str = ONE_MESSAGE,
) -> AskRun:
    """So many tasks each add 1 to the total `each` times, starting `apart_s` one after another.

    The actor takes `work_s` for a message. Raises `ValueError` for a `way` that is none.
    """
    if way not in (ONE_MESSAGE, TWO_MESSAGES):
        raise ValueError(f"Expected {ONE_MESSAGE!r} or {TWO_MESSAGES!r}, got {way!r}")
    handled: list[Ask] = []

    async def program() -> int:
        actor = _Total(work_s, handled)
        start_s = anyio.current_time()

        async def asker(number: int, handle: ActorHandle[_Message]) -> None:
            async def ask(words: str, value: int = 0) -> int:
                await anyio.sleep(_THINK_S)
                entry = Ask(number, words, anyio.current_time())
                return await handle.ask(lambda reply: _Message(entry, reply, value))

            await anyio.sleep(number * apart_s)
            async with handle:
                for _ in range(each):
                    if way == ONE_MESSAGE:
                        await ask("add 1")
                    else:
                        seen = await ask("read")
                        await ask(f"set {seen + 1}", seen + 1)

        async with anyio.create_task_group() as tasks:
            async with actor.open() as first:
                for number in range(askers):
                    tasks.start_soon(asker, number, first.clone())
            tasks.start_soon(actor.run)
        for entry in handled:
            entry.asked_s -= start_s
            entry.begun_s -= start_s
            entry.replied_s -= start_s
        return actor.total

    total = run_virtual(program)
    return AskRun(tuple(handled), askers, total, askers * each)

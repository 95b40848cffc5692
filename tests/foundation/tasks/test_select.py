"""Of several branches exactly one is taken from; the others lose nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks import (
    CLOSED,
    PENDING,
    CancellationToken,
    Closed,
    Pending,
    Ready,
    SelectExhausted,
    select,
)
from meridian.foundation.tasks.parking import Waiters

pytestmark = pytest.mark.anyio


class Tray:
    """The simplest branch: a deque with waiters."""

    def __init__(self, *values: int) -> None:
        self.values = deque(values)
        self.waiters = Waiters()
        self.closed = False

    def put(self, value: int) -> None:
        self.values.append(value)
        self.waiters.call_first()

    def try_take(self) -> Ready[int] | Pending | Closed:
        if self.values:
            return Ready(self.values.popleft())
        return CLOSED if self.closed else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        take_off = self.waiters.add(wake)

        def remove() -> None:
            if not take_off() and self.values:
                self.waiters.call_first()  # it was called, and took nothing

        return remove


async def test_what_is_ready_is_taken_and_nothing_else() -> None:
    one, two = Tray(), Tray(7, 8)
    assert await select(one, two) == (1, 7)
    assert list(two.values) == [8]
    assert len(one.waiters) == len(two.waiters) == 0


async def test_it_waits_for_the_first_and_leaves_no_waiter() -> None:
    trays, got = [Tray(), Tray(), Tray()], []

    async def take() -> None:
        got.append(await select(*trays))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            trays[2].put(5)
            trays[0].put(4)
    assert got[0] in ((2, 5), (0, 4))
    assert sum(len(tray.values) for tray in trays) == 1
    assert [len(tray.waiters) for tray in trays] == [0, 0, 0]


async def test_choice_among_ready_branches_is_even_whichever_are_ready() -> None:
    for ready in ((0, 1, 2), (0, 2), (1, 2)):
        counts = Counter()
        for _ in range(3000):
            index, _ = await select(*(Tray(1) if i in ready else Tray() for i in range(3)))
            counts[index] += 1
        expected = 3000 / len(ready)
        assert set(counts) == set(ready)
        # six standard deviations: once in a thousand million runs
        assert all(abs(n - expected) < 6 * (3000 * 0.25) ** 0.5 for n in counts.values())


async def test_biased_takes_the_lowest() -> None:
    for _ in range(50):
        assert await select(Tray(), Tray(1), Tray(2), biased=True) == (1, 1)


async def test_disabled_and_closed_branches_do_not_count() -> None:
    shut = Tray()
    shut.closed = True
    assert await select(None, shut, Tray(3)) == (2, 3)
    for branches in ((), (None,), (shut,), (None, shut, shut)):
        with pytest.raises(SelectExhausted, match=f"All {len(branches)} branches"):
            await select(*branches)


async def test_a_branch_that_closes_while_it_is_waited_for() -> None:
    tray = Tray()

    async def take() -> None:
        with pytest.raises(SelectExhausted):
            await select(tray)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            tray.closed = True
            tray.waiters.call_all()


class Eager(Tray):
    """Calls at once whoever waits where there is nothing to wait for, as a channel does."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        self.asked += 1
        if self.closed:
            wake()
        return super().add_waiter(wake)


async def test_a_closed_branch_is_not_waited_for() -> None:
    over, open_one = Eager(), Tray()
    over.closed = True
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def _() -> None:
            await checkpoint()
            open_one.put(3)

        assert await select(over, open_one) == (1, 3)
    assert over.asked == 0


async def test_one_that_is_always_woken_in_vain_can_be_cancelled() -> None:
    tray = Tray()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def _() -> None:
                for turn in range(1_000):
                    tray.waiters.call_all()
                    if turn == 10:
                        scope.cancel()
                    with anyio.CancelScope(shield=True):
                        await checkpoint()

            await select(tray)
    assert scope.cancelled_caught
    assert len(tray.waiters) == 0


async def test_a_branch_that_cannot_be_waited_for_leaves_none_behind() -> None:
    class Broken(Tray):
        def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:  # noqa: ARG002
            raise OSError("no timer left")

    tray = Tray()
    with pytest.raises(OSError, match="no timer left"):
        await select(tray, Broken(), biased=True)
    assert len(tray.waiters) == 0


async def test_it_is_always_a_checkpoint_passed_before_anything_is_taken() -> None:
    tray = Tray(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await select(tray)
        pytest.fail("it went on")
    assert list(tray.values) == [1]

    ran = []

    async def other() -> None:
        ran.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for value in range(20):  # trio runs what is ready in any order
            await select(Tray(value))
        assert ran


async def test_ten_thousand_random_selects_lose_nothing() -> None:
    random = Random(3)
    trays = [Tray() for _ in range(3)]
    sent, got = [], []

    async def take(scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                _, value = await select(*random.sample(trays, 2))
                got.append(value)

    async with anyio.create_task_group() as group:
        scopes = []
        for step in range(10_000):
            if step % 5 == 0:
                scopes.append(anyio.CancelScope())
                group.start_soon(take, scopes[-1])
            if random.random() < 0.7:
                random.choice(trays).put(step)
                sent.append(step)
            if len(scopes) > 4 or random.random() < 0.2:
                scopes.pop(random.randrange(len(scopes))).cancel() if scopes else None
            if random.random() < 0.5:
                await checkpoint()
        await anyio.wait_all_tasks_blocked()
        left = [value for tray in trays for value in tray.values]
        for scope in scopes:
            scope.cancel()
    assert sorted(got + left) == sent
    assert [len(tray.waiters) for tray in trays] == [0, 0, 0]


async def test_a_token_is_a_branch() -> None:
    token = CancellationToken()
    token.cancel("stop")
    assert await select(Tray(), token) == (1, "stop")


async def test_what_is_no_branch_is_told_before_anything_is_taken() -> None:
    token = CancellationToken()
    token.cancel("taken")
    for wrong in (5, anyio.sleep):
        with pytest.raises(TypeError, match="Expected branches, with try_take"):
            await select(token, wrong, biased=True)  # type: ignore[arg-type]

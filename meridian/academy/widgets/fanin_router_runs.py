"""A router whose feeds come and go, and one that an emergency goes through, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from meridian.academy.widgets.fanin_runs import PROCESS_S, ends
from meridian.foundation.channels import (
    LiveUplink,
    PriorityReceiver,
    PrioritySender,
    Receiver,
    Router,
    SendClosed,
    TaggedFrame,
    priority_channel,
)
from meridian.testing.virtual_loop import run_virtual

__all__ = ["Action", "FeedRow", "Overtaken", "replay", "through_lanes", "through_router"]

_FEEDS = 8
_URGENT_ID = 99999
_URGENT = LiveUplink(_URGENT_ID)
_SENT_S = PROCESS_S / 2  # when the urgent frame is sent: the burst is there, one frame is in hand


class Action(NamedTuple):
    """``add``, ``drain`` or ``drop`` a feed, or let a second ``pass``."""

    what: str
    source_id: int = 0


class FeedRow(NamedTuple):
    """A feed that is or was there: what came out of it, and how it ended."""

    source_id: int
    forwarded: int
    state: str


def replay(actions: list[Action], *, out_rate: float = 30.0) -> list[FeedRow]:
    """Do all `actions` from the start, on a real router; every feed then in its present state.

    A feed sends 20 frames a second, and `out` takes `out_rate` in all. Refusals are told in the
    state of a row with the id that was refused.
    """
    rows: dict[int, FeedRow] = {}
    forwarded: dict[int, int] = {}
    refused: list[FeedRow] = []

    async def program() -> None:
        out_tx, out_rx = ends(8)
        router = Router(out_tx, internal_capacity=8)
        handle = router.open()

        async def downstream() -> None:
            async for frame in out_rx:
                assert isinstance(frame, TaggedFrame)
                assert isinstance(frame.source, LiveUplink)
                forwarded[frame.source.satellite_id] += 1
                await anyio.sleep(1 / out_rate)

        async def feed(tx: Any) -> None:
            async with tx:
                while not tx.is_closed:
                    await anyio.sleep(0.05)
                    with anyio.move_on_after(0.05):
                        await tx.send(b"frame")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.run)
            tasks.start_soon(downstream)
            for what, source_id in actions:
                try:
                    if what == "add":
                        tx, rx = ends(8)
                        try:
                            await handle.add_feed(source_id, rx)
                        except BaseException:
                            tx.close()
                            rx.close()
                            raise
                        forwarded.setdefault(source_id, 0)
                        rows[source_id] = FeedRow(source_id, 0, "live")
                        tasks.start_soon(_until_unwanted, feed, tx)
                    elif what == "pass":
                        await anyio.sleep(1)
                    else:
                        lost = await handle.remove_feed(source_id, drain=what == "drain")
                        ended = "drained, nothing lost" if what == "drain" else f"{lost} discarded"
                        rows[source_id] = FeedRow(source_id, 0, f"removed: {ended}")
                except (ValueError, LookupError) as error:
                    refused.append(FeedRow(source_id, 0, f"refused: {error}"))
            tasks.cancel_scope.cancel()
        handle.close()
        out_tx.close()
        out_rx.close()

    run_virtual(program)
    counted = [row._replace(forwarded=forwarded[row.source_id]) for row in rows.values()]
    return counted + refused[-1:]


async def _until_unwanted(feed: Callable[[Any], Awaitable[None]], tx: Any) -> None:
    try:
        await feed(tx)
    except SendClosed:
        return


# -- an emergency behind a burst -------------------------------------------------------------------


class Overtaken(NamedTuple):
    """How an urgent frame fared that was sent among routine ones."""

    before: int  # routine frames that the processor took after it was sent and before it
    waited_ms: float  # from its sending to the end of its processing


def through_router(burst: int, capacity: int) -> Overtaken:
    """A burst of `burst` routine frames of eight feeds, then an urgent one, through one `Router`.

    Its internal queue holds `capacity` frames; the processor takes 10 ms for a frame.
    """

    async def program() -> Overtaken:
        out_tx, out_rx = ends(1)
        router = Router(out_tx, internal_capacity=capacity)
        async with anyio.create_task_group() as tasks, router.open() as handle:
            tasks.start_soon(router.run)
            for source_id, frames in enumerate(_shared_out(burst)):
                await handle.add_feed(source_id, _filled(frames))
            urgent_tx, urgent_rx = ends(1)
            await handle.add_feed(_URGENT_ID, urgent_rx)
            tasks.start_soon(_send_urgent, urgent_tx.send)
            overtaken = await _process(out_rx.recv, lambda frame: frame.source == _URGENT)
            urgent_tx.close()
            out_rx.close()
        return overtaken

    return run_virtual(program)


def through_lanes(burst: int, capacity: int) -> Overtaken:
    """The same frames over a `priority_channel`, whose low lane holds `capacity` of them."""

    async def program() -> Overtaken:
        lanes: tuple[PrioritySender[bool], PriorityReceiver[bool]] = priority_channel(64, capacity)
        tx, rx = lanes

        async def feed(frames: int) -> None:
            for _ in range(frames):
                await tx.send(False, high=False)

        async with anyio.create_task_group() as tasks:
            for frames in _shared_out(burst):
                tasks.start_soon(feed, frames)
            tasks.start_soon(_send_urgent, lambda _: tx.send(True, high=True))
            overtaken = await _process(rx.recv, bool)
            tasks.cancel_scope.cancel()
        tx.close()
        rx.close()
        return overtaken

    return run_virtual(program)


def _shared_out(burst: int) -> list[int]:
    """How many frames each feed has of a burst; feeds without any are left out."""
    shares = [burst // _FEEDS + (n < burst % _FEEDS) for n in range(_FEEDS)]
    return [share for share in shares if share]


def _filled(frames: int) -> Receiver[bytes]:
    """A feed with so many frames that has ended."""
    tx, rx = ends(frames)
    for _ in range(frames):
        tx.try_send(b"routine")
    tx.close()
    return rx


async def _send_urgent(send: Callable[[bytes], Awaitable[None]]) -> None:
    await anyio.sleep(_SENT_S)
    await send(b"BATTERY")


async def _process(
    take: Callable[[], Awaitable[Any]], is_urgent: Callable[[Any], bool]
) -> Overtaken:
    """Process frames, one after the other, until the urgent one is done."""
    before = 0
    while True:
        frame = await take()
        taken_s = anyio.current_time()
        await anyio.sleep(PROCESS_S)
        if is_urgent(frame):
            return Overtaken(before, (anyio.current_time() - _SENT_S) * 1e3)
        before += taken_s > _SENT_S

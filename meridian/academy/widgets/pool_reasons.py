"""Why this page and not another: one sentence per access, read off the states around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meridian.academy.widgets.pool_state import Access, Outcome, PoolState

__all__ = ["reason"]


def reason(
    policy: str,
    access: Access,
    outcome: Outcome,
    before: PoolState,
    after: PoolState,
    frame: int | None,
    victim: int | None,
) -> str:
    """What the pool did with `access`, and for an eviction the rule that chose `victim`."""
    page = f"page {access.page_id}"
    if outcome is Outcome.UNPIN and frame is not None:
        left = after.frames[frame].pins
        rest = f"{_count(left, 'pin')} left" if left else "it may leave again"
        return f"One pin on {page} is given up: {rest}."
    if outcome is Outcome.NOT_PINNED:
        return f"Nobody holds {page}: there is no pin to give up, so nothing was called."
    if outcome is Outcome.REFUSED:
        pins = ", ".join(map(str, before.pinned))
        return f"PoolExhausted for {page}: all frames are pinned (pages {pins}). Nothing changed."
    if outcome is Outcome.HIT:
        return f"Hit: {page} is in frame {frame}{_noted(policy, access, before)}."
    if victim is None:
        entry = _entry(policy, access, before)
        return f"Miss: {page} takes frame {frame}, the first empty one{entry}."
    chosen = {"lru": _lru, "clock": _clock, "2q": _two_queue}[policy](before, victim)
    written = ", written back first" if before.frames[frame or 0].dirty else ""
    return (
        f"Miss: page {victim} leaves{written}; {chosen}. "
        f"{page.capitalize()} takes frame {frame}{_entry(policy, access, before)}."
    )


def _noted(policy: str, access: Access, before: PoolState) -> str:
    """What a hit changes in the policy's memory."""
    if access.scan:
        return "; a scan leaves no trace in the policy"
    if policy == "clock":
        return "; its reference bit is set"
    if policy == "lru":
        return "; it is now the most recent"
    if access.page_id in before.queues["Am"]:
        return "; it is now the most recent of Am"
    return "; a hit in A1in does not move it"


def _entry(policy: str, access: Access, before: PoolState) -> str:
    """Where a new page enters the policy's memory."""
    if policy == "clock":
        return " with a clear reference bit, as a scan does" if access.scan else ""
    if policy == "lru":
        return " as the next to go, as a scan does" if access.scan else ""
    if access.page_id in before.queues["A1out"]:
        if access.scan:
            return "; it was a ghost, but a scan proves nothing, so A1in"
        return "; it was a ghost, so it has proved itself and enters Am"
    return ", last in A1in"


def _lru(before: PoolState, victim: int) -> str:
    return "its fetch lies longest ago" + _passed_over(before, before.queues["LRU"], victim)


def _two_queue(before: PoolState, victim: int) -> str:
    target = max(1, len(before.frames) // 4)
    a1in, am = before.queues["A1in"], before.queues["Am"]
    over = f"A1in holds {len(a1in)}, target {target}"
    if victim in a1in:
        where = f"{over}, and it is the oldest there" + _passed_over(before, a1in, victim)
        if len(a1in) <= target:
            where = f"{over}, but Am has no page to give, so the oldest of A1in goes"
        return f"{where}; its id stays as a ghost"
    if len(a1in) > target:
        return f"{over}, but all of A1in is pinned, so Am gives its least recent"
    return f"{over}, so Am gives its least recent" + _passed_over(before, am, victim)


def _clock(before: PoolState, victim: int) -> str:
    """The hand's way, rebuilt from where it stood and which bits it cleared."""
    count, hand = len(before.frames), before.hand or 0
    stop = before.frame_of(victim) or 0
    # A victim whose own bit was set was passed once and taken in the second turn.
    turns = before.frames[stop].ref
    way = [(hand + i) % count for i in range((stop - hand) % count + (count if turns else 0))]
    seen = list(dict.fromkeys(way))
    pinned = [frame for frame in seen if before.frames[frame].pins]
    cleared = [frame for frame in seen if before.frames[frame].ref and frame not in pinned]
    parts = []
    if pinned:
        parts.append(f"skipped {_frames(pinned)} (pinned)")
    if cleared:
        parts.append(f"cleared the bit{'s' * (len(cleared) > 1)} of {_frames(cleared)}")
    where = f"came back to frame {stop}" if turns else f"found frame {stop} with a clear bit"
    return f"the hand {', '.join(parts)} and {where}" if parts else f"the hand {where}"


def _passed_over(before: PoolState, queue: Sequence[int], victim: int) -> str:
    older = [page for page in queue[: queue.index(victim)] if page in before.pinned]
    if not older:
        return ""
    return f" of those not pinned ({_pages(older)} stayed)"


def _pages(pages: Sequence[int]) -> str:
    return f"page{'s' * (len(pages) > 1)} {_list(pages)}"


def _frames(frames: Sequence[int]) -> str:
    return f"frame{'s' * (len(frames) > 1)} {_list(frames)}"


def _list(numbers: Iterable[int]) -> str:
    *head, last = map(str, numbers)
    return f"{', '.join(head)} and {last}" if head else last


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"

"""What the locks refuse, and the warning about a guard that nobody can release any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meridian.errors import MeridianError

__all__ = [
    "ForeignGuard",
    "GuardReleased",
    "LockConsumed",
    "LockOrderViolation",
    "LockTimeout",
    "LostGuard",
    "PoisonError",
    "ReentrantLockError",
    "UpgradeError",
]


class LockTimeout(MeridianError, TimeoutError):
    """The lock did not become free in time. Nothing is held."""

    def __init__(self, lock: str, timeout_s: float) -> None:
        self.lock = lock
        self.timeout_s = timeout_s
        super().__init__(f"{lock} was not free within {timeout_s:g} s")


class ReentrantLockError(MeridianError, RuntimeError):
    """A thread asked for a lock that it holds itself: it would wait for ever."""

    def __init__(self, lock: str, detail: str = "this thread holds it already") -> None:
        self.lock = lock
        self.detail = detail
        super().__init__(
            f"{lock} would wait for itself: {detail}. Release the guard first; across an await "
            "hold an AsyncMutex"
        )


class UpgradeError(ReentrantLockError):
    """A reader asked to write. Two that did so would each wait for the other to stop reading."""

    def __init__(self, lock: str, detail: str = "this thread reads it already") -> None:
        super().__init__(lock, detail)


class LockOrderViolation(MeridianError, RuntimeError):
    """A lock was wanted whose rank is not above that of one held. Nothing was acquired."""

    def __init__(
        self, held: str, wanted: str, held_rank: int | None = None, wanted_rank: int | None = None
    ) -> None:
        self.held = held
        self.wanted = wanted
        self.held_rank = held_rank
        self.wanted_rank = wanted_rank
        super().__init__(
            f"{wanted} (rank {wanted_rank}) must be taken before {held} (rank {held_rank}), "
            "which this thread holds: take locks in rising order of rank"
        )


class GuardReleased(MeridianError, RuntimeError):
    """The guard no longer holds its lock, so the value may be somebody else's now."""

    def __init__(self, lock: str) -> None:
        self.lock = lock
        super().__init__(f"This guard of {lock} has been released: lock again")


class LockConsumed(MeridianError, RuntimeError):
    """`into_inner` has taken the value out; the lock guards nothing any more."""

    def __init__(self, lock: str) -> None:
        self.lock = lock
        super().__init__(f"{lock} was taken apart by into_inner: it has no value any more")


class ForeignGuard(MeridianError, ValueError):
    """A condition was given the guard of a mutex that is not its own."""

    def __init__(self, guarded: str, wanted: str) -> None:
        self.guarded = guarded
        self.wanted = wanted
        super().__init__(f"Expected a guard of {wanted}, got one of {guarded}")


class PoisonError(MeridianError, RuntimeError):
    """Who last held the lock failed, so the value may be half-changed.

    The error holds no lock. Its `guard` takes it all the same: mend the value, then call
    ``clear_poison()``.
    """

    def __init__(self, lock: str, cause: str, take: Callable[[], Any] | None = None) -> None:
        self.lock = lock
        self.cause = cause
        self._take = take
        self._guard: Any = None
        super().__init__(
            f"{lock} is poisoned by {cause}: mend the value through this error's guard, "
            "then clear_poison()"
        )

    @property
    def guard(self) -> Any:
        """A guard, taken at first use as the failed call would have, poison or not.

        Waits as long as the call that raised was ready to, and raises what it raises. A copy
        from another process has none: `GuardReleased`.
        """
        if self._guard is None:
            if self._take is None:
                raise GuardReleased(self.lock)
            self._guard = self._take()
        return self._guard

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, args, state) = super().__reduce__()
        return rebuild, (cls, args, {**state, "_take": None, "_guard": None})


class LostGuard(MeridianError, RuntimeWarning):
    """A warning: a guard was dropped, by a thread that ended perhaps, and still held its lock."""

    def __init__(self, lock: str, outcome: str = "released and poisoned") -> None:
        self.lock = lock
        self.outcome = outcome
        super().__init__(
            f"A guard of {lock} was dropped without release; the lock is {outcome} now: "
            "use `with lock.lock() as guard:`"
        )

"""Benchmarks of a submission: the judge's clock, every side in turn, ratios and growth only.

A race runs while nothing else of its job does: each side's processes are stopped while another
side runs, and other jobs wait (`grader.races.quiet`).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from grader.races.growth import MARGIN, GrowthRace, GrowthResult, exponent_of, require_growth
from grader.races.history import Past
from grader.races.ratio import RatioRace, require_ratio
from grader.races.rounds import (
    MODEL_ANSWER,
    SUBMISSION,
    Measured,
    Neighbours,
    Side,
    measure,
    without_collector,
)
from grader.report import BenchmarkEntry
from meridian.academy.races import describe as _describe

if TYPE_CHECKING:
    from meridian.foundation.profiling.bench import BenchmarkResult

__all__ = [
    "MODEL_ANSWER",
    "SUBMISSION",
    "Race",
    "describe",
    "exponent_of",
    "require_growth",
    "require_ratio",
    "timed",
]

DEFAULT_ROUNDS = 40

R = TypeVar("R", covariant=True)


class Parked(Protocol):
    """A workshop whose processes can be stopped between two questions."""

    def park(self, on: bool, /) -> None: ...


class Weighed(Protocol):
    """A worker whose memory the kernel counts: the peak beyond what an empty one holds."""

    def own_memory(self) -> int: ...


class _Kind(Protocol[R]):
    """What `RatioRace` and `GrowthRace` have in common."""

    name: str

    def settle(self, times_s: list[list[float]]) -> bool | None: ...
    def again(self, times_s: list[list[float]]) -> bool: ...
    def finish(self, measured: Measured) -> R: ...


class _Drawn(Protocol):
    def entries(self, plot: str) -> list[BenchmarkEntry]: ...
    def draw(self, stem: Path, history: Sequence[Past]) -> None: ...


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes by the judge's clock: what a race asks of its sides."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def describe(entry: BenchmarkEntry) -> str:
    """A benchmark entry as one plain line, for card, page and terminal."""
    return _describe(msgspec.to_builtins(entry))


class Race:
    """Collects the races of one job. All sides answer over the same kind of pipe.

    `workshops` are those of all sides: between two questions their processes stand still.
    `history` are the learner's earlier races, for the plots alone.
    """

    def __init__(
        self,
        seed: str,
        on_message: Callable[[str], None] | None = None,
        *,
        history: Sequence[Past] = (),
    ) -> None:
        self._seed = int.from_bytes(seed.encode()[:4].ljust(4, b"\0"), "little")
        self._on_message = on_message
        self._history = tuple(history)
        self._races: dict[str, _Drawn] = {}
        self.workshops: Sequence[Parked] = ()

    def compare(
        self,
        name: str,
        mine: Side,
        peer: Side,
        *,
        peer_name: str,
        unit: str,
        rounds: int = DEFAULT_ROUNDS,
        per: int = 1,
        target: float | None = None,
        reference: Side | None = None,
        reference_peer: Side | None = None,
        memory: Sequence[Weighed | None] = (),
    ) -> BenchmarkResult:
        """Race `mine` against `peer`; each side returns the seconds of `per` operations.

        `ratio` of the result is time(peer) / time(mine): above 1 the submission is faster.
        `reference` is the model answer at the same work in the same rounds; `reference_peer` is
        what it races where the peer is the submission's own. All ratios go into the report, and
        into one plot. `memory` names submission, peer and model answer, in this order, whose peak
        memory is reported.

        Rounds are taken until it is plain whether `target` is reached (`met` of the result;
        without a target, until the interval is narrow), at most `rounds`; then once more, at most
        twice as many, and that run alone counts. `docs/grader/races.md` has the rule.
        """
        kind = RatioRace(
            name, peer_name=peer_name, unit=unit, per=per, target=target, seed=self._seed
        )
        sides = [side for side in (mine, peer, reference, reference_peer) if side is not None]
        who = (SUBMISSION, peer_name, MODEL_ANSWER)
        result = self._run(kind, sides, rounds, dict(zip(who, memory, strict=False)))
        self._races[name] = kind
        return result

    def growth(
        self,
        name: str,
        side_at: Callable[[int], Side],
        sizes: Sequence[int],
        *,
        expected: float = 1.0,
        margin: float = MARGIN,
        size_name: str = "items",
        unit: str,
        per: int = 1,
        rounds: int = DEFAULT_ROUNDS,
        reference_at: Callable[[int], Side] | None = None,
        memory: Sequence[Weighed | None] = (),
    ) -> GrowthResult:
        """How the time of ``side_at(size)`` grows: the exponent p of time ~ size ** p.

        Every round runs all sizes. `met` of the result is false when p is clearly above `expected`
        plus `margin`; for "at most 1.5 times over a factor of 64", `expected` is 0 and `margin`
        ``exponent_of(1.5, over=64)``. `memory` names submission and model answer.
        """
        kind = GrowthRace(
            name,
            sizes,
            expected=expected,
            margin=margin,
            size_name=size_name,
            unit=unit,
            per=per,
            seed=self._seed,
        )
        makers = [maker for maker in (side_at, reference_at) if maker is not None]
        sides = [maker(size) for maker in makers for size in kind.sizes]
        who = (SUBMISSION, MODEL_ANSWER)
        result = self._run(kind, sides, rounds, dict(zip(who, memory, strict=False)))
        self._races[name] = kind
        return result

    def _run(
        self,
        kind: _Kind[R],
        sides: Sequence[Side],
        rounds: int,
        memory: dict[str, Weighed | None],
    ) -> R:
        if kind.name in self._races:
            raise ValueError(f"{kind.name!r} was raced already: its plot would be overwritten")
        if self._on_message is not None:
            self._on_message(kind.name)
        neighbours = Neighbours()
        with self._parked(), without_collector():
            taken = measure(sides, Random(self._seed), rounds, kind.settle, kind.again)
        peaks = {who: worker.own_memory() for who, worker in memory.items() if worker is not None}
        return kind.finish(Measured(taken, peaks, neighbours.note()))

    @contextlib.contextmanager
    def _parked(self) -> Iterator[None]:
        """While one side runs, whatever the others started stands still and slows nobody."""
        with contextlib.ExitStack() as stack:
            for workshop in self.workshops:
                workshop.park(True)
                stack.callback(workshop.park, False)
            yield

    def finish(self, out: Path) -> list[BenchmarkEntry]:
        """Draw every race into ``out/plots`` and return the report's entries.

        The entries are the submission's; how the model answer did against the peer is in the plot
        and in the numbers beside it.
        """
        entries = []
        for name, race in self._races.items():
            stem = Path("plots", re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))
            race.draw(out / stem, self._history)
            entries += race.entries(f"{stem.as_posix()}.svg")
        return entries

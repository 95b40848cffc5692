"""What a criterion of speed asks of three sides: half the model answer's speed, then the peer's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from grader.proxy.submission import Submission
from grader.races.race import MODEL_ANSWER, Race, require_ratio
from grader.races.rounds import Side

__all__ = ["HALF", "Contest"]

HALF = 0.5  # of the model answer's speed


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """One piece of work and those who do it: the submission, the peer, a model answer if any.

    `side` makes a side of a submission, `peer_side` that of the peer where it works otherwise. A
    side that has a `close` is closed when its race is over.
    """

    race: Race
    submission: Submission
    reference: Submission | None
    peer: Submission
    peer_name: str
    side: Callable[[Submission], Side]
    peer_side: Callable[[Submission], Side] | None = None
    unit: str
    per: int
    rounds: int

    def half(self, name: str, what: str, *, without: float = HALF) -> None:
        """Half the model answer's speed; `without` one, that many times the peer's."""
        with self._sides(self.submission, self.reference or self.peer) as (mine, other):
            result = self.race.compare(
                f"{name}, the half",
                mine,
                other,
                peer_name=MODEL_ANSWER if self.reference else self.peer_name,
                unit=self.unit,
                rounds=self.rounds,
                per=self.per,
                target=HALF if self.reference else without,
            )
        require_ratio(result, what)

    def beside_the_peer(self, name: str, what: str, target: float) -> None:
        """`target` times the peer's speed, or nine tenths of the model answer's."""
        racers = (self.submission, self.peer, self.reference)
        with self._sides(*filter(None, racers)) as (mine, other, *model):
            result = self.race.compare(
                name,
                mine,
                other,
                peer_name=self.peer_name,
                unit=self.unit,
                rounds=self.rounds,
                per=self.per,
                target=target,
                reference=model[0] if model else None,
                memory=racers,
            )
        require_ratio(result, what)

    @contextlib.contextmanager
    def _sides(self, *racers: Submission) -> Iterator[list[Side]]:
        with contextlib.ExitStack() as stack:
            sides = []
            for racer in racers:
                make = self.peer_side if racer is self.peer and self.peer_side else self.side
                sides.append(made := make(racer))
                if (close := getattr(made, "close", None)) is not None:
                    stack.callback(close)
            yield sides

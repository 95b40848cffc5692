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

    `target` is what is asked, in times of the peer's speed; `what` is how a message begins. `side`
    makes a side of a submission, `peer_side` that of the peer where it works otherwise; a side that
    has a `close` is closed when its race is over.
    """

    race: Race
    name: str
    what: str
    target: float
    submission: Submission
    reference: Submission | None
    peer: Submission
    peer_name: str
    side: Callable[[Submission], Side]
    peer_side: Callable[[Submission], Side] | None = None
    unit: str
    per: int
    rounds: int

    def half(self) -> None:
        """Half the model answer's speed; where there is none, half of `target`."""
        with self._sides(self.submission, self.reference or self.peer) as (mine, other):
            target = HALF if self.reference else HALF * self.target
            half, of_peer = "half the model answer's", f"{target:g} times {self.peer_name}"
            result = self.race.compare(
                f"{self.name}: {half if self.reference else of_peer}",
                mine,
                other,
                peer_name=MODEL_ANSWER if self.reference else self.peer_name,
                unit=self.unit,
                rounds=self.rounds,
                per=self.per,
                target=target,
            )
        require_ratio(result, self.what)

    def beside_the_peer(self) -> None:
        """`target` times the peer's speed, or nine tenths of the model answer's."""
        racers = (self.submission, self.peer, self.reference)
        with self._sides(*filter(None, racers)) as (mine, other, *model):
            result = self.race.compare(
                self.name,
                mine,
                other,
                peer_name=self.peer_name,
                unit=self.unit,
                rounds=self.rounds,
                per=self.per,
                target=self.target,
                reference=model[0] if model else None,
                memory=racers,
            )
        require_ratio(result, self.what)

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

"""Two fetches, one after the other or joined, in the time of a real executor."""

from __future__ import annotations

import ipywidgets

from meridian.academy.timeline import Lane, Mark, Step, Timeline
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.timeline_svg import paint_timeline
from meridian.foundation.tasks import JoinAll, MiniExecutor, from_coroutine, polled

__all__ = ["StationFetches", "fetches"]

_BLIP_S = 2e-6  # a step that takes no time still has a place in the picture


def fetches(latencies_s: dict[str, float], *, joined: bool) -> Timeline:
    """A fetch for each station, awaited in turn or joined in one task, from begin to end."""
    executor = MiniExecutor()
    lanes: list[Lane] = []

    async def fetch(station: str, latency_s: float) -> None:
        begun = executor.now()
        await polled(executor.sleep(latency_s))
        ended = executor.now()
        steps = [Step(begun, begun + _BLIP_S), Step(ended - _BLIP_S, ended)]
        lanes.append(Lane(station, begun, ended, steps, [Mark(ended, "", "ended")]))

    async def in_turn() -> None:
        for station, latency_s in latencies_s.items():
            await fetch(station, latency_s)

    async def at_once() -> None:
        each = [from_coroutine(fetch(*item)) for item in latencies_s.items()]
        await polled(JoinAll(*each))

    executor.block_on(from_coroutine(at_once() if joined else in_turn()))
    return Timeline(lanes).only(*latencies_s)


class StationFetches(Playground):
    """Two stations with a latency each: awaited in turn it is the sum, joined the longer one."""

    def __init__(self, atacama_ms: int = 180, svalbard_ms: int = 120) -> None:
        self.atacama = slider("gs-atacama, ms", atacama_ms, 10, 300, 10)
        self.svalbard = slider("gs-svalbard, ms", svalbard_ms, 10, 300, 10)
        self.joined = ipywidgets.Checkbox(False, description="joined", indent=False)
        controls = [self.atacama, self.svalbard, self.joined]
        super().__init__(controls, self._fetch)

    def _fetch(self) -> Shown:
        latencies_s = {
            "gs-atacama": self.atacama.value / 1e3,
            "gs-svalbard": self.svalbard.value / 1e3,
        }
        timeline = fetches(latencies_s, joined=self.joined.value)
        took_ms = timeline.duration_s * 1e3
        how = "joined: as long as the slower" if self.joined.value else "in turn: the sum of both"
        svg = paint_timeline(timeline, until_s=sum(latencies_s.values()))
        return Shown(f"{took_ms:.0f} ms, {how}", (svg,))

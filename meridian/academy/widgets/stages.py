"""How far a grading job is, as one bar that never goes back."""

from __future__ import annotations

from typing import Any

__all__ = ["STAGES", "Stages"]

STAGES = {
    "collect": "Collecting the files",
    "audit": "Reading the imports",
    "acceptance": "Asking questions",
    "notebook": "Running the notebook",
    "benchmark": "Racing",
    "report": "Writing the report",
}
# What share of the whole job each stage is; only its order of size matters.
_WEIGHTS = {
    "check": {"collect": 1, "audit": 1, "acceptance": 17, "report": 1},
    "bench": {"collect": 1, "audit": 1, "benchmark": 17, "report": 1},
    "submit": {
        "collect": 1, "audit": 1, "acceptance": 9, "notebook": 3, "benchmark": 5, "report": 1,
    },
}  # fmt: skip


class Stages:
    """Turns the events of one ``action`` into a share from 0 to 1 and a sentence."""

    def __init__(self, action: str) -> None:
        self._weights = _WEIGHTS.get(action, {})
        self.share = 0.0
        self.said = "Starting"

    def take(self, event: dict[str, Any]) -> None:
        """Move on. Events of unknown stages, or without numbers, only change the sentence."""
        stage = str(event.get("stage", ""))
        message = str(event.get("message") or "")
        if not stage:
            return
        label = STAGES.get(stage, stage)
        self.said = f"{label}: {message}" if message else label
        if stage not in self._weights:
            return
        names = list(self._weights)
        before = sum(self._weights[name] for name in names[: names.index(stage)])
        # A stage that begins carries its place among the stages, and no message.
        within = _share(event) if message else 0.0
        total = sum(self._weights.values())
        self.share = max(self.share, (before + self._weights[stage] * within) / total)


def _share(event: dict[str, Any]) -> float:
    done, total = event.get("done"), event.get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
        return 0.0
    return min(1.0, max(0.0, done / total))

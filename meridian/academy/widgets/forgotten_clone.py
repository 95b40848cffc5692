"""One sender that is not closed, and the loop that waits for it."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.clone_runs import CloneRun, run_clones
from meridian.academy.widgets.clone_svg import paint_clones
from meridian.academy.widgets.playground import Playground, Shown

__all__ = ["ForgottenClone", "clone_words"]


class ForgottenClone(Playground):
    """A consumer's loop, and who of four has closed its sender."""

    def __init__(self) -> None:
        names = ("main", "uplink 1", "uplink 2", "uplink 3")
        self.closes = tuple(
            ipywidgets.Checkbox(
                name != "main",
                description=f"{name} closes",
                indent=False,
                layout=ipywidgets.Layout(width="9.5rem"),
            )
            for name in names
        )
        super().__init__(self.closes, self._shown)

    def _shown(self) -> Shown:
        run = run_clones([box.value for box in self.closes])
        return Shown(clone_words(run), (paint_clones(run),))


def clone_words(run: CloneRun) -> str:
    """Whether the loop ended, and whose sender kept it waiting."""
    got = f"{len(run.received_s)} frames received"
    if run.ended_s is not None:
        return f"{got}; all senders are closed, and the loop ended at {run.ended_s:.1f} s"
    held = ", ".join(holder.name for holder in run.holders if holder.closed_s is None)
    return f"{got}; after {run.until_s:g} s the loop still waits. Open: the sender of {held}"

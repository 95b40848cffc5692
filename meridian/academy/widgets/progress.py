"""A progress bar for cells that take long: rich in a terminal, plain HTML in a notebook.

In a notebook the bar is an output that is replaced in place. It needs no widget, so that the
saved notebook keeps the last state as text.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from meridian.academy.widgets.base import HTML_MIME, escape
from meridian.clock import Clock, SystemClock

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ProgressBar", "progress_bar"]

REDRAW_S = 0.1


def progress_bar(
    total: int,
    label: str = "",
    *,
    clock: Clock | None = None,
    console: Console | None = None,
    notebook: bool | None = None,
) -> ProgressBar:
    """A context manager that shows how much of `total` is done::

        with progress_bar(100_000, "Inserting records") as bar:
            for batch in batches:
                bar.advance(len(batch))

    `notebook` says where to draw (default: a notebook if this is a Jupyter kernel, else the
    terminal). Raises `TypeError` or `ValueError` unless `total` is an int of at least 0.
    """
    if isinstance(total, bool) or not isinstance(total, int):
        raise TypeError(f"Expected `int`, got `{type(total).__name__}` - at total")
    if total < 0:
        raise ValueError(f"total must be at least 0, got {total}")
    drawn_in_notebook = _in_kernel() if notebook is None else notebook
    screen: _Screen = _Notebook() if drawn_in_notebook else _Terminal(console)
    return ProgressBar(total, label, screen, clock or SystemClock())


class _Screen(Protocol):
    def open(self, bar: ProgressBar) -> None: ...
    def draw(self, bar: ProgressBar) -> None: ...
    def close(self, bar: ProgressBar) -> None: ...


class ProgressBar:
    """Counts to `total` and redraws at most ten times a second, so that counting costs nothing."""

    def __init__(self, total: int, label: str, screen: _Screen, clock: Clock) -> None:
        self.total = total
        self.label = label
        self.done = 0
        self.ended = False
        self._screen = screen
        self._clock = clock
        self._next_s = 0.0

    @property
    def text(self) -> str:
        """What a reader of the saved output sees."""
        count = f"{self.done:,} of {self.total:,}"
        if self.ended and self.done < self.total:
            count += ", stopped"
        return f"{self.label}: {count}" if self.label else count

    def advance(self, by: int = 1) -> None:
        """Count `by` more. Raises `ValueError` for less than 0, `RuntimeError` after the end."""
        if self.ended:
            raise RuntimeError(f"The progress bar {self.label!r} has ended")
        if by < 0:
            raise ValueError(f"Progress does not go back: advance({by})")
        self.done += by
        now_s = self._clock.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + REDRAW_S
            self._screen.draw(self)

    def __enter__(self) -> ProgressBar:
        if self.ended:
            raise RuntimeError(f"The progress bar {self.label!r} has ended")
        self._next_s = self._clock.monotonic() + REDRAW_S
        self._screen.open(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended = True
        self._screen.close(self)


class _Notebook:
    """One output, updated in place."""

    def open(self, bar: ProgressBar) -> None:
        from IPython.display import display

        self._handle: Any = display(  # type: ignore[no-untyped-call]
            _bundle(bar), raw=True, display_id=True
        )

    def draw(self, bar: ProgressBar) -> None:
        self._handle.update(_bundle(bar), raw=True)

    close = draw


class _Terminal:
    """rich's bar on standard error, gone when the work is done; one line where it cannot move."""

    def __init__(self, console: Console | None) -> None:
        self._console = console

    def open(self, bar: ProgressBar) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=self._console or Console(file=sys.stderr),
            transient=True,
        )
        self._task = self._bars.add_task(bar.label, total=bar.total)
        self._bars.start()

    def draw(self, bar: ProgressBar) -> None:
        self._bars.update(self._task, completed=bar.done)

    def close(self, bar: ProgressBar) -> None:
        self.draw(bar)
        self._bars.stop()
        self._bars.console.print(bar.text, markup=False, highlight=False)


def _bundle(bar: ProgressBar) -> dict[str, str]:
    text = escape(bar.text)
    done = min(bar.done, bar.total) if bar.total else 1
    meter = "" if bar.ended else f'<progress max="{bar.total or 1}" value="{done}"></progress> '
    return {HTML_MIME: f"<div>{meter}<span>{text}</span></div>", "text/plain": bar.text}


def _in_kernel() -> bool:
    """Whether this is a Jupyter kernel; IPython in a terminal is a terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None

"""The academy inside JupyterLab: the course map, quizzes, the capstone panel, progress bars.

How a widget of the course is built (teaching widgets follow the same pattern):

1. State lives in Python, in plain attributes; drawing is a function of it that returns SVG or
   HTML text, so a test can call it without a browser.
2. The drawing takes its colours from `base` (``var(--jp-..., fallback)``): one SVG then fits both
   themes live, and any background as a saved picture. A word, mark or hatch goes with each colour.
3. Controls are native: ``ipywidgets`` sliders, dropdowns and buttons, or anywidget where a
   drawing needs its own; everything works with Tab, Enter and Space. No animation runs unless
   the reader starts it, and none when ``prefers-reduced-motion`` is set.
4. The output bundle holds the live view *and* a static picture: `base.StaticMixin`,
   `base.PicturedBox` or `base.show`. For instance::

       slider = ipywidgets.IntSlider(max=9, description="page")
       canvas = ipywidgets.HTML(draw(0))
       slider.observe(lambda change: setattr(canvas, "value", draw(change.new)), "value")
       return PicturedBox([slider, canvas], draw=lambda: draw(slider.value), alt="A page file")

5. A notebook is saved by ``python -m meridian.academy.widgets.saved NOTEBOOK...``, which keeps
   the picture and drops the view; the lab does the same on every save. Opened without a kernel,
   JupyterLab, code hosts and converters then all show the picture.
6. Text from a submission passes `base.escape` before it reaches HTML or SVG.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded on first use: ipywidgets and anywidget cost a third of a second to import.
_HOMES = {
    "AskSequence": "ask_sequence",
    "BTreeDescent": "btree_descent",
    "BTreeFanout": "btree_fanout",
    "BTreeGrowth": "btree_growth",
    "BitFlipper": "storage_pages",
    "BroadcastRing": "broadcast_ring",
    "CancellationLab": "cancellation",
    "DrainLab": "drain",
    "ExecutorStepper": "executor_stepper",
    "FanOutLag": "fanout_lag",
    "FetchBesideCommands": "fetch_beside_commands",
    "ForgottenClone": "forgotten_clone",
    "HeadOfLine": "fanin_lab",
    "HeldLoop": "held_loop",
    "JobScaling": "job_scaling",
    "LitmusPanel": "litmus_panel",
    "LockRace": "lock_race",
    "LostUpdates": "lost_updates",
    "NewsLanes": "news_lanes",
    "PagePainter": "storage_pages",
    "PageSizes": "storage_pages",
    "PassLab": "satellite_pass",
    "Philosophers": "lock_graph",
    "PicturedBox": "base",
    "PoolSaturation": "pool_saturation",
    "PoolStepper": "storage_pool",
    "RouterTable": "fanin_lab",
    "ScheduleStepper": "lock_graph",
    "SelectLab": "select_branches",
    "SendOrTry": "send_or_try",
    "ShardedScreen": "sharded_screen",
    "Starvation": "fanin_lab",
    "StaticMixin": "base",
    "StationFetches": "station_fetches",
    "StoreBuffers": "store_buffers",
    "Tank": "tank",
    "TaskTimeline": "task_timeline",
    "WorkStealing": "stealing_stepper",
    "capstone": "capstone_panel",
    "course_map": "map",
    "progress_bar": "progress",
    "quiz": "quiz_panel",
    "run_trace": "storage_pool",
    "show": "base",
    "show_chain": "storage_pages",
    "show_locks": "lock_graph",
    "show_page": "storage_pages",
    "show_source": "source_code",
    "show_tree": "btree_svg",
    "verdict_card": "verdict",
}

__all__ = [
    "AskSequence",
    "BTreeDescent",
    "BTreeFanout",
    "BTreeGrowth",
    "BitFlipper",
    "BroadcastRing",
    "CancellationLab",
    "DrainLab",
    "ExecutorStepper",
    "FanOutLag",
    "FetchBesideCommands",
    "ForgottenClone",
    "HeadOfLine",
    "HeldLoop",
    "JobScaling",
    "LitmusPanel",
    "LockRace",
    "LostUpdates",
    "NewsLanes",
    "PagePainter",
    "PageSizes",
    "PassLab",
    "Philosophers",
    "PicturedBox",
    "PoolSaturation",
    "PoolStepper",
    "RouterTable",
    "ScheduleStepper",
    "SelectLab",
    "SendOrTry",
    "ShardedScreen",
    "Starvation",
    "StaticMixin",
    "StationFetches",
    "StoreBuffers",
    "Tank",
    "TaskTimeline",
    "WorkStealing",
    "capstone",
    "course_map",
    "progress_bar",
    "quiz",
    "run_trace",
    "show",
    "show_chain",
    "show_locks",
    "show_page",
    "show_source",
    "show_tree",
    "verdict_card",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""Keep notebooks on disk free of dead widgets: run, strip, save.

A saved output that names a live widget shows "model not found" once the kernel is gone, and one
with the widget's state saved shows buttons that do nothing. We save neither: wherever an output
has a static HTML picture beside its live view, the view is dropped when the file is written and
the picture, which asks to run the cell, is what the next reader sees.

- Authors run ``python -m meridian.academy.widgets.saved NOTEBOOK...``: executes each in its own
  folder, drops the views, writes the file with its outputs.
- The lab's server calls `pre_save_hook` on every save
  (``--ContentsManager.pre_save_hook=meridian.academy.widgets.saved.pre_save_hook``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

__all__ = [
    "HTML_MIME",
    "SAVING",
    "VIEW_MIME",
    "drop_views",
    "main",
    "pre_save_hook",
    "run_and_save",
]

VIEW_MIME = "application/vnd.jupyter.widget-view+json"
HTML_MIME = "text/html"

# Set in the kernel while an author saves: what is shown must then hold for every reader's machine.
SAVING = "MERIDIAN_SAVING"
CELL_TIMEOUT_S = 120
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def drop_views(notebook: MutableMapping[str, Any]) -> int:
    """Remove widget views that have an HTML alternative, and all saved widget state, in place.

    `notebook` is nbformat 4 content, as a dict or `NotebookNode`. A view without an alternative
    stays: it is better than nothing. Returns how many views were removed.
    """
    removed = 0
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            data = output.get("data") or {}
            if VIEW_MIME in data and HTML_MIME in data:
                del data[VIEW_MIME]
                removed += 1
    notebook.get("metadata", {}).pop("widgets", None)
    return removed


def pre_save_hook(model: MutableMapping[str, Any], **_: Any) -> None:
    """Jupyter server hook (``ContentsManager.pre_save_hook``): `drop_views` on what is saved."""
    content = model.get("content")
    if model.get("type") == "notebook" and isinstance(content, MutableMapping):
        drop_views(content)


def run_and_save(path: Path) -> int:
    """Execute the notebook at `path` in its folder and save it with outputs; count the views cut.

    The file is only replaced after every cell has run. Raises `FileNotFoundError`, and
    `nbclient.exceptions.CellExecutionError` for a cell that fails without the tag
    ``raises-exception``.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # Without it, JupyterLab opens the notebook with a dialog that asks for a kernel.
    notebook.metadata["kernelspec"] = dict(KERNEL)
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name=KERNEL["name"],
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    ).execute(env=os.environ | {SAVING: "1"})
    removed = drop_views(notebook)
    # The patch release of whoever ran it is noise in every diff.
    notebook.metadata.get("language_info", {}).pop("version", None)
    temporary = path.with_name(f".{path.name}.new")
    nbformat.write(notebook, temporary)  # type: ignore[no-untyped-call]
    temporary.replace(path)
    return removed


def main(arguments: list[str] | None = None) -> int:
    """Run and save every notebook named in `arguments` (default: the command line's)."""
    paths = [Path(name) for name in (sys.argv[1:] if arguments is None else arguments)]
    if not paths:
        print("usage: python -m meridian.academy.widgets.saved NOTEBOOK...", file=sys.stderr)
        return 2
    for path in paths:
        removed = run_and_save(path)
        print(f"{path}: run and saved, {removed} widget views replaced by their pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The browser's half of the widgets: scripts and one style sheet, joined without a build step."""

from __future__ import annotations

from pathlib import Path

__all__ = ["STYLE", "script"]

_HERE = Path(__file__).parent
STYLE = (_HERE / "panel.css").read_text(encoding="utf-8")


def script(name: str) -> str:
    """The script `name` after the helpers of ``dom.js``: a widget has one file, no imports."""
    return "\n".join((_HERE / part).read_text(encoding="utf-8") for part in ("dom.js", name))

"""A drawing as a value: notebooks show it, terminals print one line, `save` keeps the SVG."""

from __future__ import annotations

from pathlib import Path

from meridian.academy.widgets.base import HTML_MIME, picture

__all__ = ["PagePicture"]


class PagePicture:
    """An SVG that a notebook displays, trusted or not, and a terminal prints as one line."""

    def __init__(self, svg: str, summary: str) -> None:
        self.svg = svg
        self.summary = summary

    def __repr__(self) -> str:
        return f"[picture] {self.summary}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {HTML_MIME: picture(self.svg, self.summary), "text/plain": repr(self)}

    def save(self, path: str | Path) -> Path:
        """Write the SVG to `path` and return it."""
        target = Path(path)
        target.write_text(self.svg, encoding="utf-8")
        return target

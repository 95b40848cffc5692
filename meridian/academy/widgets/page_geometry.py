"""Where byte `n` of a page lies on its picture."""

from __future__ import annotations

__all__ = ["LEFT", "WIDTH", "Grid"]

LEFT = 50.0
WIDTH = LEFT + 640.0 + 10.0
_ROW_HEIGHTS = {16: 22.0, 32: 16.0, 64: 11.5, 128: 5.0}


class Grid:
    """A page in rows of 64 bytes, more when the page is above 8 KiB and would be too tall."""

    def __init__(self, size: int, top: float) -> None:
        self.size = size
        self.top = top
        self.columns = 64 if size <= 8192 else -(-size // 128)
        self.rows = -(-size // self.columns)
        self.cell = 640.0 / self.columns
        self.height = next((h for rows, h in _ROW_HEIGHTS.items() if self.rows <= rows), 5.0)

    @property
    def bottom(self) -> float:
        return self.top + self.rows * self.height

    def x(self, byte: int) -> float:
        """Left edge of the cell of `byte`."""
        return LEFT + byte % self.columns * self.cell

    def y(self, byte: int) -> float:
        """Top edge of the cell of `byte`."""
        return self.top + byte // self.columns * self.height

    def outline(self, start: int, stop: int) -> str:
        """The staircase around bytes ``start:stop`` as SVG path data."""
        left, right = LEFT, LEFT + self.columns * self.cell
        x0, y0 = self.x(start), self.y(start)
        x1, y1 = self.x(stop - 1) + self.cell, self.y(stop - 1)
        below = y1 + self.height
        if y0 == y1:
            points = [(x0, y0), (x1, y0), (x1, below), (x0, below)]
        else:
            step = y0 + self.height
            points = [(x0, y0), (right, y0), (right, y1), (x1, y1), (x1, below), (left, below)]
            points += [(left, step), (x0, step)]
        return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "z"

    def widest_run(self, start: int, stop: int) -> tuple[float, float, float]:
        """Centre x, middle y and width of the longest piece of ``start:stop`` within one row.

        Of several whole rows the middle one, so that a big region is named at its centre.
        """
        first_whole = -(-start // self.columns)
        whole = stop // self.columns - first_whole
        if whole > 0:
            position = (first_whole + (whole - 1) // 2) * self.columns
            length = self.columns
        else:
            edge = min(stop, (start // self.columns + 1) * self.columns)
            position, length = (
                (start, edge - start) if edge - start >= stop - edge else (edge, stop - edge)
            )
        width = length * self.cell
        return self.x(position) + width / 2, self.y(position) + self.height / 2, width

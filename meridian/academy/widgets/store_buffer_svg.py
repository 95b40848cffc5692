"""Draw a machine with store buffers: what each core has run, what waits, what memory has."""

from __future__ import annotations

import math
from collections.abc import Iterator

from meridian.academy.widgets.base import (
    ACCENT,
    FAINT,
    GOOD,
    INK,
    LINE,
    MONO,
    MUTED,
    PANEL,
    WARN,
    svg_document,
)
from meridian.academy.widgets.store_buffer_model import CORES, Machine
from meridian.academy.widgets.svg_parts import BOLD, head, line, text

__all__ = ["happened", "last_step", "paint_machine", "verdict"]

_WIDTH, _GAP, _LINE = 720.0, 16.0, 21.0
_MONO = f'font-family="{MONO}"'


def paint_machine(machine: Machine, weak: tuple[int, ...], *, title: str = "") -> str:
    """`machine` as an SVG document; `weak` is the outcome that no interleaving explains."""
    cores = len(machine.programs)
    width = (_WIDTH - 16 - _GAP * (cores - 1)) / cores
    rows = max(map(len, machine.programs))
    parts = [text(8, 18, title, size=13, extra=BOLD)] if title else []
    top = 32.0
    buffer_top = top + 36 + rows * _LINE
    memory_top = buffer_top + 82
    for core in range(cores):
        left = 8 + core * (width + _GAP)
        parts += _core(machine, core, left, top, width, buffer_top)
        parts += _buffer(machine, core, left, buffer_top, width)
        x = left + width / 2
        full = bool(machine.buffers[core])
        parts.append(_arrow(x, buffer_top + 46, memory_top - 3, ACCENT if full else FAINT))
        parts.append(text(x + 8, memory_top - 13, "drain", size=9.5, fill=MUTED))
    parts += _memory(machine, memory_top)
    parts.append(text(8, memory_top + 58, verdict(machine, weak), size=12))
    words = happened(machine, weak)
    return svg_document(_WIDTH, memory_top + 70, "".join(parts), title=words)


def happened(machine: Machine, weak: tuple[int, ...]) -> str:
    """The state in one sentence, for who does not see the picture."""
    waiting = [
        f"{cell}=1 of core {CORES[core]}"
        for core, buffer in enumerate(machine.buffers)
        for cell in buffer
    ]
    cells = sorted({access.cell for program in machine.programs for access in program})
    memory = ", ".join(f"{cell} is {int(cell in machine.memory)}" for cell in cells)
    waits = f"in store buffers {', '.join(waiting)}" if waiting else "store buffers empty"
    return f"Memory: {memory}; {waits}. {verdict(machine, weak)}"


def last_step(before: Machine, after: Machine) -> str:
    """What the move from one state to the next did, in words."""
    core = next(k for k in range(len(before.done)) if _of(before, k) != _of(after, k))
    name, buffer = CORES[core], before.buffers[core]
    if before.done[core] == after.done[core]:
        return f"{buffer[0]} = 1 of core {name} reaches memory"
    access = before.programs[core][before.done[core]]
    if access.kind == "store":
        return f"{name} stores {access.cell} = 1 into its buffer"
    source = "its own buffer" if access.cell in buffer else "memory"
    return f"{name} reads {access.cell} = {after.loads[core][-1]} from {source}"


def _of(machine: Machine, core: int) -> tuple[int, tuple[str, ...]]:
    return machine.done[core], machine.buffers[core]


def verdict(machine: Machine, weak: tuple[int, ...]) -> str:
    """What came out, and whether taking turns explains it."""
    if machine.outcome is None:
        return "Some core has something left to run."
    came = f"Outcome ({', '.join(map(str, machine.outcome))})"
    if machine.outcome == weak:
        return f"◆ {came}: weak. No order of these statements, one at a time, gives this."
    return f"✔ {came}: some order of these statements, one at a time, gives this too."


def _core(
    machine: Machine, core: int, left: float, top: float, width: float, bottom: float
) -> Iterator[str]:
    yield _box(left, top, width, bottom - top - 10, LINE)
    yield text(left + 10, top + 17, f"core {CORES[core]}", size=11.5, extra=BOLD)
    done, values = machine.done[core], list(machine.loads[core])
    for row, access in enumerate(machine.programs[core]):
        y = top + 38 + row * _LINE
        mark, ink = ("✔", GOOD) if row < done else ("▸", ACCENT) if row == done else ("", INK)
        if row == done and not machine.may_run(core):
            mark, ink = "‖", WARN
        yield text(left + 10, y, mark, size=11, fill=ink)
        if access.kind == "store":
            said = f"{access.cell} = 1"
        elif row < done:
            said = f"read {access.cell}  →  {values.pop(0)}"
        else:
            said = f"read {access.cell}"
        ink = MUTED if row > done else INK
        yield text(left + 30, y, said, size=12.5, fill=ink, extra=f'{_MONO} xml:space="preserve"')
        if mark == "‖":
            yield text(left + 100, y, "waits for the drain", size=9.5, fill=MUTED)


def _buffer(machine: Machine, core: int, left: float, top: float, width: float) -> Iterator[str]:
    yield _box(left, top, width, 44, LINE, dashes="4 3")
    yield text(left + 10, top + 15, "store buffer", size=9.5, fill=MUTED)
    waiting = machine.buffers[core]
    if not waiting:
        yield text(left + 10, top + 34, "empty", size=11, fill=MUTED)
    for place, cell in enumerate(waiting):
        x = left + 10 + place * 58
        yield f'<rect x="{x:.1f}" y="{top + 20:.1f}" width="50" height="19" rx="3" '
        yield f'style="fill:{PANEL};stroke:{ACCENT}" stroke-width="1.5"/>'
        yield text(x + 25, top + 34, f"{cell} = 1", size=11.5, anchor="middle", extra=_MONO)


def _memory(machine: Machine, top: float) -> Iterator[str]:
    yield _box(8, top, _WIDTH - 16, 34, LINE)
    yield text(18, top + 21, "memory, seen by all", size=10.5, fill=MUTED)
    cells = sorted({access.cell for program in machine.programs for access in program})
    for place, cell in enumerate(cells):
        value = int(cell in machine.memory)
        x = _WIDTH / 2 + (place - 0.5) * 120
        yield text(x, top + 22, f"{cell} = {value}", size=13, anchor="middle", extra=_MONO)


def _box(x: float, y: float, width: float, height: float, ink: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
        f'style="fill:none;stroke:{ink}" stroke-width="1.2"{dashed}/>'
    )


def _arrow(x: float, top: float, bottom: float, ink: str) -> str:
    return line(x, top, x, bottom - 6, ink, 2) + head(x, bottom, math.pi / 2, ink, 1.1)

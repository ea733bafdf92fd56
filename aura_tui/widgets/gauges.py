"""The machine in one line, and one more for each GPU where there is room: bars in eighths of a cell."""

from __future__ import annotations

from textual.strip import Strip

from aura_engine.control.link import Gpu, Machine
from aura_engine.core.text import one_line
from aura_tui.logs.wrap import cells
from aura_tui.widgets.painted import Painted, Part

BAR = 8
EIGHTHS = " ▏▎▍▌▋▊▉"
MAX_GPUS = 8
HIGH, FULL = 75.0, 92.0
"""Percent above which a gauge asks for attention, and is bad."""


def bar(percent: float, width: int = BAR, *, plain: bool = False) -> str:
    """A bar of exactly `width` cells."""
    share = max(0.0, min(100.0, percent)) / 100
    if plain:
        full = round(share * width)
        return "#" * full + "." * (width - full)
    eighths = round(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width)


def gigabytes(used: int, total: int | None = None) -> str:
    """`9.1/24G`, or `41G` alone."""
    shown = f"{used / 2**30:.1f}" if used < 100 * 2**30 else f"{used / 2**30:.0f}"
    return f"{shown}/{total / 2**30:.0f}G" if total is not None else f"{shown}G"


class Gauges(Painted):
    """The latest sample. Its height follows the number of GPUs, unless it is kept to one line."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._machine: Machine | None = None

    def show(self, machine: Machine | None) -> None:
        """Show a sample; only lines that changed are painted."""
        old, self._machine = self._machine, machine
        gpus = len(machine.gpus[:MAX_GPUS]) if machine else 0
        self.styles.height = 1 if self.has_class("one-line") else 1 + gpus
        for y in range(self.size.height):
            self.repaint_changes(y, self._parts(y, old), self._parts(y, machine))

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        return self.line(self._parts(y, self._machine), self.size.width)

    def _parts(self, y: int, machine: Machine | None) -> list[Part]:
        if machine is None:
            return [(" the machine has not been looked at yet", "dim")]
        if y > 0:
            return self._gpu(y - 1, machine.gpus[y - 1]) if y <= len(machine.gpus) else []
        memory = 100 * machine.memory_used / max(1, machine.memory_total)
        pieces = [
            [*self._gauge("cpu", machine.cpu), (f"{machine.cpu:3.0f}%", "say")],
            [*self._gauge("mem", memory), (gigabytes(machine.memory_used, machine.memory_total), "say")],
            [("disk ", "dim"), (gigabytes(machine.disk_free), self._low(machine.disk_free)), (" free", "dim")],
        ]
        if not machine.gpus:
            pieces.append([("no GPU", "dim")])
        elif self.has_class("one-line"):
            pieces += [
                [(f"gpu{index} ", "dim"), (f"{gpu.percent:3.0f}%", self._tone(gpu.percent))]
                for index, gpu in enumerate(machine.gpus[:MAX_GPUS])
            ]
        parts: list[Part] = []
        for piece in pieces:
            # A gauge that does not fit is left out as a whole.
            if sum(cells(text) for text, _ in [*parts, *piece]) + 3 > self.size.width:
                break
            parts += [("   " if parts else " ", ""), *piece]
        return parts

    def _gpu(self, index: int, gpu: Gpu) -> list[Part]:
        heat = f"  {gpu.celsius:.0f}°C" if gpu.celsius is not None else ""
        return [
            (" ", ""),
            *self._gauge(f"gpu{index}", gpu.percent),
            (f"{gpu.percent:3.0f}%", "say"),
            (f"   {gigabytes(gpu.used, gpu.total)}{heat}", "say"),
            (f"   {one_line(gpu.name, 40)}", "dim"),
        ]

    def _gauge(self, name: str, percent: float) -> list[Part]:
        return [(f"{name} ", "dim"), (bar(percent, plain=self.plain), f"bar {self._tone(percent)}"), (" ", "")]

    @staticmethod
    def _tone(percent: float) -> str:
        return "bad" if percent >= FULL else "ask" if percent >= HIGH else "live"

    @staticmethod
    def _low(free: int) -> str:
        return "bad" if free < 2 << 30 else "ask" if free < 8 << 30 else "say"

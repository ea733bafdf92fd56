"""Text broken into lines of so many terminal cells, at spaces where there are any."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells, set_cell_size

TAB = 4


def wrap(text: str, width: int, *, limit: int = 400) -> list[str]:
    """`text` (cleaned) in lines of at most `width` cells; at most `limit` of them, the last then says so."""
    width = max(1, width)
    found: list[str] = []
    for line in text.expandtabs(TAB).split("\n"):
        found += _wrap_line(line, width)
        if len(found) > limit:
            return [*found[: limit - 1], set_cell_size("… (cut; the raw view has it all)", width).rstrip()]
    return found


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) <= width and (line.isascii() or cell_len(line) <= width):
        return [line]
    indent = line[: len(line) - len(line.lstrip())][: width // 2]
    lines: list[str] = []
    current = ""
    for word in line[len(indent) :].split(" "):
        candidate = f"{current} {word}" if current else indent + word
        if cell_len(candidate) <= width:
            current = candidate
            continue
        long = cell_len(indent + word) > width
        if current.strip() and not long:
            lines.append(current)
        # A word that fits no line is broken where it stands: a line with a mark alone would look odd.
        current = candidate if long else indent + word
        if cell_len(current) > width:
            *whole, current = chop_cells(current, width)
            lines += whole
    return [*lines, current] if current or not lines else lines


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with “…” where something was left out."""
    if width <= 0:
        return ""
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return text
    return "…" if width == 1 else set_cell_size(text, width - 1).rstrip() + "…"


def cells(text: str) -> int:
    """Terminal cells that a text takes."""
    return len(text) if text.isascii() else cell_len(text)

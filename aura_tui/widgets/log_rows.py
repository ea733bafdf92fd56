"""How a row of an output is painted: time, label, text, with what is searched for brought out."""

from __future__ import annotations

from aura_engine.report.steps import LABEL
from aura_tui.logs.pager import CLOCK, Shown
from aura_tui.widgets.painted import Part

LABELS = {"do": "key", "bad": "bad", "good": "good", "ask": "ask"}


def row_parts(row: Shown, *, raw: bool, needle: str) -> list[Part]:
    """The parts of one row; raw rows have neither time nor label."""
    if raw:
        return [(" ", ""), *marked(row.text, "say", needle)]
    start = f" {row.time:<{CLOCK}}"
    label = (f"{row.label:<{LABEL}} ", LABELS.get(row.tone, "dim"))
    return [(start, "dim"), label, *marked(row.text, "say" if row.tone == "do" else row.tone, needle)]


def marked(text: str, tone: str, needle: str) -> list[Part]:
    """The text with every place where the needle stands brought out."""
    folded, wanted = text.casefold(), needle.casefold()
    # Folding may change a text's length: then the places would be others.
    if not wanted or wanted not in folded or len(folded) != len(text):
        return [(text, tone)]
    parts: list[Part] = []
    begin = 0
    while (at := folded.find(wanted, begin)) >= 0:
        parts += [(text[begin:at], tone), (text[at : at + len(wanted)], "found")]
        begin = at + len(wanted)
    return [*parts, (text[begin:], tone)]

"""A step of a worker's log in print: columns of time, label and text, or a JSON object."""

from __future__ import annotations

from collections.abc import Callable

from aura_engine.cli.options import print_model_line
from aura_engine.cli.paint import Paint
from aura_engine.report.models import LogStep
from aura_engine.report.steps import LABEL, Step

CLOCK = 9
"""Characters of a time and the blank behind it."""


def as_json(clock: str, step: Step) -> None:
    """Prints one object."""
    fields = {"time": clock, "label": step.label, "text": step.text, "tone": step.tone}
    print_model_line(LogStep.model_validate(fields))


def as_text() -> Callable[[str, Step], None]:
    """Prints columns. The column of times is there once a line has said its time."""
    paint = Paint()
    wide = False

    def show(clock: str, step: Step) -> None:
        nonlocal wide
        wide = wide or bool(clock)
        head = f"{clock:<{CLOCK}}" if wide else ""
        head += f"{step.label:<{LABEL}} "
        indent = " " * len(head)
        rows = [row for line in step.text.split("\n") for row in paint.hang(indent + line, indent)]
        for number, row in enumerate(rows):
            first = paint(head, "dim") if number == 0 else indent
            print((first + paint(row[len(indent) :], step.tone)).rstrip())

    return show

"""All keys, by what they are for; made of the table of actions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from aura_tui.actions import available, shown_key

GROUPS = {
    "task": "The selected task",
    "run": "The run",
    "view": "Looking",
    "goal": "In the goal's editor",
    "app": "Aura",
    "move": "Moving",
}


class Help(ModalScreen[None]):
    """Scrolls where it does not fit; any of the usual keys closes it."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss(None)", "close", show=False, id="help.close")
    ]

    def __init__(self, keymap: dict[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        """See Screen."""
        parts: list[Content] = []
        for group, title in GROUPS.items():
            rows = [(shown_key(a, self._keymap), a.help) for a in available() if a.group == group]
            rows += [("tab", "The next panel; shift+tab: the one before")] if group == "move" else []
            parts.append(_group(title, rows))
        parts.append(Content.styled("Every key can be changed in the config file: [keys] with the ids below.", "dim"))
        ids = "  ".join(action.id for action in available())
        parts.append(Content.styled(ids, "dim"))
        with VerticalScroll(classes="dialog wide"):
            yield Static(Content("\n\n").join(parts))


def _group(title: str, rows: list[tuple[str, str]]) -> Content:
    lines = [Content.styled(title, "bold")]
    for key, text in rows:
        lines.append(Content.styled(f"  {key:<9}", "$footer-key-foreground") + Content(text))
    return Content("\n").join(lines)

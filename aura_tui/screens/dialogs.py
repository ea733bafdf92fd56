"""The questions that are put to a person: yes or no, one of several, or a text. Whatever they show is plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers."""

    id: str
    label: str
    detail: str = ""


class Choose(ModalScreen[str | None]):
    """One of several; None when the person thinks better of it. `preview` hears of each that is looked at."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "cancel", show=False, id="dialog.cancel")
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        chosen: str = "",
        preview: Callable[[str], None] | None = None,
        hint: str = "enter chooses, esc goes back",
    ) -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, choices, chosen
        self._preview, self._hint = preview, hint

    def compose(self) -> ComposeResult:
        """See Screen."""
        options: list[Option] = []
        for choice in self._choices:
            detail = Content.styled(f"\n  {choice.detail}", "dim") if choice.detail else Content("")
            options.append(Option(Content(choice.label) + detail, id=choice.id))
        with Vertical(classes="dialog"):
            yield Static(self._title, markup=False, classes="question")
            yield OptionList(*options, markup=False)
            yield Static(self._hint, markup=False, classes="hint")

    def on_mount(self) -> None:
        """See Screen."""
        ids = [choice.id for choice in self._choices]
        options = self.query_one(OptionList)
        options.highlighted = ids.index(self._chosen) if self._chosen in ids else 0
        options.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self._preview is not None and event.option_id:
            self._preview(event.option_id)


class Confirm(ModalScreen[bool]):
    """Yes or no; no is what an accident chooses."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes", show=False, id="dialog.yes"),
        Binding("n,escape,enter,q", "dismiss(False)", "no", show=False, id="dialog.no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """See Screen."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False, classes="question")
            yield Static("y yes    n no (also esc, enter)", markup=False, classes="hint")


class Write(ModalScreen[str | None]):
    """A text of one or more lines; None when the person thinks better of it."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", "send", show=False, priority=True, id="dialog.send"),
        Binding("escape", "dismiss(None)", "cancel", show=False, priority=True, id="dialog.cancel"),
    ]

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """See Screen."""
        with Vertical(classes="dialog wide"):
            yield Static(self._title, markup=False, classes="question")
            yield TextArea(self._text, soft_wrap=True, show_line_numbers=False)
            yield Static("ctrl+s sends, esc goes back", markup=False, classes="hint")

    def on_mount(self) -> None:
        """See Screen."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)
        area.focus()

    def action_send(self) -> None:
        """Done writing."""
        self.dismiss(self.query_one(TextArea).text.strip())

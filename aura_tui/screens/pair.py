"""A place with a list and what is to be said of the chosen entry: beside each other, or one above the other."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from aura_engine.core.text import one_line
from aura_tui.screens.place import Place
from aura_tui.sheet import Section
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.sheet import Sheet
from aura_tui.widgets.title import Title

BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]


class Pair(Place):
    """Overrides `entries` and `pages`; the list keeps the cursor on its entry, whatever comes."""

    CSS_PATH = "pair.tcss"
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    HINTS = ("view.filter", "view.next")
    NAME = ""

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""

    def body(self) -> ComposeResult:
        """See Place."""
        yield Title(self.NAME, id="pair-title")
        with Container(id="pair-main"):
            yield Sheet(id="entries")
            yield Sheet(id="pages")
        yield PromptLine(id="prompt")

    def on_mount(self) -> None:
        """See Place."""
        self.list_.focus()

    @property
    def list_(self) -> Sheet:
        """The entries."""
        return self.query_one("#entries", Sheet)

    @property
    def page(self) -> Sheet:
        """What is said of the chosen one."""
        return self.query_one("#pages", Sheet)

    def entries(self) -> Sequence[Section]:
        """The list as it is now."""
        return ()

    def pages(self, key: str) -> Sequence[Section]:
        """What is to be said of an entry; "" when there is none."""
        return ()

    def show(self) -> None:
        """Bring both up to date."""
        self.list_.show(self.entries())
        self.show_page()

    def show_page(self) -> None:
        """Say what is to be said of the chosen entry."""
        key = self.list_.key
        if key != self._shown:
            self._shown = key
            self.page.reset()
        self.page.show(self.pages(key))

    @on(Sheet.Moved)
    def _moved(self, message: Sheet.Moved) -> None:
        if message.sheet is self.list_:
            self.show_page()
            self.show_hints()

    @on(Sheet.Opened)
    def _opened(self, message: Sheet.Opened) -> None:
        if message.sheet is self.list_:
            self.opened()

    def opened(self) -> None:
        """An entry was opened: on to what is said of it."""
        self.page.focus()

    def view(self, id: str) -> None:
        """See Place."""
        sheet = self.page if self.page.has_focus else self.list_
        match id:
            case "view.filter":
                self.query_one(PromptLine).open("search", sheet.needle)
            case "view.next" if sheet.needle:
                self.search(sheet, sheet.needle, again=True)
            case "view.fold":
                self.page.fold_all()
            case _:
                pass

    @on(PromptLine.Typed)
    def _typed(self, message: PromptLine.Typed) -> None:
        self.typed(message)

    def typed(self, message: PromptLine.Typed) -> None:
        """What was typed is searched for in the page, where the answers are."""
        if message.done:
            self.page.focus()
            if message.text or self.page.needle:
                self.search(self.page, message.text, again=False)

    def search(self, sheet: Sheet, needle: str, *, again: bool) -> None:
        """Go to the next place where it stands, or say that there is none."""
        if not sheet.search(needle, again=again) and needle:
            self.aura.say(f"“{one_line(needle, 60)}” is not in what is unfolded here.")

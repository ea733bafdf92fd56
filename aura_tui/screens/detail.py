"""One task: what it is for, how it stands, its checks with their receipts, its attempts, what it changed."""

from __future__ import annotations

import asyncio
import time

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal

from aura_engine.core.model import RunStatus
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError
from aura_tui import patch
from aura_tui.dossier import dossier
from aura_tui.screens.place import Place
from aura_tui.sheet import Para, Section, prose
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.sheet import Sheet
from aura_tui.widgets.title import Title

LOOK = 5.0
"""Seconds between two looks at what a running worker has changed."""
DIFF_LIMIT = 20.0
"""Seconds that the engine may take to make a diff."""
CUT = 1_000_000
"""Bytes from which on the engine cuts a diff."""


BREAKPOINTS = [(0, "-narrow"), (150, "-broad")]


class Detail(Place):
    """Stays with the task that was selected when it was opened."""

    CSS_PATH = "detail.tcss"
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    HINTS = (
        *("task.message", "task.pause", "task.kill", "task.retry", "task.escalate", "task.edit", "task.drop"),
        *("view.filter", "view.next"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.task_id = ""
        self._files: list[patch.Patch] = []
        self._diff_note = "asking for it"
        self._asked: tuple[object, ...] = ()
        self._asked_at = 0.0

    def body(self) -> ComposeResult:
        """See Place."""
        yield Title(id="detail-title")
        with Horizontal(id="detail-main"):
            yield Sheet(id="facts")
            yield Sheet(id="changes")
        yield PromptLine(id="prompt")

    def on_mount(self) -> None:
        """Take the task that the place below means."""
        below = [screen for screen in self.aura.screen_stack if isinstance(screen, Place) and screen is not self]
        self.task_id = below[-1].chosen if below else ""
        self.facts.focus()

    @property
    def facts(self) -> Sheet:
        """All but the diff; on a screen that is not broad, with it."""
        return self.query_one("#facts", Sheet)

    @property
    def changes(self) -> Sheet:
        """The diff, where there is room for it beside."""
        return self.query_one("#changes", Sheet)

    @property
    def chosen(self) -> str:
        """See Place."""
        return self.task_id

    def frame(self) -> None:
        """See Place."""
        self._show()
        self._ask()
        super().frame()

    def tick(self) -> None:
        """See Place."""
        super().tick()
        self._show()
        self._ask()

    def view(self, id: str) -> None:
        """See Place."""
        sheet = self.changes if self.changes.has_focus else self.facts
        match id:
            case "view.filter":
                self.query_one(PromptLine).open("search", sheet.needle)
            case "view.next" if sheet.needle:
                self._search(sheet, sheet.needle, again=True)
            case "view.fold":
                sheet.fold_all()
            case _:
                pass

    @on(PromptLine.Typed)
    def _typed(self, message: PromptLine.Typed) -> None:
        sheet = self.facts
        if message.done:
            sheet.focus()
            if message.text or sheet.needle:
                self._search(sheet, message.text, again=False)

    def _search(self, sheet: Sheet, needle: str, *, again: bool) -> None:
        if not sheet.search(needle, again=again) and needle:
            self.aura.say(f"“{one_line(needle, 60)}” is not in what is unfolded here.")

    def _show(self) -> None:
        state = self.model.state
        task = state.tasks.get(self.task_id)
        title = self.query_one("#detail-title", Title)
        if task is None:
            title.set([("No task is selected", "title")])
            return
        now = time.time()
        row = self.model.row(self.task_id, now)
        who = [(f"{row.who}  ", "dim"), (f"{row.time:>7}", "say")] if row.who else []
        title.set([(f"{row.id} ", "title"), (row.title, "bold")], [(f"{row.note}  ", row.tone), *who])
        sections = dossier(state, self.model.history, self.task_id, now)
        broad = self.has_class("-broad") and bool(self._files)
        changed = [] if task.spec.group else self._diff(patch.OPEN_UP_TO * (10 if broad else 1))
        self.changes.display = broad
        self.facts.show(sections if broad else [*sections, *changed])
        self.changes.show(changed if broad else [])

    def _diff(self, open_up_to: int) -> list[Section]:
        live = self.model.state.tasks[self.task_id].live
        title = "Diff so far" if live is not None and live.ended is None else "Diff"
        if not self._files:
            note = (f"  {self._diff_note}", "dim")
            return [Section("diff", ((title, "title"), note))] if self._diff_note else []
        note = prose(Para(self._diff_note, "ask"))
        head = Section("diff", ((title, "title"),), patch.counts(self._files), note)
        return [head, *patch.sections(self._files, depth=1, open_up_to=open_up_to)]

    def _ask(self) -> None:
        """Have the diff made anew when the work has changed, or may have."""
        task = self.model.state.tasks.get(self.task_id)
        if task is None or task.spec.group:
            return
        live = task.live
        stands = (task.status, len(task.attempts), live is not None and live.ended is None)
        works, now = stands[2], time.monotonic()
        if stands != self._asked or (works and now - self._asked_at >= LOOK):
            self._asked, self._asked_at = stands, now
            self._fetch()

    @work(exclusive=True, group="diff", exit_on_error=False)
    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(DIFF_LIMIT):
                text = await self.aura.link.diff(self.task_id)
            files = await asyncio.to_thread(patch.files_of, text)
            over = self.model.state.status is not RunStatus.RUNNING
            if files or not over:
                self._files = files
            self._diff_note = "" if self._files else "nothing has been changed"
            if len(text) >= CUT:
                self._diff_note = "It is longer than this: only its beginning is shown."
        except (AuraError, OSError, TimeoutError) as error:
            why = error.line() if isinstance(error, AuraError) else str(error) or "it takes too long"
            self._diff_note = f"It cannot be had: {one_line(why, 300)}"
        self._show_if_there()

    def on_resize(self) -> None:
        """Beside each other where there is room."""
        self.call_after_refresh(self._show_if_there)

    def _show_if_there(self) -> None:
        if self.children:  # it may have been left meanwhile
            self._show()

"""The goal in an editor: what a save would change is shown first, and nobody's edit is overwritten unseen."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType

from aura_engine.core.model import RunStatus
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError
from aura_engine.report.words import count
from aura_tui import decisions, revise
from aura_tui.actions import bound
from aura_tui.edit import Draft, Edit, Saw
from aura_tui.screens.place import Place
from aura_tui.widgets.editor import Editor
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.sheet import Sheet
from aura_tui.widgets.title import Title

LOOK = 2.0
"""Seconds between two looks at the file."""
REST = 0.4
"""Seconds without a key before the edit is kept and its blocks are checked."""


class Goal(Place):
    """Leaving keeps what is not saved: the next visit goes on with it, on another screen too."""

    CSS_PATH = "goal.tcss"
    HINTS = ("goal.save", "goal.find", "goal.next", "goal.problem", "goal.undo", "goal.redo")
    ENDING = ("app.back", "app.palette")
    BINDINGS: ClassVar[list[BindingType]] = [
        *(bound(id, f"app.do('{id}')", priority=True) for id in (*HINTS, "goal.previous")),
        bound("app.back", "app.out", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.edit = Edit()
        self._saved: tuple[str, float] | None = None
        self._kept: Draft | None = None
        """What was last put on the disk of this edit."""
        self._keeping = asyncio.Lock()
        self._sure = True
        """It is there."""
        self._problems: tuple[revise.Problem, ...] = ()
        self._needle = ""
        self._from = (0, 0)

    def body(self) -> ComposeResult:
        """See Place."""
        yield Title(id="goal-title")
        yield Editor(id="editor")
        yield Title(id="goal-note")
        yield Sheet(id="became")
        yield PromptLine(id="prompt")

    def on_mount(self) -> None:
        """See Place."""
        self.editor.focus()
        self._look()
        self.set_interval(LOOK, self._look)

    async def on_unmount(self) -> None:
        """See Screen: this visit is over, maybe with all of the screen."""
        await self._keep()

    @property
    def editor(self) -> Editor:
        """The text."""
        return self.query_one(Editor)

    @property
    def chosen(self) -> str:
        """See Place: no task is to be seen here."""
        return ""

    @property
    def _may_write(self) -> bool:
        # An engine that has ended refuses commands, but the goal of its next start can be written.
        return not self.aura.link.read_only or self.model.state.status is not RunStatus.RUNNING

    def frame(self) -> None:
        """See Place."""
        self.editor.read_only = not self._may_write
        self._say()
        super().frame()

    def tick(self) -> None:
        """See Place."""
        super().tick()
        self._say()

    def view(self, id: str) -> None:
        """See Place: what its own rows of the table say."""
        match id:
            case "goal.save":
                self.save()
            case "goal.find":
                self.find()
            case "goal.next" | "goal.previous":
                self.find_next(back=id == "goal.previous")
            case "goal.problem":
                self.next_problem()
            case "goal.undo":
                self.editor.undo()
            case "goal.redo":
                self.editor.redo()
            case "goal.start" | "goal.end":
                self.editor.action_edge(id == "goal.end")
            case _:
                pass

    @work(exclusive=True, group="goal-file", exit_on_error=False)
    async def _look(self) -> None:
        """Take the file in; notice when somebody else has changed it."""
        first, draft = not self.edit.loaded, self.model.draft
        try:
            text = await self.aura.link.goal()
            if first and draft is None and (kept := await self.aura.link.draft()):
                self._kept = draft = Draft(*kept)
        except (AuraError, OSError, UnicodeError) as error:
            why = error.line() if isinstance(error, AuraError) else str(error)
            self.query_one("#goal-note", Title).set([(f"It cannot be read: {one_line(why, 200)}", "bad")])
            return
        match self.edit.saw(text):
            case Saw.FRESH:
                early = self.editor.text if first else ""
                self.edit.took(text, self.editor.take(text))
                self._check()
                if first:
                    self._go_on(text, draft)
                    if early:  # typed before the file was here
                        self.editor.insert(early)
                else:
                    in_force = revise.same(text) == self.model.state.goal_text
                    self._saved = None if in_force else (text, time.time())
                    self.aura.say("The goal was changed by somebody else: this is their text.")
            case Saw.CLASH:
                self.aura.say("The goal was changed by somebody else while you edit it.", "warning")
            case Saw.SAME:
                pass
        self._say()

    def _go_on(self, disk: str, draft: Draft | None) -> None:
        """With what was edited before and not saved."""
        if draft is not None and draft.text != self.edit.clean:
            self.edit.base = draft.base
            self.edit.theirs = disk if disk != draft.base else None
            self._put(draft.text)
            self.aura.say("Your edit from before is here again, not saved yet; undo takes it back.", "warning")

    def _put(self, text: str) -> None:
        """Another text in the editor, which can be undone."""
        self.editor.replace(text, (0, 0), self.editor.document.end, maintain_selection_offset=False)

    @on(Editor.Changed)
    def _changed(self) -> None:
        self.edit.text = self.editor.text
        self.model.draft = self.edit.draft
        self._say()
        self._check()

    @on(Editor.SelectionChanged)
    def _cursor(self) -> None:
        self._say()

    @work(exclusive=True, group="goal-check", exit_on_error=False)
    async def _check(self) -> None:
        """Keep the edit and mark what is wrong with the blocks, once the keys rest."""
        await asyncio.sleep(REST)
        self.run_worker(self._keep(), group="goal-keep", exit_on_error=False)  # which the next key does not break off
        self._problems = await asyncio.to_thread(revise.problems_of, self.editor.text)
        self.editor.mark({max(0, each.line - 1): each.what for each in reversed(self._problems)})
        self._say()

    async def _keep(self) -> None:
        """A hang-up takes the screen away unasked: what was typed outlives it."""
        async with self._keeping:
            draft = self.edit.draft
            if draft == self._kept and self._sure:
                return
            self._kept, self._sure = draft, False
            try:
                await self.aura.link.keep_draft((draft.base, draft.text) if draft else None)
                self._sure = True
            except (OSError, UnicodeError) as error:
                self.aura.say(f"Your edit is kept on this screen only: {error}.", "warning")

    def _say(self) -> None:
        """Bring the lines above and below the text up to date."""
        if not self.children:  # it was left meanwhile
            return
        state, (row, column) = self.model.state, self.editor.cursor_location
        name = one_line(state.task_file.rsplit("/", 1)[-1] or "task.md", 60)
        left = [(name, "title")]
        if not self._may_write:
            left.append(("  read-only: another screen steers the run", "ask"))
        elif self.edit.theirs is not None:
            left.append(("  changed by somebody else meanwhile: ctrl+s shows what to do", "bad"))
        elif self.edit.loaded:
            left.append(("  edited, not saved", "ask") if self.edit.edited else ("  saved", "dim"))
        self.query_one("#goal-title", Title).set(left, [(f"line {row + 1}, column {column + 1}", "dim")])
        note = self.query_one("#goal-note", Title)
        here = next((each for each in self._problems if each.line == row + 1), None)
        if self._problems:
            first = here or self._problems[0]
            where = f"line {first.line}: " if first.line else ""
            note.set([(f"✗ {where}{first.what}", "bad")], [(count(len(self._problems), "problem"), "bad")])
        elif self._saved is not None:
            note.set(revise.aftermath(state, self.model.history, *self._saved))
        else:
            checks = sum(check.person for check in state.goal_checks.values())
            note.set([(f"{count(checks, 'check')} of yours in force", "dim")])
        self._tell()

    def _tell(self) -> None:
        """What the planner made of the edit that was saved here."""
        answer = revise.answer_to(self.model.state, self.model.history, *self._saved) if self._saved else None
        sheet = self.query_one("#became", Sheet)
        pages = decisions.plan_pages(answer, self.model.state) if answer is not None else []
        sheet.set_class(bool(pages), "-shown")
        sheet.show(pages)

    def save(self) -> None:
        """Show what a save would change, then do it or not."""
        if not self._may_write:
            self.aura.say("This screen only looks on: another one steers the run.", "warning")
        elif self.edit.theirs is not None:
            self._settle()
        elif not self.edit.edited:
            self.aura.say("Nothing has been changed.")
        else:
            self._save(self.edit.base)

    @work(exclusive=True, group="goal-save", exit_on_error=False)
    async def _save(self, base: str) -> None:
        await self._reviewed(base)

    async def _reviewed(self, base: str) -> None:
        """Apply the text in place of `base`, if the person wants what that changes."""
        from aura_tui.screens.review import ReviewScreen

        state, text = self.model.state, self.editor.text
        in_force = [check for check in state.goal_checks.values() if check.person]
        found = await asyncio.to_thread(revise.review, base, text, in_force)
        title = "This is no goal yet" if found.problems else "This changes the goal"
        title += " as somebody else has left it" if base != self.edit.base else ""
        if not await self.aura.push_screen_wait(ReviewScreen(title, revise.sections(found, state))):
            return
        why = await self.aura.link.save_goal(text, base)
        if why:
            self.aura.say(f"Not saved: {why}.", "error")
            self._look()
            return
        self.edit.took(text, text)
        self.edit.text = self.editor.text  # a key may have been pressed meanwhile
        self.model.draft, self._saved = self.edit.draft, (text, time.time())
        await self._keep()
        if found.problems:
            self.aura.say("Saved; until it is right, the goal as it was stays in force.", "warning")
        elif state.status is not RunStatus.RUNNING:
            self.aura.say("Saved: the next start of the run takes it.")
        else:
            self.aura.say("Saved: the plan will follow.")
        self._say()

    @work(exclusive=True, group="goal-save", exit_on_error=False)
    async def _settle(self) -> None:
        """Two edits of one text: ask which is to stay."""
        from aura_tui.screens.dialogs import Choice, Choose

        theirs = self.edit.theirs or ""
        choices = [
            Choice("mine", "Look at what my text changes in theirs", "and then apply it, or not"),
            Choice("theirs", "Take theirs", "my edit is dropped; undo brings it back"),
        ]
        chosen = await self.aura.push_screen_wait(Choose("The goal was changed by somebody else", choices))
        if chosen == "mine":
            await self._reviewed(theirs)
        elif chosen == "theirs":
            self._put(theirs)
            self.edit.took(theirs, self.editor.text)
            self.model.draft = None
            await self._keep()
            self._say()

    def find(self) -> None:
        """Open the line in which a search is typed."""
        self._from = min(self.editor.selection)
        self.query_one(PromptLine).open("search", self.editor.selected_text.split("\n")[0] or self._needle)

    @on(PromptLine.Typed)
    def _typed(self, message: PromptLine.Typed) -> None:
        self._needle = message.text or self._needle
        if message.text and not self.editor.find(message.text, start=self._from) and message.done:
            self._missing()
        if message.done:
            self.editor.focus()

    def find_next(self, *, back: bool = False) -> None:
        """To the next place that was searched for, or the one before."""
        if not self.editor.find(self._needle, back=back):
            self._missing()

    def _missing(self) -> None:
        needle = one_line(self._needle, 60)
        self.aura.say(f"“{needle}” is not in the goal." if needle else "Nothing was searched for yet.")

    def next_problem(self) -> None:
        """To the next line with something wrong."""
        if not self.editor.next_mark():
            self.aura.say("Nothing is wrong with the blocks.")

    def out(self) -> bool:
        """See Place: out of the search first."""
        prompt = self.query_one(PromptLine)
        if prompt.display:
            prompt.action_cancel()
            return True
        if self.edit.edited:
            self.aura.say("Your edit is not saved; it is kept here until you come back.", "warning")
        return False

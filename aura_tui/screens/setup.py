"""The set-up as a wizard: a page at a time, each answer tried at once, nothing written before the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from aura_engine.core.text import clean
from aura_engine.doctor.findings import Finding
from aura_engine.errors import AuraError
from aura_engine.report.words import fold_ascii
from aura_engine.setup.last_pages import SAVE
from aura_engine.setup.page import Choice, Entry, shown, take
from aura_engine.setup.walk import Walk

MARKS = {"good": ("✓", "success"), "note": ("·", "text-muted"), "warning": ("!", "warning"), "problem": ("✗", "error")}
"""Level of a finding → its mark and its colour."""
EMPTY = "-"
"""Typed for a key that is to be taken out: an empty line keeps the one that is there."""


class Setup(ModalScreen[list[str] | None]):
    """Leaves with what saving said, or with None where nothing was saved."""

    CSS_PATH = "setup.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", show=False, priority=True, id="setup.back"),
        Binding("ctrl+g", "anyway", "go on anyway", show=False, priority=True, id="setup.anyway"),
        Binding("ctrl+x,ctrl+q", "leave", "leave", show=False, priority=True, id="setup.leave"),
    ]

    def __init__(self, walk: Walk, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._walk = walk
        self._ascii = ascii_only
        self._refused = False
        """The answers of this page were tried in vain."""
        self._trial: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """See Screen."""
        yield Static(id="setup-title", markup=False)
        yield VerticalScroll(id="setup-page", can_focus=False)
        yield Static(id="setup-hints", markup=False)

    async def on_mount(self) -> None:
        """See Screen."""
        await self._show()

    async def _show(self) -> None:
        """Paint the page that the walk is on."""
        walk, self._refused = self._walk, False
        number, count = walk.place
        self._say("setup-title", f"Set up Aura  {number}/{count}  {walk.page.title}")
        body = self.query_one("#setup-page", VerticalScroll)
        await body.remove_children()
        about = Static(self._text(walk.page.about(walk.draft, walk.machine)), markup=False, id="setup-about")
        if walk.page.choices is not None:
            rows = [self._options(walk.page.choices(walk.draft, walk.machine))]
        else:
            rows = [self._row(entry) for entry in walk.page.entries(walk.draft, walk.machine)]
        await body.mount(about, *rows, Static(id="setup-result", markup=False))
        self._hint()
        self.query(".answer").first().focus()

    def _options(self, choices: Sequence[Choice]) -> OptionList:
        options: list[Option] = []
        for choice in choices:
            detail = Content.styled(f"\n  {self._text(choice.detail)}", "dim") if choice.detail else Content("")
            options.append(Option(Content(self._text(choice.label)) + detail))
        found = OptionList(*options, markup=False, classes="answer", compact=True)
        values = [choice.value for choice in choices]
        chosen = self._walk.page.chosen(self._walk.draft)
        found.highlighted = values.index(chosen) if chosen in values else 0
        return found

    def _row(self, entry: Entry) -> Horizontal:
        now = self._walk.draft.of(entry.name)
        hint = entry.hint
        if entry.secret and now:
            hint = f"{shown(entry.name, now)} is kept, {EMPTY} takes it out"
        field = Input(
            "" if entry.secret else now,
            placeholder=self._text(hint),
            password=entry.secret,
            name=entry.name,
            classes="answer",
            compact=True,
        )
        return Horizontal(Label(entry.question, markup=False), field, classes="entry")

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._take(event.option_index)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        """To the next line, from the last one to the trial."""
        fields = list(self.query(Input))
        behind = fields[fields.index(event.input) + 1 :] if event.input in fields else []
        if behind:
            behind[0].focus()  # not the one behind the cursor, which has gone on already where someone types ahead
        else:
            self._take()

    @on(Input.Changed)
    def _changed(self) -> None:
        self._refused = False

    def _take(self, at: int = 0) -> None:
        """Take the answers of this page and try them."""
        walk = self._walk
        if walk.page.choices is not None:
            value = walk.page.choices(walk.draft, walk.machine)[at].value
            if walk.last:
                self._end(save=value == SAVE)
                return
            walk.page.choose(walk.draft, walk.machine, value)
        elif wrong := take(walk.page, walk.draft, self._written()):
            self._result([("✗", "error", f"That cannot be: {wrong}.")])
            return
        self._trial = self._try()

    def _written(self) -> dict[str, str]:
        """What stands in the lines; a key that was left alone is the one that is there."""
        answers: dict[str, str] = {}
        for field in self.query(Input):
            name, said = field.name or "", field.value.strip()
            if field.password and not said:
                said = self._walk.draft.of(name)
            answers[name] = "" if said == EMPTY else said
        return answers

    @work(exclusive=True, group="trial", exit_on_error=False)
    async def _try(self) -> None:
        page = self._walk.page
        findings: Sequence[Finding] = ()
        if page.trial is not None:
            self._result([("·", "text-muted", "Trying it …")])
            findings = await page.trial(self._walk.draft)
        told = [(*MARKS[each.level], f"{each.about}: {each.text}", each.cure) for each in findings]
        self._refused = any(finding.level == "problem" for finding in findings)
        if self._refused:
            self._result([(mark, tone, f"{text.rstrip('.')}. {cure}".strip()) for mark, tone, text, cure in told])
            self._hint()
            return
        await self._go_on()
        if told:
            self._result([(mark, tone, f"{text.rstrip('.')}. {cure}".strip()) for mark, tone, text, cure in told])

    async def _go_on(self) -> None:
        self._walk.forward()
        await self._show()

    async def action_anyway(self) -> None:
        """On, although the trial failed."""
        if self._refused:
            await self._go_on()

    async def action_back(self) -> None:
        """To the page before; a trial under way is given up. From the first one: leave."""
        if self._trial is not None:
            self._trial.cancel()
        if self._walk.back():
            await self._show()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Everything stays as it was."""
        self.dismiss(None)

    def _end(self, *, save: bool) -> None:
        if not save:
            self.dismiss(None)
            return
        try:
            self.dismiss(self._walk.draft.save())
        except AuraError as error:
            self._result([("✗", "error", error.line())])

    def _result(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """What the trial said, below the questions, or above those of the next page."""
        told = Content("\n").join(
            Content.styled(f"{fold_ascii(mark) if self._ascii else mark} ", f"${tone}") + Content(self._text(text))
            for mark, tone, text in rows
        )
        self.query_one("#setup-result", Static).update(told)

    def _hint(self) -> None:
        on = "ctrl+g anyway   " if self._refused else ""
        self._say("setup-hints", f"enter goes on   {on}esc back   ctrl+x leaves it all as it was")

    def _say(self, id: str, text: str) -> None:
        self.query_one(f"#{id}", Static).update(self._text(text))

    def _text(self, text: str) -> str:
        return clean(fold_ascii(text) if self._ascii else text)

"""The set-up as lines on a terminal: a question, an answer, whatever the line. No cursor keys, no colours."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import sys
import textwrap
from collections.abc import Sequence

from aura_engine.cli.doctor import line
from aura_engine.core.text import clean, one_line
from aura_engine.report.words import fold_ascii
from aura_engine.setup.last_pages import SAVE
from aura_engine.setup.page import Choice, Page, shown, take
from aura_engine.setup.walk import Walk

HELP = "Enter takes what stands in [ ], - empties it, < goes back, Ctrl-C leaves and changes nothing."
BACK, EMPTY = "<", "-"


class Back(Exception):
    """The person wants the page before."""


class Form:
    """Asks a walk's pages one by one."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._plain = "utf" not in (sys.stdout.encoding or "").lower()

    def ask(self) -> list[str] | None:
        """To the end: what `Draft.save` said; None where the person left. KeyboardInterrupt, EOFError, ConfigError."""
        self._say(HELP)
        walk = self._walk
        while True:
            page = walk.page
            number, count = walk.place
            self._say(f"\n[{number}/{count}] {page.title}")
            self._say(page.about(walk.draft, walk.machine), indent="  ")
            try:
                if page.choices is not None:
                    value = self._choice(page, page.choices(walk.draft, walk.machine))
                    if walk.last:
                        return walk.draft.save() if value == SAVE else None
                    page.choose(walk.draft, walk.machine, value)
                elif not self._entries(page):
                    continue
            except Back:
                walk.back()
                continue
            if self._passed(page):
                walk.forward()

    def _choice(self, page: Page, choices: Sequence[Choice]) -> str:
        chosen = page.chosen(self._walk.draft)
        default = next((at for at, choice in enumerate(choices, 1) if choice.value == chosen), 1)
        width = len(str(len(choices)))
        for at, choice in enumerate(choices, 1):
            detail = f" ({choice.detail})" if choice.detail else ""
            self._say(f"{at:>{width + 2}}  {choice.label}{detail}", indent=" " * (width + 4), first="")
        while True:
            said = self._line(f"Which [{default}]: ")
            if not said:
                return choices[default - 1].value
            if said.isdecimal() and 1 <= int(said) <= len(choices):
                return choices[int(said) - 1].value
            self._say(f"Give a number from 1 to {len(choices)}.", indent="  ")

    def _entries(self, page: Page) -> bool:
        """Ask for each; False when an answer cannot be taken."""
        draft = self._walk.draft
        answers: dict[str, str] = {}
        for entry in page.entries(draft, self._walk.machine):
            now = draft.of(entry.name)
            hint = f" ({entry.hint})" if entry.hint else ""
            said = self._line(f"  {entry.question}{hint} [{one_line(shown(entry.name, now), 60)}]: ", entry.secret)
            answers[entry.name] = "" if said == EMPTY else said or now
        if wrong := take(page, draft, answers):
            self._say(f"That cannot be: {wrong}.", indent="  ")
        return not wrong

    def _passed(self, page: Page) -> bool:
        """Try the answers; whether to go on."""
        if page.trial is None:
            return True
        print("  Trying it …" if not self._plain else "  Trying it ...", flush=True)
        findings = asyncio.run(page.trial(self._walk.draft))
        for finding in findings:
            print(line(finding), flush=True)
        if all(finding.level != "problem" for finding in findings):
            return True
        return self._line("Enter asks again, g goes on anyway: ").lower() in ("g", "go")

    def _line(self, prompt: str, secret: bool = False) -> str:
        """One line. Back when the person wants to go back; KeyboardInterrupt, EOFError."""
        prompt = fold_ascii(prompt) if self._plain else prompt
        while True:
            said = (getpass.getpass(prompt) if secret else input(prompt)).strip()
            if said.isprintable():
                break
            # An arrow key, most likely. What is left of it without its control characters is nothing that was meant.
            self._say("That holds an arrow key or the like: type the answer and press Enter.", indent="  ")
        if said == BACK:
            raise Back
        return clean(said)

    def _say(self, text: str, *, indent: str = "", first: str | None = None) -> None:
        width = max(40, shutil.get_terminal_size().columns)
        begin = indent if first is None else first
        for each in clean(fold_ascii(text) if self._plain else text).split("\n"):
            print(
                textwrap.fill(
                    each,
                    width,
                    initial_indent=begin,
                    subsequent_indent=indent or "  ",
                    break_on_hyphens=False,
                    break_long_words=False,
                )
            )

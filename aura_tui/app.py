"""The application: themes, keys, places, and word of what came in. What it shows and does lives elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import locale
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.filter import Monochrome, NoColor
from textual.screen import Screen

from aura_engine import garbage
from aura_engine.control.link import Link
from aura_engine.core.model import RunStatus
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError
from aura_tui import theming
from aura_tui.actions import action_of, available, bindings, bound
from aura_tui.base import START_UP, BaseApp, Options
from aura_tui.bridge import Bridge
from aura_tui.places import PLACES
from aura_tui.screens.place import Place
from aura_tui.screens.table import make_place
from aura_tui.steering import Steering

if TYPE_CHECKING:
    from textual.timer import Timer

_BELOW = {"detail": [name for name in PLACES if name != "detail"]}
"""Places that a place is opened above, beside the dashboard; all others it takes the place of."""
THEME_LOOK = 2.0
"""Seconds between two looks at the person's theme files."""


class AuraApp(BaseApp):
    """Returns `background` when the run is to go on without it, "" otherwise."""

    TITLE = "aura"
    CSS_PATH = "aura.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(),
        bound("app.back", "out"),
    ]

    def __init__(self, link: Link, options: Options | None = None) -> None:
        options = options or Options()
        super().__init__(
            link, options, ascii_only=ascii_terminal() if options.ascii_only is None else options.ascii_only
        )
        self.bridge = Bridge(self, link, self.facts_came)
        self.steering = Steering(self, self.bridge)
        self._theme_stamp = theming.stamp(self.options.themes)
        self._needs_you = ""
        self._ticker: Timer | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._told_to_leave = False
        self.set_class(self.ascii_only, "-ascii")
        self._load_themes()
        self.theme = self._first_theme()

    def on_mount(self) -> None:
        """See App."""
        self._own_loop = asyncio.get_running_loop()
        if self._told_to_leave:
            self.leave()
        ids = {action.id for action in available()}
        unknown = [one_line(key, 40) for key in self.keys if key not in ids]
        if unknown:
            self.say(f"Unknown actions in the keymap: {', '.join(unknown)}.", "warning")
        self.set_keymap({id: key for id, key in self.keys.items() if id in ids})
        self.push_screen(make_place("dashboard"))
        self.set_timer(START_UP, garbage.begin)
        self._ticker = self.set_interval(1.0, self._tick)
        self.set_interval(THEME_LOOK, self._look_at_themes)
        self._pump()

    @work(exclusive=True, group="bridge", exit_on_error=False)
    async def _pump(self) -> None:
        await self.bridge.pump()

    @property
    def place(self) -> Place | None:
        """The topmost place that can be painted, below any dialog; None while there is none, or none any more."""
        if not self.is_running:
            return None
        return next(
            (screen for screen in reversed(self.screen_stack) if isinstance(screen, Place) and screen.is_mounted), None
        )

    def facts_came(self) -> None:
        """The model has taken facts in: show them."""
        if self.leaves_at_end and self.model.state.status is not RunStatus.RUNNING:
            self.leave()
            return
        place = self.place
        if place is not None:
            place.frame()
        while self.model.notices:
            said = self.model.notices.popleft()
            self.say(said.text, "warning")
            if self.options.bell:
                self.bell()
        self._show_title()

    @property
    def broken(self) -> Exception | None:
        """What ended the screen that should not have."""
        return self._exception

    def _fatal_error(self) -> None:
        # Textual's own paints a traceback with all local variables, which may hold anything.
        self._close_messages_no_wait()

    def leave_soon(self) -> None:
        """The same from a signal's handler or another thread; at once if it has not come up yet."""
        self._told_to_leave = True
        if self._own_loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._own_loop.call_soon_threadsafe(self.leave)

    @on(BaseApp.Do)
    def _asked(self, message: BaseApp.Do) -> None:
        self.action_do(message.id)

    def action_do(self, id: str) -> None:
        """Do what the row of the table of actions says: all keys, hints and palette entries end here."""
        action = action_of(id)
        place = self.place
        task = place.chosen if place else ""
        if action.place:
            self.go(action.place)
        elif self.steering.knows(id):
            self._steer(id, task)
        elif id.startswith("app."):
            self._own(id)
        elif place is not None:
            place.view(id)

    async def action_quit(self) -> None:
        """Textual's own way out (ctrl+q), which asks nobody: here it is ours."""
        self.action_help_quit()

    def action_help_quit(self) -> None:
        """Textual's answer to ctrl+c: the same."""
        if isinstance(self.screen, Place):  # else a dialog asks already
            self.action_do("app.quit")

    def go(self, name: str) -> None:
        """Open a place, or come back from it when it is open already."""
        if isinstance(self.screen, Place) and self.screen.place_name == name:
            self.pop_screen()
        elif name in PLACES:
            # A place takes the place of another one; a task's detail lies above the place that it was opened from.
            while isinstance(self.screen, Place) and self.screen.place_name not in ("dashboard", *_BELOW.get(name, ())):
                self.pop_screen()
            self.push_screen(make_place(name))

    def action_out(self) -> None:
        """Out of what is open in a place, or back to the place below."""
        if isinstance(self.screen, Place) and not self.screen.out():
            self.pop_screen()

    @work(exclusive=True, group="steering", exit_on_error=False)
    async def _steer(self, id: str, task: str) -> None:
        await self.steering.do(id, task)

    def _own(self, id: str) -> None:
        match id:
            case "app.theme":
                self._choose_theme()
            case "app.setup":
                self._set_up()
            case "app.help":
                from aura_tui.screens.help import Help

                self.push_screen(Help(self.keys))
            case "app.palette":
                self.action_command_palette()
            case "app.back":
                self.action_out()
            case _:
                raise KeyError(id)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """See App: the palette's entries, from the table of actions."""
        place = self.place.place_name if self.place else ""
        for action in available():
            if (action.everywhere and action.id != "app.palette") or action.group == place:
                yield SystemCommand(action.label.capitalize(), action.help, lambda id=action.id: self.action_do(id))
        yield SystemCommand("Screenshot", "Save this screen as a picture (SVG)", self.deliver_screenshot)

    @work(exclusive=True, group="steering", exit_on_error=False)
    async def _choose_theme(self) -> None:
        from aura_tui.screens.dialogs import Choice, Choose

        before = self.theme
        names = [name for name in self._loaded.themes if name in self.available_themes]

        def preview(name: str) -> None:
            self.theme = name

        choices = [Choice(name, name, "yours" if self._is_own(name) else "") for name in names]
        chosen = await self.push_screen_wait(Choose("Colours", choices, chosen=before, preview=preview))
        self.theme = chosen or before

    @work(exclusive=True, group="steering", exit_on_error=False)
    async def _set_up(self) -> None:
        from aura_tui.screens.setup import Setup
        from aura_tui.setting_up import here

        try:
            walk = await here(self.options.config)
        except AuraError as error:
            self.say(error.line(), "error")
            return
        notes = await self.push_screen_wait(Setup(walk, ascii_only=self.ascii_only))
        if notes is not None:
            self.say(" ".join([f"Saved in {walk.draft.place.file}; the next start takes it up.", *notes]))

    def _is_own(self, name: str) -> bool:
        return self._loaded.paths[name].parent == self.options.themes

    def _tick(self) -> None:
        place = self.place
        if place is not None:
            place.tick()
        self._show_title()

    def _look_at_themes(self) -> None:
        stamp = theming.stamp(self.options.themes)
        if stamp != self._theme_stamp:
            self._theme_stamp = stamp
            self._load_themes()
            if self.theme in self._loaded.themes:
                self._watch_theme(self.theme)

    def _load_themes(self) -> None:
        self._loaded = theming.load([theming.OURS, self.options.themes])
        for theme in self._loaded.themes.values():
            self.register_theme(theme)
        for problem in self._loaded.problems:
            self.call_later(self.say, f"Theme left out: {problem}", "warning")

    def _first_theme(self) -> str:
        """The person's, ours, or the plainest where there are no more than sixteen colours."""
        if self.no_color:
            self._filters = [NoColor() if isinstance(each, Monochrome) else each for each in self._filters]
            return theming.PLAINEST
        wanted = self.options.theme
        if wanted and wanted in self.available_themes:
            return wanted
        if wanted:
            self.call_later(self.say, f"There is no theme “{wanted}”.", "warning")
        few = self.console.color_system in (None, "standard", "windows")
        return theming.PLAINEST if few else theming.DEFAULT

    def _show_title(self) -> None:
        """Name the run, and whether it needs somebody, in the terminal's own title."""
        figures = self.model.figures(0.0, {})
        title = f"{'? ' if figures.needs_you else ''}aura {figures.goal}: {figures.state}"
        if title != self._needs_you and self._driver is not None and not self.is_headless:
            self._needs_you = title
            self._driver.write(f"\x1b]0;{one_line(title, 80)}\x07")


def ascii_terminal() -> bool:
    """Whether this terminal has none but ASCII characters, as far as its settings tell."""
    encoding = locale.getpreferredencoding(False).lower().replace("-", "")
    return encoding not in ("utf8", "utf16", "utf32") or os.environ.get("TERM", "") in ("linux", "vt100", "vt220")

"""The way through the pages: the same for the terminal and for the screen."""

from __future__ import annotations

from aura_engine.setup.draft import Draft
from aura_engine.setup.last_pages import DOCKER, FINISH, GPU
from aura_engine.setup.machine import Machine
from aura_engine.setup.page import Page
from aura_engine.setup.planner_pages import OLDER, PLANNER, SERVICE
from aura_engine.setup.worker_pages import MODE, ROLES, WORKERS

PAGES = (OLDER, SERVICE, PLANNER, WORKERS, MODE, *ROLES, DOCKER, GPU, FINISH)


class Walk:
    """Which page one is on. Pages that have nothing to ask, after what was answered so far, are passed over."""

    def __init__(self, draft: Draft, machine: Machine) -> None:
        self.draft = draft
        self.machine = machine
        self._at = -1
        self.forward()

    @property
    def page(self) -> Page:
        """The page to show."""
        return PAGES[self._at]

    @property
    def last(self) -> bool:
        """Whether this is the end of the way."""
        return self.page is FINISH

    @property
    def place(self) -> tuple[int, int]:
        """Its number from 1, and how many there are as things stand."""
        wanted = [page for page in PAGES if page is self.page or page.wanted(self.draft, self.machine)]
        return wanted.index(self.page) + 1, len(wanted)

    def forward(self) -> None:
        """To the next page; the last one has none."""
        self._go(range(self._at + 1, len(PAGES)))

    def back(self) -> bool:
        """To the page before; False on the first one."""
        return self._go(range(self._at - 1, -1, -1))

    def _go(self, where: range) -> bool:
        found = next((at for at in where if PAGES[at].wanted(self.draft, self.machine)), None)
        if found is not None:
            self._at = found
        return found is not None

"""Between the screen and the engine: facts come in, commands go out. The only file that waits for the link."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from aura_engine.control.link import Batch, Link
from aura_engine.core.commands import Command
from aura_engine.core.model import RunStatus
from aura_engine.core.state import RunState
from aura_engine.errors import AuraError
from aura_tui.base import BaseApp

log = logging.getLogger(__name__)
SLICE = 256
"""Facts folded at a time: about 5 ms."""
COMMAND_LIMIT = 10.0
"""Seconds that a command may take to be accepted or refused."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before a link that broke is tried again."""


class Bridge:
    """Feeds the model and tells the application."""

    def __init__(self, app: BaseApp, link: Link, facts_came: Callable[[], None]) -> None:
        self._app = app
        self._link = link
        self._facts_came = facts_came
        """The model has taken facts in, or the engine has said its last word."""
        self._since = time.time()

    async def pump(self) -> None:
        """Take facts in until the link says that there are no more. Runs as a worker of the application."""
        pause, told = FIRST_PAUSE, False
        while True:
            try:
                async for batch in self._link.events(self._app.model.seq):
                    pause, told = FIRST_PAUSE, False
                    await self._take(batch)
                self._facts_came()
                return
            except (OSError, AuraError) as error:
                log.info("the link broke: %s", error)
                if not told:  # once per outage, however long it takes
                    self._app.say(f"The connection to the engine broke ({error}); trying again.", "warning")
                told = True
            except (ValueError, KeyError, IndexError):
                log.exception("a fact does not fit what came before")
                self._app.say("This screen cannot follow the run any more: start it again.", "error")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def send(self, command: Command) -> str:
        """Ask the engine for something: "" when it was accepted, else why not."""
        if self._link.read_only:
            return _why_not(self._app.model.state)
        try:
            async with asyncio.timeout(COMMAND_LIMIT):
                return await self._link.command(command)
        except TimeoutError:
            return f"the engine did not answer within {COMMAND_LIMIT:.0f} s"
        except AuraError as error:
            return error.line().rstrip(".")
        except OSError as error:
            return f"the engine cannot be reached: {error.strerror or error}"

    async def _take(self, batch: Batch) -> None:
        model = self._app.model
        for start in range(0, len(batch), SLICE):
            part = batch[start : start + SLICE]
            # What happened before this screen was opened is history: it raises no notices.
            model.take(part, live=part[-1].time >= self._since)
            if start + SLICE < len(batch):
                await asyncio.sleep(0)
        self._facts_came()


def _why_not(state: RunState) -> str:
    """Why this screen only looks on."""
    if state.status is RunStatus.RUNNING:
        return "this screen only looks on: another one steers the run"
    return "the run has ended. The shell's aura retry and aura answer are noted for its next start"

"""An engine on a thread of its own, beside a view that may be slow, stuck or gone.

SIGHUP, SIGTERM and SIGINT are taken with `signal.signal`: that also runs while the view's loop is blocked. The handler
never raises; it tells the engine first, then the view, which gets a moment to leave (one that stays to the end gets it
then) and is abandoned after that: then the process ends with the run, whatever the view hangs in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import threading
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any

from aura_engine.control.local import LocalLink
from aura_engine.core.model import RunStatus
from aura_engine.engine import Engine
from aura_engine.hosting import Hosted, serving

log = logging.getLogger(__name__)

LEAVE = 2.0
"""Seconds that a view has to leave when it is told to."""
_LONG = 3600.0
"""Seconds: a wait without any limit cannot be interrupted by a signal everywhere."""

Play = Callable[[Callable[[], None]], Coroutine[Any, Any, RunStatus]]


class EngineThread:
    """Runs an engine on a thread with its own loop, reachable through its socket and through `link`.

    `play` runs it with what belongs to it, and has the engine's `on_open` call what it is given. `exit_status` makes
    the process's of the run's, for the case that a view was abandoned. `drains`:
    SIGTERM has the engine end once what runs has landed; else its workers are left to the next start.
    """

    def __init__(
        self,
        engine: Engine,
        play: Play | None = None,
        *,
        exit_status: Callable[[RunStatus], int] = lambda _: 1,
        drains: bool = False,
    ) -> None:
        self._engine = engine
        self._play = play or self._plainly
        self._exit_status = exit_status
        self._drains = drains
        # No daemon: whatever becomes of the view, the interpreter waits for the engine.
        self._thread = threading.Thread(target=self._main, name="engine")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: LocalLink | None = None
        self._opened = threading.Event()
        self._status: RunStatus | None = None
        self._error: BaseException | None = None
        self._stopped = self._draining = False
        """What was asked, also before there was a loop to ask on."""
        self._told = threading.Event()
        """The view was told to leave."""
        self._hung_up = False
        self._left = threading.Event()
        """The view has left."""
        self._over = threading.Event()
        """The engine has ended."""

    @property
    def link(self) -> LocalLink:
        """For the view; there once `wait_open` has returned True."""
        assert self._link is not None
        return self._link

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait_open(self) -> bool:
        """Wait until the journal is open; False when it ended before: `join` says why."""
        while not self._opened.wait(_LONG):
            continue
        return self._link is not None

    def stop(self) -> None:
        """Stop the engine now, from any thread; its workers go on. Harmless when it has ended."""
        self._stopped = True
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(self._engine.interrupt)

    def drain(self) -> None:
        """Have the engine start nothing new and end once what runs has landed; from any thread."""
        self._draining = True
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._engine.drain)

    def join(self) -> RunStatus:
        """Wait for the end: the status, or the run's error."""
        while self._thread.is_alive():
            self._thread.join(_LONG)
        if self._error is not None:
            raise self._error
        assert self._status is not None
        return self._status

    # ---- on its thread

    async def _plainly(self, opened: Callable[[], None]) -> RunStatus:
        self._engine.on_open = opened
        return await self._engine.run()

    def _on_open(self) -> None:
        host = Hosted(self._engine)
        self._link = LocalLink(host)
        self._engine.beside.append(lambda: serving(self._engine, host))
        self._opened.set()

    def _main(self) -> None:
        try:
            self._status = asyncio.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._opened.set()
            self._over.set()

    async def _run(self) -> RunStatus:
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            self._engine.interrupt()
        elif self._draining:
            self._engine.drain()
        try:
            return await self._play(self._on_open)
        finally:
            if self._link is not None:
                self._link.close()

    # ---- the view, on the main thread

    def run_beside(
        self, view: Callable[[LocalLink], None], leave: Callable[[], None], *, stays: bool = False
    ) -> RunStatus:
        """Start, show `view` until it returns, then wait for the end of the run: its status, or its error.

        Call it on the main thread. `view` ends when the run has; `leave` makes it end before, and is called from a
        signal's handler: it must only tell, never wait or raise. `stays`: a signal that stops the run has the view
        tell the end too, and only a hang-up makes it leave.
        """
        watcher = threading.Thread(target=self._see_off, args=(stays,), name="see off", daemon=True)
        watcher.start()
        with self._signals(leave, stays=stays):
            self.start()
            if self.wait_open() and (stays or not self._told.is_set()) and not self._hung_up:
                try:
                    view(self.link)
                except Exception:
                    log.exception("the view broke; the run goes on")
            self._left.set()
            return self.join()

    @contextlib.contextmanager
    def _signals(self, leave: Callable[[], None], *, stays: bool) -> Generator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            drains = number == signal.SIGTERM and self._drains
            if drains and not self._draining:  # whoever asks again is in a hurry
                self.drain()
                return
            self.stop()
            if not stays:
                leave()
            self._told.set()

        def hang_up(number: int, frame: FrameType | None) -> None:
            self._hung_up = True
            leave()
            self._told.set()

        wanted = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: hang_up}
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _see_off(self, stays: bool) -> None:
        """Once the view is told to leave: what happens when it does not, and when its terminal is gone."""
        self._told.wait()
        while stays and not self._hung_up and not self._over.wait(LEAVE):
            continue
        left = self._left.wait(LEAVE)
        if self._hung_up:
            _forget_terminal()
        if not left:
            log.warning("the view did not leave; the engine goes on without it")
            self._thread.join()
            self._end_process()

    def _end_process(self) -> None:
        """The journal is closed, and the main thread hangs in a terminal that takes nothing."""
        if self._error is not None:
            log.error("the run ended by an error", exc_info=self._error)
        logging.shutdown()
        os._exit(1 if self._status is None else self._exit_status(self._status))


def _forget_terminal() -> None:
    """A stray word to a terminal that is gone would be an error."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (0, 1, 2):
        try:
            kind = os.fstat(descriptor).st_mode
        except OSError:
            kind = stat.S_IFCHR
        if stat.S_ISCHR(kind):  # a file or a pipe is no terminal: it lives on
            os.dup2(null, descriptor)
    os.close(null)

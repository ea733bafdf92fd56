"""The engine's side of the nursery: a process that forks the shims for it, ten times as fast as Python starts.

What it forks is the engine's own child, and outlives both. It ends with the engine: its standard input is a socket that
the engine alone holds the other end of.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

from aura_engine.runtimes import shim
from aura_engine.runtimes.scripts import script

LIMIT = 15.0
"""Seconds that a fork may take; a machine under heavy load needs a few."""
TITLE = "aura-nursery"
ROOM = 512
"""Bytes that a shim has for the words that the process list shows of it."""
_ANSWER = 64


class Nursery:
    """It comes up for the second shim: one alone is had cheaper.

    Once it is gone, or has failed to fork, it is not asked again: shims are started one by one then.
    """

    def __init__(self) -> None:
        self._usable = shim.LINUX
        self._pid = 0
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tickets = itertools.count(1)
        self._asked: dict[int, asyncio.Future[int]] = {}

    async def shim(self, spec: str, name: str) -> int:
        """The pid of a new shim for `spec`, an absolute path; 0 when there is none and certainly none will come.

        TimeoutError after twice LIMIT seconds: one may still come.
        """
        ticket = next(self._tickets)
        if ticket == 1 or not self._usable:
            return 0
        born = self._asked[ticket] = asyncio.get_running_loop().create_future()
        try:
            way = self._socket or self._open()
            way.send(b"\0".join((b"%d" % ticket, os.fsencode(spec), os.fsencode(name))))
            await asyncio.wait({born}, timeout=LIMIT)
            if not born.done():  # It is stuck. A shim that it has forked answers still; without one the socket ends.
                self._stop()
                await asyncio.wait({born}, timeout=LIMIT)
        except OSError:  # no process to be had, or it is gone
            self._stop()
            return 0
        finally:
            del self._asked[ticket]
        if not born.done():
            raise TimeoutError
        return born.result()

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            actions = [
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                *((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)),
            ]
            argv = [sys.executable, "-I", "-S", script(shim), "-", TITLE.ljust(ROOM)]
            try:
                self._pid = os.posix_spawn(sys.executable, argv, shim.ENV, file_actions=actions, setsid=True)
            except OSError:
                ours.close()
                raise
        self._socket, self._loop = ours, asyncio.get_running_loop()
        self._loop.add_reader(ours, self._hear, ours)
        return ours

    def _hear(self, way: socket.socket) -> None:
        try:
            said = way.recv(_ANSWER)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self.close()
            return
        ticket, pid = map(int, said.split())
        self._usable = self._usable and pid > 0
        born = self._asked.get(ticket)
        if born is not None and not born.done():
            born.set_result(pid)

    def _stop(self) -> None:
        self._usable = False
        if self._pid:
            pid, self._pid = self._pid, 0
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # our own child, not yet waited for: the pid is still its
            with suppress(RuntimeError):  # no thread to be had: then the system keeps it until we end
                # Stuck in the kernel, it takes its time to end.
                threading.Thread(target=_reap, args=(pid,), name="nursery", daemon=True).start()

    def close(self) -> None:
        """Ends it; shims go on. Safe to call again."""
        self._stop()
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for born in self._asked.values():
            if not born.done():
                born.set_result(0)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)

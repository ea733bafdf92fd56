"""Follows a worker's output file: new bytes in chunks, into the parser, and its signals on.

On Linux inotify says when the worker has written: nothing wakes up while it is silent, and its last word is heard at
once. Elsewhere, or where inotify has run out, the file's size is looked at, each time after a longer pause.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from aura_engine.core.model import Signal
from aura_engine.workers import notices
from aura_engine.workers.base import StreamParser

CHUNK = 1 << 16
"""Bytes read at a time: about 2 ms of parsing."""
BACKLOG = 256 << 20
"""Bytes behind which what lies between is skipped: a worker that pads its output must not hold up the engine."""
KEPT = 4 << 20
"""Bytes at the end that are read after such a jump."""
COALESCE = 0.05
"""Seconds between two looks at a busy file."""
FALLBACK = 30.0
"""Seconds after which a silent file is looked at all the same: some file systems don't notify."""
QUICKEST, SLOWEST = 0.2, 2.0


class Tail:
    """One output file. On the loop, `on_signals` is called with the signals of each chunk that has any, `on_reply`
    with each line that the worker waits for (see StreamParser.replies)."""

    def __init__(
        self,
        path: Path,
        parser: StreamParser,
        on_signals: Callable[[list[Signal]], None],
        on_reply: Callable[[str], None] | None = None,
    ) -> None:
        self._path = path
        self._parser = parser
        self._on_signals = on_signals
        self._on_reply = on_reply
        self.offset = 0
        """Bytes dealt with."""

    async def follow(self) -> None:
        """Reads on until cancelled."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        watch = notices.watch(self._path, news.set)
        pause = QUICKEST
        try:
            while True:
                news.clear()
                read = await self._read_on()
                again = loop.time() + COALESCE
                if watch is None:
                    pause = QUICKEST if read else min(pause * 1.5, SLOWEST)
                    await asyncio.sleep(max(pause, COALESCE))
                    continue
                fallback = loop.call_later(FALLBACK, news.set)
                try:
                    await news.wait()
                finally:
                    fallback.cancel()
                if (left := again - loop.time()) > 0:
                    await asyncio.sleep(left)
        finally:
            if watch is not None:
                watch.close()

    async def drain(self) -> None:
        """Reads what is left once the worker has ended, its last half line too."""
        await self._read_on()
        self._tell(self._parser.close())

    async def _read_on(self) -> int:
        """Reads to the end of the file as it is now; the number of bytes read."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return 0
        total = 0
        try:
            end = os.fstat(fd).st_size
            if end - self.offset > BACKLOG:
                self.offset = end - KEPT
            self.offset = min(self.offset, end)  # the worker can truncate what its stdout goes to
            while self.offset < end and (chunk := os.pread(fd, min(CHUNK, end - self.offset), self.offset)):
                self.offset += len(chunk)
                total += len(chunk)
                self._tell(self._parser.feed(chunk))
                if self.offset < end:
                    await asyncio.sleep(0)
        finally:
            os.close(fd)
        return total

    def _tell(self, signals: list[Signal]) -> None:
        if self._on_reply is not None:
            for line in self._parser.replies():
                self._on_reply(line)
        if signals:
            self._on_signals(signals)

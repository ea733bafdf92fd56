"""One output file by lines: a sparse index of where lines begin, and the lines of a range.

The index has one entry per 64 KiB at most and is thinned out when it grows large, so that memory depends neither on the
length of the file nor on that of its lines. Everything here blocks on the disk: never call it on the screen's loop.
"""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CHUNK = 1 << 16
"""Bytes read at a time, and the distance between two entries of the index."""
ENTRIES = 1 << 15
"""Entries of the index; beyond, every second one goes and the distance doubles."""
LINE_CAP = 1 << 18
"""Bytes of one line that are read."""
MARKS = 512
"""Moments of arrival that are remembered."""


class Line(NamedTuple):
    """A line without its newline, cut at LINE_CAP; `size` is its whole length in bytes."""

    number: int
    data: bytes
    size: int


class LogFile:
    """The file at `path`, which may not be there yet, grow, be cut or be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error = ""
        """Why it cannot be read, in a sentence; "" when it can or is not there yet."""
        self.generation = 0
        """Counts the times it was cut or replaced: line numbers of before mean nothing after."""
        self._fd = -1
        self._identity: tuple[int, int] = (0, 0)
        self._reset()

    @property
    def total(self) -> int:
        """Lines indexed so far, a last one without newline included."""
        return self._newlines + (1 if self._open_line else 0)

    @property
    def complete(self) -> int:
        """Lines indexed so far that have their newline."""
        return self._newlines

    @property
    def behind(self) -> int:
        """Bytes that are not indexed yet."""
        return max(0, self._size - self._indexed)

    @contextmanager
    def opened(self) -> Generator[bool, None, None]:
        """Open for one page's reading; False when there is nothing to read. No descriptor is held in between."""
        try:
            yield self._open()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def index(self, now: float, limit: int = 64 * CHUNK) -> int:
        """Index at most `limit` bytes of what is new; the number of bytes taken in. `now` (wall time) marks arrival.

        This and `lines` read nothing unless the file is `opened`.
        """
        before, first = self._indexed, self._newlines == 0 and self._indexed == 0
        end = min(self._size, before + limit)
        while self._indexed < end:
            chunk = self._pread(min(CHUNK, end - self._indexed), self._indexed)
            if not chunk:
                break
            self._take(chunk)
        if self._indexed > before and not first:
            self._mark(now)
        return self._indexed - before

    def arrival(self, number: int) -> float | None:
        """Wall time at which a line was first seen here; None for what was there before."""
        at = bisect_right(self._mark_lines, number)
        return self._mark_times[at] if at < len(self._mark_lines) else None

    def lines(self, start: int, stop: int) -> Iterator[Line]:
        """Lines `start` to `stop` (counted from 0, the end left out) as far as they are indexed."""
        start, stop = max(0, start), min(stop, self.total)
        if start >= stop:
            return
        at = bisect_right(self._lines, start) - 1
        number, offset = self._lines[at], self._offsets[at]
        kept, size = bytearray(), 0
        while number < stop and offset < self._indexed:
            chunk = self._pread(min(CHUNK, self._indexed - offset), offset)
            if not chunk:
                return
            offset += len(chunk)
            begin = 0
            while number < stop and (end := chunk.find(b"\n", begin)) >= 0:
                if number >= start:
                    kept += chunk[begin : min(end, begin + LINE_CAP - len(kept))]
                    yield Line(number, bytes(kept), size + end - begin)
                kept.clear()
                size, begin, number = 0, end + 1, number + 1
            if number >= start:
                kept += chunk[begin : begin + LINE_CAP - len(kept)]
            size += len(chunk) - begin
        if number < stop and number >= start and size:
            yield Line(number, bytes(kept), size)

    def _reset(self) -> None:
        self._indexed = self._size = self._newlines = 0
        self._open_line = False
        self._distance = CHUNK
        self._lines, self._offsets = array("Q", [0]), array("Q", [0])
        self._mark_lines: list[int] = []
        self._mark_times: list[float] = []

    def _open(self) -> bool:
        try:
            # No link, and non-blocking, for it may be a FIFO by now: opening one would wait for a writer.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            seen = os.fstat(self._fd)
            if not stat.S_ISREG(seen.st_mode):
                raise OSError(0, "it is not a plain file")
        except FileNotFoundError:
            self.error = ""
            return False
        except OSError as error:
            self.error = f"The output cannot be read: {error.strerror or error}."
            return False
        identity = (seen.st_ino, seen.st_dev)
        if self._indexed and (identity != self._identity or seen.st_size < self._indexed):
            self._reset()
            self.generation += 1
        self._identity, self._size, self.error = identity, seen.st_size, ""
        return True

    def _pread(self, count: int, offset: int) -> bytes:
        if self._fd < 0:
            return b""
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            self.error = f"The output cannot be read: {error.strerror or error}."
            return b""

    def _take(self, chunk: bytes) -> None:
        found = chunk.count(b"\n")
        if found:
            first = self._indexed + chunk.find(b"\n") + 1
            if first - self._offsets[-1] >= self._distance:
                self._lines.append(self._newlines + 1)
                self._offsets.append(first)
                if len(self._lines) > ENTRIES:
                    self._lines, self._offsets = self._lines[::2], self._offsets[::2]
                    self._distance *= 2
        self._newlines += found
        self._indexed += len(chunk)
        self._open_line = not chunk.endswith(b"\n")

    def _mark(self, now: float) -> None:
        self._mark_lines.append(self._newlines)
        self._mark_times.append(now)
        if len(self._mark_lines) > MARKS:
            # The recent ones stay exact, the old ones grow coarse.
            half = MARKS // 2
            self._mark_lines[:half] = self._mark_lines[1:half:2]
            self._mark_times[:half] = self._mark_times[1:half:2]

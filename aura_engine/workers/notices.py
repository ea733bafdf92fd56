"""inotify for the output files of all workers on one descriptor: one to poll, and none to close when a worker ends."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

ROOM = 1 << 14
"""Bytes read at a time: some 1,000 notices. What does not fit wakes the loop again."""
_IN_MODIFY = 2
_HEAD = struct.Struct("iIII")

Call = Callable[[], object]


class Notice:
    """One watched file; `close` it in the end."""

    def __init__(self, notices: _Notices, number: int, call: Call) -> None:
        self._notices = notices
        self.number = number
        self.call = call

    def close(self) -> None:
        """Nothing more is told of it."""
        self._notices.forget(self)


class _Notices:
    """The descriptor of the loop it is used on, which it does not hold; open as long as anything is watched."""

    def __init__(self) -> None:
        self._fd = -1
        self._watched: dict[int, list[Notice]] = {}
        """By the number of the watch; the kernel gives the same to the same file and none a second time."""

    def watch(self, path: Path, call: Call) -> Notice | None:
        """None where the system has no more to give, or the file is not there."""
        if self._fd < 0 and not self._open():
            return None
        number = int(_libc().inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY))
        if number < 0:
            self._rest()
            return None
        notice = Notice(self, number, call)
        self._watched.setdefault(number, []).append(notice)
        return notice

    def forget(self, notice: Notice) -> None:
        """See Notice.close."""
        others = self._watched.get(notice.number, [])
        if notice not in others:
            return
        others.remove(notice)
        if not others:
            del self._watched[notice.number]
            _libc().inotify_rm_watch(self._fd, notice.number)  # refused where the file is gone, and the watch with it
            self._rest()

    def _open(self) -> bool:
        self._fd = int(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._hear)
        return self._fd >= 0

    def _rest(self) -> None:
        if self._watched:
            return
        fd, self._fd = self._fd, -1
        loop = asyncio.get_running_loop()
        loop.remove_reader(fd)
        # The kernel takes 10 to 30 ms over this, waiting for its own readers: not on the loop.
        loop.run_in_executor(None, os.close, fd)

    def _hear(self) -> None:
        told = os.read(self._fd, ROOM)
        numbers: set[int] = set()
        at = 0
        while at < len(told):
            number, _, _, length = _HEAD.unpack_from(told, at)
            numbers.add(number)
            at += _HEAD.size + length
        if -1 in numbers:  # more than the kernel could keep: anything may have been written
            numbers = set(self._watched)
        for number in numbers:
            for notice in self._watched.get(number, []):
                notice.call()


_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, _Notices] = WeakKeyDictionary()


def watch(path: Path, call: Call) -> Notice | None:
    """Have `call` called on the running loop whenever the file has been written to. It must be quick.

    None off Linux, or where there is no inotify to be had: the file has to be looked at.
    """
    if sys.platform != "linux":
        return None
    return _OF_LOOP.setdefault(asyncio.get_running_loop(), _Notices()).watch(path, call)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)

"""Small files read lately: what has just landed goes into the next folders, one after the other."""

from __future__ import annotations

import threading
from collections import OrderedDict

MOST = 8 * 1024 * 1024
"""Bytes in all."""
EACH = 64 * 1024


class Lately:
    """The bytes of objects by id, the oldest going first where they become too many. Thread-safe."""

    def __init__(self) -> None:
        self.size = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, oid: str) -> bytes | None:
        """An object's bytes; None where they are not here."""
        with self._lock:
            if oid in self._kept:
                self._kept.move_to_end(oid)
            return self._kept.get(oid)

    def put(self, oid: str, data: bytes) -> None:
        """Keep them for a while, unless they are too many."""
        if len(data) > EACH:
            return
        with self._lock:
            self.size += len(data) - len(self._kept.pop(oid, b""))
            self._kept[oid] = data
            while self.size > MOST:
                self.size -= len(self._kept.popitem(last=False)[1])

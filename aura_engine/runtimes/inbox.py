"""The way in to a worker that runs: its `input.jsonl`, from which its shim feeds it."""

from __future__ import annotations

import os
from pathlib import Path

from aura_engine.core.model import ContainerUse
from aura_engine.errors import RuntimeFault


class Inbox:
    """The input of the worker whose attempt has this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sent(self) -> frozenset[str]:
        """The lines that its input holds so far."""
        return frozenset((self.folder / "input.jsonl").read_text("utf-8").split("\n"))

    def send(self, line: str) -> None:
        """Appends one line to the worker's input. RuntimeFault when it takes none, or there is no room."""
        data = line.rstrip("\n").replace("\n", " ").encode() + b"\n"
        try:
            fd = os.open(self.folder / "input.jsonl", os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            raise RuntimeFault("This worker takes no further input.") from None
        try:
            before = os.fstat(fd).st_size
            try:
                whole = os.write(fd, data) == len(data)
            except OSError:
                whole = False
            if not whole:
                os.ftruncate(fd, before)  # half a line would become the beginning of the next
                raise RuntimeFault("There is no room on the disk for what the worker is told.")
        finally:
            os.close(fd)

    def container(self) -> ContainerUse | None:
        """What the kernel counts for its container; None for a worker without one."""
        return None

    def close_input(self) -> None:
        """Closes the worker's stdin once all that was sent has been read."""
        self.send('{"aura":"close"}')

"""What a runtime and a worker are to the rest of the engine, wherever the worker runs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from aura_engine.core.model import ContainerUse, ExitRecord, LaunchSpec, ProcessRecord, Usage


class Worker(Protocol):
    """One worker, started or adopted."""

    folder: Path
    """Its attempt's: holds `output.jsonl`, `error.log` and its input."""

    @property
    def record(self) -> ProcessRecord:
        """Its main process, as this machine numbers it."""
        ...

    async def wait(self) -> ExitRecord:
        """How the main process ended, as soon as it did; what it left behind may still be being swept."""
        ...

    async def swept(self) -> ExitRecord:
        """The final record, once no process of the worker's is left."""
        ...

    def begin_stop(self) -> None:
        """Asks for the stop ladder to be walked; `wait` and `swept` tell when it is done."""
        ...

    async def stop(self) -> ExitRecord:
        """Walks the stop ladder and waits until no process of the worker's is left."""
        ...

    async def pause(self) -> None:
        """Freezes the worker and all below it."""
        ...

    async def resume(self) -> None:
        """Lets a frozen worker go on."""
        ...

    def sent(self) -> frozenset[str]:
        """The lines that its input holds so far."""
        ...

    def send(self, line: str) -> None:
        """Appends one line to its input. RuntimeFault when its stdin was not kept open."""
        ...

    def close_input(self) -> None:
        """Closes its stdin once all that was sent has been read."""
        ...

    def container(self) -> ContainerUse | None:
        """What the kernel counts for its container; None for a worker without one."""
        ...

    def family(self) -> list[int]:
        """Pids, as this machine numbers them, of its shim and of everything below it, the shim first."""
        ...


class Runtime(Protocol):
    """Starts and adopts workers."""

    @property
    def contained(self) -> bool:
        """Whether a wall stands around its workers."""
        ...

    async def way(self, folder: Path, base_url: str, key: str) -> tuple[str, str]:
        """The address of its model, and the key for it, that the worker of `folder` is given in place of the real ones.

        Asked before it starts, and again when it is adopted: then the answer is the same. RuntimeFault.
        """
        ...

    def counted(self, folder: Path) -> Usage | None:
        """What the model's replies to the worker of `folder` told that they used; None where nobody could listen."""
        ...

    async def start(self, launch: LaunchSpec, folder: Path, name: str) -> Worker:
        """Starts a worker whose traces are kept in `folder`; `name` is its task and attempt, `A1.2-3`.

        A program that cannot be started is no error: `wait` tells it. RuntimeFault for what is the machinery's.
        """
        ...

    async def adopt(self, folder: Path) -> Worker | ExitRecord | None:
        """What became of the worker of `folder`: still there, ended, or never (or no longer) there.

        After None it is certain that none will start there.
        """
        ...

    async def clear(self, folder: Path) -> None:
        """Its end is journaled: what was kept of the worker of `folder` to tell it can go. Never raises."""
        ...

    async def tidy(self, live: Collection[Path]) -> None:
        """Takes away what engines that died have left of attempts other than those of the folders `live`."""
        ...

    def close(self) -> None:
        """Nothing will be started any more; workers go on."""
        ...

    async def aclose(self) -> None:
        """The run has ended, or is left to the next engine: lets go of what only this engine uses. Never raises."""
        ...

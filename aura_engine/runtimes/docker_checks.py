"""The engine's own commands, a check's or `prepare`'s, each in a fresh container of the workers' image.

What a command prints goes into a file: the engine reads that once the container has ended, and no stream can break off.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import EngineAway, State, pauses
from aura_engine.runtimes.docker_place import INSIDE
from aura_engine.runtimes.docker_profile import Mount, Use, container_name

LOOK = 0.25
"""Seconds between two looks at how much it has printed."""
END_LIMIT = 30.0
"""Seconds that a killed container may take to be gone."""
INTO_FILE = f'exec "$@" >>{INSIDE}/output 2>&1'
BROKEN = frozenset({137, 143, 255})
"""What a container says that its engine stopped or lost while it was started anew; a command can say that as well."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command in a container ended. `code` is 128 + its number for a signal; `duration` in seconds."""

    code: int
    timed_out: bool
    overflowed: bool
    oom: bool
    duration: float


class DockerChecks:
    """Runs commands in containers."""

    def __init__(self, dock: Dock) -> None:
        self._dock = dock

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        write: Sequence[Path],
        network: bool,
        limit: float,
        output: Path,
        max_output: int,
    ) -> Ended:
        """Runs `argv` to its end, `limit` seconds or `max_output` bytes, then nothing of it is left.

        What it prints is put into `output`, a new file. RuntimeFault when the container engine did not play its part.
        """
        dock = self._dock
        name = container_name(dock.profile.project, f"check-{secrets.token_hex(6)}")
        output.touch(0o600)
        await asyncio.to_thread(dock.who.take, output, *write)
        use = Use(
            image=dock.image,
            command=("/bin/sh", "-c", INTO_FILE, "sh", *argv),
            cwd=str(cwd),
            home=env.get("HOME", "/tmp"),
            kind="check",
            mounts=(
                *dock.mounts(),
                Mount(str(output), f"{INSIDE}/output", writable=True),
                *(Mount(str(path), str(path), writable=True) for path in write),
            ),
            env={key: value for key, value in env.items() if key != "PATH"},  # its programs are the image's
            network=network,
        )
        try:
            async with dock.starts:
                await dock.create(name, use)
                await dock.begin(name)
            started = time.monotonic()
            timed_out, overflowed, broke = await self._until_over(name, limit, output, max_output)
            state = await dock.state(name)
        finally:
            dock.remove(name)
        if state is None or (broke and state.code in BROKEN):
            raise RuntimeFault("The container of a command was lost.", cure="It is run again in a new one.")
        return Ended(state.code, timed_out, overflowed, state.oom, time.monotonic() - started)

    async def _until_over(self, name: str, limit: float, output: Path, most: int) -> tuple[bool, bool, bool]:
        """Whether it took too long, printed too much, and whether the container engine was away meanwhile."""
        until = time.monotonic() + limit
        broke = False
        waiting = asyncio.create_task(self._over(name, limit + END_LIMIT))
        try:
            while True:
                await asyncio.wait({waiting}, timeout=max(0.0, min(LOOK, until - time.monotonic())))
                if waiting.done():
                    broke = waiting.result()
                    return False, output.stat().st_size > most, broke
                timed_out, overflowed = time.monotonic() >= until, output.stat().st_size > most
                if timed_out or overflowed:
                    await self._dock.engine.signal(name, "SIGKILL")
                    async with asyncio.timeout(END_LIMIT):
                        await waiting
                    return timed_out and not overflowed, overflowed, False
        except TimeoutError:
            raise RuntimeFault("The container of a command could not be ended.") from None
        finally:
            waiting.cancel()

    async def _over(self, name: str, limit: float) -> bool:
        """Returns once it has ended: whether its engine was away in between. TimeoutError after `limit` seconds."""
        broke = False
        async with asyncio.timeout(limit):
            for pause in pauses():
                try:
                    await self._dock.engine.wait(name, limit)
                    state: State | None = await self._dock.engine.state(name)
                    if state is None or state.over:
                        return broke
                except EngineAway:
                    broke = True
                await asyncio.sleep(pause)
        return broke

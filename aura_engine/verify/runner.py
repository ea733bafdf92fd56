"""Where the engine's own commands run, a check's or `prepare`'s: on this machine behind a wall, or in a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aura_engine.verify.process import Ran, run_command


@dataclass(frozen=True, slots=True)
class Command:
    """What runs, and all that it may see beyond the system. Paths are absolute."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    """All of it; nothing secret."""
    write: tuple[Path, ...]
    temp: Path
    """Its private folder for temporary files."""
    network: bool = False


class Runner(Protocol):
    """Runs a command to its end, `limit` seconds or `max_output` bytes; nothing that it started is left then."""

    async def __call__(self, command: Command, *, limit: float, max_output: int) -> Ran:
        """RuntimeFault when it could not be run, or its end says nothing about it."""
        ...


async def run_here(command: Command, *, limit: float, max_output: int) -> Ran:
    """See Runner: without a wall."""
    return await run_command(command.argv, cwd=command.cwd, env=command.env, limit=limit, max_output=max_output)


def behind(wall: Callable[[Command], Sequence[str]]) -> Runner:
    """The runner that runs the command line in which a command stands behind a wall."""

    async def run(command: Command, *, limit: float, max_output: int) -> Ran:
        return await run_command(wall(command), cwd=command.cwd, env=command.env, limit=limit, max_output=max_output)

    return run

"""Watches `task.md` and tells of each new revision once its writer has come to rest.

The folder is watched, never the file (editors replace it by rename and a watch on it goes deaf), and the file's stamp
is looked at on a slow timer too: network disks and full inotify tables send no events. Whatever woke it, only a
different hash counts, so an edit taken back within the quiet time is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

from aura_engine.clock import until_beat
from aura_engine.errors import GoalError
from aura_engine.goal.read import GoalText, read_goal

log = logging.getLogger(__name__)

# watchfiles wakes this often (ms) to look for events: its default of 50 costs 0.18 % of a core. With the time in which
# an edit has to settle, an edit is noticed within a second.
_STEP = 600
_QUIET = 60_000
"""Milliseconds after which it tells that nothing has happened."""
Stamp = tuple[int, int, int, int] | None


async def watch_goal(
    path: Path,
    *,
    revision: str | None = None,
    project: Path | None = None,
    settle: float = 0.3,
    rehash_every: float = 2.0,
    grace: float = 2.0,
) -> AsyncGenerator[GoalText | GoalError, None]:
    """Yield each settled change of the goal in `path`, for ever; times in seconds. Close it with `aclosing`.

    `revision` is the one in force (None: the first that can be read). A change is told when the file was quiet for
    `settle`; several quick ones are told as the last. A file that is gone, empty or unusable for longer than `grace` is
    told once as a GoalError and changes nothing: the last good revision stays in force. After such an error the next
    good revision is told even if it is the one in force.
    """
    known, told, bad_since = revision, "", None
    stamp: Stamp = (-1, 0, 0, 0)
    clock = asyncio.get_running_loop().time
    nudge = asyncio.Event()
    watcher = asyncio.create_task(_watch_folder(path, nudge), name=f"watch {path.name}")
    try:
        while True:
            nudge.clear()
            if bad_since is None and await asyncio.to_thread(_stamp, path) == stamp:
                # Each wake-up costs 0.3 ms of CPU: a folder that sends events is looked at less often.
                await _wait(nudge, rehash_every if watcher.done() else until_beat(5 * rehash_every))
                continue
            stamp, seen = await _settled(path, project, settle)
            if isinstance(seen, GoalText):
                bad_since = None
                if (known is not None and seen.revision != known) or told:
                    yield seen
                known, told = seen.revision, ""
                continue
            bad_since = clock() if bad_since is None else bad_since
            left = bad_since + grace - clock()
            if left <= 0:
                bad_since = None
                if str(seen) != told:
                    told = str(seen)
                    yield seen
            else:
                await _wait(nudge, left)
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


async def _settled(path: Path, project: Path | None, settle: float) -> tuple[Stamp, GoalText | GoalError]:
    """The file as it is after `settle` seconds without a write, and its stamp; half-written ones never get out."""
    before = await asyncio.to_thread(_stamp, path)
    while True:
        await asyncio.sleep(settle)
        seen = await asyncio.to_thread(_read, path, project)
        after = await asyncio.to_thread(_stamp, path)
        if after == before:
            return after, seen
        before = after


def _stamp(path: Path) -> Stamp:
    """What every write changes (ctime cannot be set back by a tool that keeps mtime); None while there is no file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path, project: Path | None) -> GoalText | GoalError:
    try:
        return read_goal(path, project=project)
    except GoalError as error:
        return error


async def _wait(nudge: asyncio.Event, seconds: float) -> None:
    # Not wait_for, which on Python 3.11 swallows an end that comes in the moment of the nudge.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await nudge.wait()


async def _watch_folder(path: Path, nudge: asyncio.Event) -> None:
    """Set `nudge` at each event on `path`. Without inotify this ends, and the timer alone does the work."""
    # Here and in a thread: 50 ms that no other command needs and that the loop must not wait for.
    await asyncio.to_thread(importlib.import_module, "watchfiles")
    from watchfiles import Change, awatch  # pyright: ignore[reportUnknownVariableType]  # its types name trio

    def ours(_: Change, changed: str) -> bool:
        return Path(changed).name == path.name

    folder = path.absolute().parent
    nudge.set()  # for what was written before the watch stands: nobody looks until this task waits, and then it does
    try:
        # Not its own polling where there is no inotify: tried, it misses half of several quick saves.
        quietly = awatch(
            folder, watch_filter=ours, step=_STEP, rust_timeout=_QUIET, recursive=False, force_polling=False
        )
        async for _ in quietly:
            nudge.set()
    except (OSError, RuntimeError) as error:
        log.warning("%s is not watched but looked at on a timer: %s", folder, error)

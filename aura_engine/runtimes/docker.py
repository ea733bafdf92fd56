"""The docker runtime: each worker in a container of its own, which outlives the engine and is found again by its name.

The name is that of the attempt, so that however often a start is broken off, by the engine's death or the container
engine's, there is never a second container for it. A container is removed once the journal holds how it ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Collection
from contextlib import aclosing
from pathlib import Path

from aura_engine.core.model import ExitRecord, LaunchSpec, ProcessRecord, Usage
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import docker_place, processes, traces
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_end import final_record
from aura_engine.runtimes.docker_engine import AWAY_MOST, EngineAway, State, pauses
from aura_engine.runtimes.docker_place import SPEC, Owner
from aura_engine.runtimes.docker_profile import NO_NETWORK, Use, container_name
from aura_engine.runtimes.docker_worker import TRACES, DockerWorker
from aura_engine.runtimes.relay import Upstream

log = logging.getLogger(__name__)

RECORD = "container.json"
"""In an attempt's folder: which container of which engine it was given to, and which process that is here."""
CLEAR_LIMIT = 30.0
"""Seconds that a container has to end by itself once its worker has."""


class DockerRuntime:
    """See Runtime."""

    contained = True

    def __init__(self, dock: Dock) -> None:
        self._dock = dock
        self._engine = dock.engine
        self._workers: dict[str, DockerWorker] = {}
        self._listening: asyncio.Task[object] | None = None
        self._unseen = False
        """A container could not be asked for: it may live, and need what is its."""

    # ---- starting

    async def way(self, folder: Path, base_url: str, key: str) -> tuple[str, str]:
        """See Runtime: the relay's, where workers have no network or none that leads to this machine's own loopback.

        One that an earlier engine gave a door keeps it, whatever this one gives to new workers.
        """
        relay, upstream, name = self._dock.relay, Upstream(base_url, key), self._container(folder)
        if relay is None or not base_url:
            return base_url, key
        if not (self._dock.profile.network == NO_NETWORK or upstream.here or relay.knows(name)):
            return base_url, key
        try:
            door = await relay.open(name, upstream)
        except OSError as error:
            raise RuntimeFault(f"The relay to the model cannot listen: {error}.") from error
        return door.address, door.token

    def counted(self, folder: Path) -> Usage | None:
        """See Runtime: what passed its door; what told nothing is estimated."""
        door = self._dock.relay.door(self._container(folder)) if self._dock.relay is not None else None
        return door.counted.usage if door is not None else None

    async def start(self, launch: LaunchSpec, folder: Path, name: str) -> DockerWorker:
        """See Runtime."""
        dock, container = self._dock, container_name(self._dock.profile.project, name)
        async with dock.starts:
            box = self._box(container)
            laid = await asyncio.to_thread(docker_place.lay_out, launch, folder, box, dock.who, container)
            note(folder, self._engine.url, container, None)
            door = dock.relay.door(container) if dock.relay is not None else None
            use = Use(
                image=dock.image,
                command=(*(door.command if door else ()), *laid.command),
                cwd=launch.cwd,
                home=launch.env["HOME"],
                kind="worker",
                mounts=(*dock.mounts(), *laid.mounts, *(door.mounts if door else ())),
                labels=_labels(name),
            )
            self._listen()
            try:
                await dock.create(container, use)
                # before it runs: of a short one nothing would be heard any more
                worker = self._workers[container] = DockerWorker(self._engine, container, folder)
                await dock.begin(container)
                await worker.running()
            except RuntimeFault:
                self._forget(container)
                raise
            (box / SPEC).unlink(missing_ok=True)
        note(folder, self._engine.url, container, worker.record)
        return worker

    def _forget(self, container: str) -> None:
        """Nothing is left of it, nor anything that could still come to life."""
        worker = self._workers.pop(container, None)
        if worker is not None:
            worker.close()
        shutil.rmtree(self._box(container), ignore_errors=True)
        self._dock.remove(container)
        if self._dock.relay is not None:
            self._dock.do(self._dock.relay.forget(container))

    # ---- finding again

    async def adopt(self, folder: Path) -> DockerWorker | ExitRecord | None:
        """See Runtime. EngineAway when the container engine cannot be asked, unless nothing of it can run any more."""
        container = self._container(folder)
        try:
            state = await self._dock.state(container)
        except EngineAway:
            if not surely_gone(folder):
                self._unseen = True
                raise
            gone = ExitRecord(outside="its container ended while the container engine was away")
            return traces.exit_in(folder / TRACES) or gone
        if state is None:
            return traces.exit_in(folder / TRACES)
        if state.status == "created" and not await self._started_after_all(container, state):
            return None
        if state.over:
            return final_record(traces.exit_in(folder / TRACES), state, stopping=False)
        self._listen()
        worker = self._workers[container] = DockerWorker(self._engine, container, folder)
        try:
            await worker.running()
        except RuntimeFault as error:
            log.warning("%s: %s", container, error)
            self._forget(container)
            return None
        (self._box(container) / SPEC).unlink(missing_ok=True)
        if traces.exit_in(folder / TRACES) is not None:
            worker.has_ended()
        return worker

    async def _started_after_all(self, container: str, state: State) -> bool:
        """Whether a container that an engine made and never started could be started now; else it is gone."""
        try:
            if state.error or not (self._box(container) / SPEC).exists():
                raise RuntimeFault(state.error or "its secrets are gone")
            await self._dock.begin(container)
        except EngineAway:
            raise
        except RuntimeFault as error:
            log.info("%s was never started: %s", container, error)
            await self._engine.remove(container)
            return False
        return True

    async def clear(self, folder: Path) -> None:
        """See Runtime."""
        container = self._container(folder)
        worker = self._workers.get(container)
        quiet = True
        if worker is not None:
            try:
                async with asyncio.timeout(CLEAR_LIMIT):
                    await worker.swept()
            except TimeoutError:
                log.warning("%s did not end by itself", container)
                quiet = False
        self._forget(container)
        if quiet:  # else it could put links in the way
            await asyncio.to_thread(Owner(os.geteuid(), os.getegid()).take_back, folder)

    async def tidy(self, live: Collection[Path]) -> None:
        """See Runtime."""
        kept = {self._container(folder) for folder in live}
        profile = self._dock.profile
        try:
            found = await self._engine.named({"aura.project": profile.project}, "aura.epoch")
        except RuntimeFault as error:
            log.warning("what is left over stays for now: %s", error)
            return
        for container, epoch in found.items():
            if container not in kept and epoch != str(profile.epoch):
                log.info("removing %s, which is nobody's", container)
                self._dock.remove(container)
        docker_place.take_away(self._dock.secrets, kept)

    # ---- what goes on

    def _listen(self) -> None:
        if self._listening is None:
            self._listening = asyncio.create_task(self._hear(), name="container events")

    async def _hear(self) -> None:
        """What happens to containers; once the engine has been away, each is looked at."""
        waits = pauses()
        while True:
            try:
                async with aclosing(self._engine.events({"aura.project": self._dock.profile.project})) as events:
                    async for container in events:
                        waits = pauses()
                        if container in self._workers:
                            self._workers[container].look()
            except RuntimeFault as error:
                log.info("container events: %s", error)
            for worker in self._workers.values():
                worker.look()
            await asyncio.sleep(next(waits, AWAY_MOST))

    def close(self) -> None:
        """See Runtime."""

    async def aclose(self) -> None:
        """See Runtime."""
        if self._listening is not None:
            self._listening.cancel()
        for worker in self._workers.values():
            worker.close()
        await self._dock.aclose(empty=not self._workers and not self._unseen)

    def _container(self, folder: Path) -> str:
        return container_name(self._dock.profile.project, f"{folder.parent.name}-{folder.name}")

    def _box(self, container: str) -> Path:
        return self._dock.secrets / container


def _labels(name: str) -> dict[str, str]:
    task, _, attempt = name.rpartition("-")
    return {"aura.task": task, "aura.attempt": attempt}


def note(folder: Path, engine: str, container: str, process: ProcessRecord | None) -> None:
    """Writes down where an attempt is; `process` once it runs."""
    known = process or ProcessRecord(pid=0, start_time=0.0, boot_id=processes.boot_id())
    record = {"container": container, "engine": engine, "process": known.model_dump()}
    fresh = folder / f"{RECORD}.new"
    fresh.unlink(missing_ok=True)
    traces.private(fresh, json.dumps(record))
    fresh.rename(folder / RECORD)


def engine_of(folder: Path) -> str | None:
    """The address of the engine whose container an attempt was given to; None for one of this machine's own."""
    try:
        return str(json.loads((folder / RECORD).read_bytes())["engine"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def surely_gone(folder: Path) -> bool:
    """Whether an attempt's container cannot run any more: its process is gone, or this is another boot.

    Nothing but Aura starts its containers. Where the process was never seen here, only another boot tells.
    """
    try:
        process = ProcessRecord.model_validate(json.loads((folder / RECORD).read_bytes())["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return process.boot_id != processes.boot_id() or (process.pid != 0 and not processes.alive(process))

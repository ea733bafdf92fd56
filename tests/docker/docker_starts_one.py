"""An engine that starts one worker through the container engine at argv[1] and then sleeps until it is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes.docker import DockerRuntime
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_place import owner, secret_folder
from aura_engine.runtimes.docker_profile import Profile


async def main() -> None:
    """See above."""
    url, image, profile, launch, folder = sys.argv[1:]
    made = Profile(**json.loads(profile))
    dock = Dock(DockerEngine(url), made, image, owner(rootless=False), secret_folder(made.project, Path(folder)))
    await DockerRuntime(dock).start(LaunchSpec.model_validate_json(launch), Path(folder), "A1-1")
    await asyncio.sleep(60)


asyncio.run(main())

"""The workers' image: the local one of its name, else pulled once for all workers, with progress and with patience."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aura_engine.core.routing import backoff
from aura_engine.core.text import one_line
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.docker_engine import EngineAway, EngineRefused

if TYPE_CHECKING:
    from aura_engine.runtimes.docker_engine import DockerEngine

PLATFORM = "linux/amd64"
TRIES = 4
"""Pulls before it is given up: with the waits between them about half a minute."""
FIRST_WAIT, LONGEST_WAIT = 3.0, 30.0
PULL_LIMIT = 2 * 3600.0
"""Seconds for one pull: some gigabytes over a slow line."""
STALL_LIMIT = 180.0
"""Seconds without a word from the registry (or of layers being unpacked) after which a pull is taken for stuck."""
SAY_EVERY = 5.0
"""Seconds between two words on the progress, at least."""
_FINAL = re.compile(
    r"denied|unauthorized|authentication required|not found|manifest unknown|no matching manifest|does not match"
    r"|no space left|invalid reference|unsupported|forbidden",
    re.IGNORECASE,
)
"""What a registry or the disk says that no second try would change."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there, pinned: containers are made from `id`, whatever becomes of its name."""

    name: str
    id: str
    """`sha256:` and 64 hex digits."""
    digest: str
    """As the registry knows it, such as name@sha256:…; empty for one that was built here."""


class Images:
    """One image name of one engine. `say` hears a sentence on the progress now and then."""

    def __init__(
        self, engine: DockerEngine, name: str, say: Callable[[str], None], *, first_wait: float = FIRST_WAIT
    ) -> None:
        self._engine = engine
        self._name = name
        self._say = say
        self._first_wait = first_wait
        self._found: Image | None = None
        self._turn = asyncio.Lock()

    async def ready(self) -> Image:
        """The image; all who ask wait for the same pull. RuntimeFault when it is not to be had."""
        async with self._turn:
            if self._found is None:
                self._found = await self.local() or await self._pulled()
            return self._found

    async def local(self) -> Image | None:
        """The image if it is there already."""
        try:
            told: dict[str, Any] = await self._engine.call(
                "show an image", self._engine.docker.images.inspect(self._name)
            )
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise
        digests = [str(digest) for digest in told.get("RepoDigests") or ()]
        return Image(self._name, str(told["Id"]), digests[0] if digests else "")

    async def _pulled(self) -> Image:
        self._say(f"The workers' image {self._name} is not here yet: it is pulled once, for all workers.")
        trouble = ""
        for tried in range(1, TRIES + 1):
            try:
                await self._pull()
                if (image := await self.local()) is not None:
                    self._say(f"The workers' image is here: {image.digest or image.id}.")
                    return image
                trouble = "the engine did not keep it"
            except (EngineRefused, EngineAway, TimeoutError) as error:
                trouble = _words(error)
            if _FINAL.search(trouble) or tried == TRIES:
                break
            wait = backoff(tried, base=self._first_wait, ceiling=LONGEST_WAIT) * random.uniform(0.5, 1.0)
            self._say(f"The image could not be pulled: {trouble}. It is tried again in {wait:.0f} s.")
            await asyncio.sleep(wait)
        raise RuntimeFault(
            f"The image {self._name} could not be pulled: {trouble}.",
            cure=f"Pull it by hand (docker pull --platform {PLATFORM} {self._name}), or build it: "
            "docker_scripts/rebuild.sh",
        )

    async def _pull(self) -> None:
        """One try. EngineRefused with the registry's words, EngineAway, TimeoutError when nothing moves any more."""
        progress = Progress(self._say)
        items = self._engine.docker.images.pull(self._name, platform=PLATFORM, stream=True, timeout=PULL_LIMIT)
        async with asyncio.timeout(PULL_LIMIT), aclosing(items):  # pyright: ignore[reportArgumentType]
            while True:
                item = await self._engine.call("pull the image", anext(items, None), STALL_LIMIT)
                if item is None:
                    return
                progress.take(item)


class Progress:
    """A pull in words: at most one sentence in SAY_EVERY seconds, and only when it went on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._layers: dict[str, tuple[int, int]] = {}
        self._said = -SAY_EVERY
        self._last: str = ""

    def take(self, item: dict[str, Any]) -> None:
        """One line of the engine's; whatever it holds."""
        detail: Any = item.get("progressDetail") or {}
        layer, current, total = str(item.get("id", "")), detail.get("current"), detail.get("total")
        status = str(item.get("status", ""))
        if status == "Downloading" and isinstance(current, int) and isinstance(total, int):
            self._layers[layer] = (current, total)
        elif status in ("Download complete", "Pull complete") and layer in self._layers:
            whole = self._layers[layer][1]
            self._layers[layer] = (whole, whole)
        now = asyncio.get_running_loop().time()
        if not self._layers or now - self._said < SAY_EVERY:
            return
        done, wanted = (sum(sizes[at] for sizes in self._layers.values()) / 1e6 for at in (0, 1))
        # The sizes of layers that have not begun are not known yet, so the whole is never promised.
        text = f"pulling the workers' image: {done:,.0f} of {wanted:,.0f} MB so far"
        if text != self._last:
            self._said, self._last = now, text
            self._say(text)


def _words(error: Exception) -> str:
    """What was said, without our own words around it."""
    if isinstance(error, TimeoutError):
        return f"it was not done within {PULL_LIMIT / 3600:.0f} h"
    if isinstance(error, EngineAway):
        return f"nothing moved for {STALL_LIMIT:.0f} s, or the engine went away"
    return one_line(str(error).partition(": ")[2] or str(error), 400).rstrip(".")

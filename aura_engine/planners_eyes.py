"""What the planner can see of the project: files and folders of the head, from the store, never from a path on disk."""

from __future__ import annotations

from aura_engine.core.model import rel_path
from aura_engine.core.state import RunState
from aura_engine.core.text import clean
from aura_engine.planner.context import data
from aura_engine.workspace.store import GitStore

PAGE = 8_000
LISTED = 200


class Eyes:
    """Reads the head's tree; a path outside the project does not exist there."""

    def __init__(self, store: GitStore, state: RunState) -> None:
        self._store = store
        self._state = state

    async def listing(self) -> str:
        """The project's files, the first 200 of them."""
        paths = sorted(await self._store.entries(self._state.head_tree))
        more = f"\n… and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
        return clean("\n".join(paths[:LISTED])) + more

    async def read_file(self, path: str, offset: int) -> str:
        """A page of a text file. ValueError when there is none."""
        name = rel_path(path)
        content = await self._store.read(self._state.head_tree, name)
        if content is None:
            raise ValueError(f"there is no file {name}")
        if b"\0" in content[:8000]:
            return f"{name} is not text ({len(content)} bytes)"
        text = content.decode("utf-8", "replace")
        rest = len(text) - offset - PAGE
        more = f"\n({rest} characters more from offset {offset + PAGE})" if rest > 0 else ""
        return data(clean(text[offset : offset + PAGE])) + more

    async def list_folder(self, path: str) -> str:
        """The entries of a folder. ValueError when there is none."""
        name = rel_path(path) if path.strip(" ./") else ""
        prefix = f"{name}/" if name else ""
        entries = await self._store.entries(self._state.head_tree)
        below = [entry[len(prefix) :] for entry in entries if entry.startswith(prefix)]
        if name and not below:
            raise ValueError(f"there is no folder {name}")
        names = sorted({entry.split("/")[0] + ("/" if "/" in entry else "") for entry in below})
        more = f"\n… and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return data(clean("\n".join(names[:LISTED]))) + more

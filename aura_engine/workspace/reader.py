"""Reading a run's store beside whoever owns it: what is asked for is worked out in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aura_engine.errors import GitError
from aura_engine.workspace.git import call
from aura_engine.workspace.objects import logged, pack


class Diff(NamedTuple):
    """A unified diff; `cut` when it was longer than what may be read."""

    text: str
    cut: bool = False


class StoreReader:
    """Differences of a store's commits; a context manager. Blocks. Nothing is written into the store.

    Its newest objects may stand in its log alone, where git cannot see them: they are unpacked into a throw-away
    repository that borrows the rest.
    """

    def __init__(self, store: Path) -> None:
        self._store = store.absolute()
        self._own = Path(tempfile.mkdtemp(prefix="aura-diff-"))

    def __enter__(self) -> Self:
        # The log first: what is packed and taken out of it meanwhile is then found in the pack.
        try:
            recent = logged(self._store)
            (self._own / "objects" / "info").mkdir(parents=True)
            (self._own / "objects" / "pack").mkdir()
            (self._own / "refs").mkdir()
            (self._own / "HEAD").write_text("ref: refs/heads/none\n")
            (self._own / "objects" / "info" / "alternates").write_bytes(bytes(self._store / "objects") + b"\n")
            if recent:
                call(["index-pack", "--stdin"], git_dir=self._own, stdin=pack(recent))
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def diff(self, old: str, new: str, *, limit: int) -> Diff:
        """What leads from one commit or tree to another, at most `limit` bytes of it, whole lines. GitError."""
        if not (_is_id(old) and _is_id(new)):
            raise GitError(f"There is no commit “{old[:60]}” or “{new[:60]}”.")
        args = ["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", old, new]
        out = call(args, git_dir=self._own, limit=limit + 1).out
        if len(out) <= limit:
            return Diff(out.decode(errors="replace"))
        return Diff(out[: out.rfind(b"\n", 0, limit) + 1].decode(errors="replace"), cut=True)

    def _remove(self) -> None:
        shutil.rmtree(self._own, ignore_errors=True)


def _is_id(text: str) -> bool:
    return len(text) in (40, 64) and all(digit in "0123456789abcdef" for digit in text)

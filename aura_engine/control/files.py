"""What a screen reads and writes beside the facts; both links do it the same way, as they are on the run's machine."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

from aura_engine.paths import RunPaths, atomic_write


class RunFiles:
    """A run's files: `run` is its folder, `task_file` its goal."""

    def __init__(self, run: Path, task_file: Path) -> None:
        self._paths = RunPaths(run, run)
        self._task_file = task_file

    def output(self, task: str, n: int) -> Path | None:
        """See Link."""
        try:
            path = self._paths.attempt(task, n) / "output.jsonl"
        except ValueError:
            return None
        return path if os.access(path, os.R_OK) else None

    async def prompt(self, call: int) -> str:
        """See Link. OSError."""
        return await asyncio.to_thread(_prompt, self._paths.prompt(call))

    async def goal(self) -> str:
        """See Link. OSError, UnicodeDecodeError."""
        return await asyncio.to_thread(_read, self._task_file)

    async def save_goal(self, text: str, expected: str) -> str:
        """See Link."""
        return await asyncio.to_thread(_save, self._task_file, text, expected)

    async def draft(self) -> tuple[str, str] | None:
        """See Link."""
        return await asyncio.to_thread(_draft, self._paths.draft)

    async def keep_draft(self, draft: tuple[str, str] | None) -> None:
        """See Link. OSError."""
        if draft is None:
            self._paths.draft.unlink(missing_ok=True)
        else:
            base, text = draft
            content = json.dumps({"base": base, "text": text})
            await asyncio.to_thread(atomic_write, self._paths.draft, content)


def _draft(path: Path) -> tuple[str, str] | None:
    try:
        kept = json.loads(path.read_bytes())
        return str(kept["base"]), str(kept["text"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _prompt(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _save(path: Path, text: str, expected: str) -> str:
    """Exchange the file's text in one step; its mode stays, and a link to it stays a link."""
    try:
        target = path.resolve()
        if _read(target) != expected:
            return "it was changed by somebody else meanwhile"
        mode = stat.S_IMODE(target.stat().st_mode)
        fresh = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fchmod(handle, mode)
                os.fsync(handle)
            fresh.replace(target)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        return f"{path.name} cannot be written: {error.strerror or error}"
    except UnicodeError:
        return f"{path.name} is not UTF-8 text"
    return ""

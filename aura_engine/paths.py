"""Where a run keeps its files, and how one is written so that a crash leaves the old or the new content whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aura_engine.clock import iso
from aura_engine.errors import AuraError, UsageError
from aura_engine.faults import fault

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

log = logging.getLogger(__name__)

PRIVATE = 0o700
_TASK_ID = re.compile(r"[A-Z]+[0-9]*(\.[0-9]+)*")
_LOCK_LIMIT = 2.0
TEMPORARY = r"\..*\.[0-9]+-[0-9a-f]{8}|.*\.part"
"""Names of files that are not whole yet: those of `atomic_write`, and backups."""


def data_dir(project: Path, override: str | Path | None = None) -> Path:
    """The folder of all runs: `.aura` in the project, or `override` (relative ones count from the project)."""
    return (project / Path(override).expanduser() if override else project / ".aura").absolute()


def run_dir(data: Path, task_file: Path) -> Path:
    """A task file's own folder in `data`: `<stem>-<8 hex of sha256 of its resolved path>`."""
    resolved = task_file.resolve()
    # A file name may hold 255 bytes; a long stem is cut so that the hash and SQLite's suffixes still fit.
    stem = os.fsdecode(os.fsencode(resolved.stem)[:200])
    return data / f"{stem}-{_hex(resolved)}"


def index_path(data: Path) -> Path:
    """The list of runs in `data`."""
    return data / "task_index.json"


def vault_dir(data: Path) -> Path:
    """Where runs lie that were begun afresh: each in a folder of its own."""
    return data / "vault"


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where workspaces live: `$XDG_STATE_HOME/aura`, else `~/.local/state/aura`."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_STATE_HOME", "")
    # The XDG rule: a relative path there is to be ignored.
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return root / "aura"


def scratch_of(data: Path, run: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Where the workspaces of the run in the folder `run` of `data` live."""
    # The data folder counts too: one goal run into two data folders must not share workspaces.
    return state_home(environ) / f"{run.name}-{_hex(data.resolve())}"


class RunPaths:
    """Every path of one run: `run` is its folder in the data folder, `scratch` its folder for workspaces."""

    def __init__(self, run: Path, scratch: Path) -> None:
        self.run = run
        self.scratch = scratch
        self.journal = run / "journal.db"
        """The event store: the truth."""
        self.lock = run / "lock"
        """Held by the engine that owns the run."""
        self.log = run / "engine.log"
        self.report = run / "report.html"
        """The final report, and beside it `report.md`."""
        self.state = run / "state"
        """The projections: for people, made anew from the journal."""
        self.progress = self.state / "progress.md"
        self.decision_log = self.state / "decision_log.json"
        self.current_prompt = self.state / "current_prompt.md"
        self.prompts = self.state / "prompts"
        self.stalled = self.state / "stalled.json"
        """There while the engine's loop is blocked."""
        self.draft = run / "draft.json"
        """There while the goal is edited on a screen and not saved: the text, and the one that it began with."""
        self.attempts = run / "attempts"
        self.memory = run / "memory"
        self.lessons = self.memory / "MEMORY.md"
        """What the planner chose to remember."""
        self.session_notes = self.memory / "session.md"
        self.reviews = self.memory / "reviews"
        self.summaries = run / "summaries"
        """Per task, and the final report."""
        self.artifacts = run / "artifacts"
        """What attempts made and did not land."""
        self.store = run / "store.git"
        """The bare git store."""
        self.work = scratch / "work"
        """Workspaces of attempts: outside the project, so that a worker's tools cannot climb into it."""
        self.checks = scratch / "checks"
        """Clean checkouts in which checks run."""
        self.kept = scratch / "kept"
        """Workspaces that no snapshot could be taken of."""
        self.homes = scratch / "homes"
        """Empty HOME folders of workers and checks."""

    @classmethod
    def of(cls, data: Path, task_file: Path, environ: Mapping[str, str] | None = None) -> RunPaths:
        """The paths for `task_file` with its data in `data`; creates nothing."""
        run = run_dir(data, task_file)
        return cls(run, scratch_of(data, run, environ))

    def attempt(self, task: str, number: int) -> Path:
        """Records of one attempt: prompt, output, exit, result. ValueError for an id that Aura did not mint."""
        return self.attempts / _task_id(task) / str(number)

    def prompt(self, call: int) -> Path:
        """What the planner was asked in that call."""
        return self.prompts / f"{call}.md"

    def workspace(self, task: str, number: int) -> Path:
        """Where one attempt works. ValueError for an id that Aura did not mint."""
        return self.work / f"{_task_id(task)}-{number}"

    def home(self, task: str, number: int) -> Path:
        """The HOME of one attempt. ValueError for an id that Aura did not mint."""
        return self.homes / f"{_task_id(task)}-{number}"

    def ensure(self, project: Path) -> None:
        """Make the run's folders, readable by their owner alone.

        UsageError when the project, the data folder or the state folder cannot be written.
        """
        if not project.is_dir() or not os.access(project, os.W_OK | os.X_OK):
            raise UsageError(
                f"The project folder {project} is not a folder that can be written.",
                cure="Make it writable or start Aura in another one.",
            )
        data = self.run.parent
        new = not data.exists()
        own = (self.state, self.attempts, self.reviews, self.summaries, self.artifacts)
        for folder in (*own, self.work, self.checks, self.homes):
            private_dir(folder)
        if new and data.parent == project.absolute():
            # Without it every `git add -A` of the person would take the journal along.
            atomic_write(data / ".gitignore", "*\n", durable=False)


def read_index(data: Path) -> dict[str, Any]:
    """The list of runs: `last` (a run's folder name) and `runs` (name → task file, project, time of the last start).

    Empty when there is none or it cannot be read: it only saves looking through the folders.
    """
    try:
        found = json.loads(index_path(data).read_text("utf-8"))
        runs = cast("dict[str, Any]", dict(found["runs"]))
        return {"version": 1, "last": str(found["last"]), "runs": runs}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s cannot be read and is made anew", index_path(data))
    return {"version": 1, "last": "", "runs": {}}


def remember_run(data: Path, task_file: Path, *, project: Path, wall: float) -> None:
    """Enter a start at `wall` (seconds since the epoch) in the list; safe beside other engines starting in `data`."""
    name = run_dir(data, task_file).name
    with locked(data, index_path(data)):
        index = read_index(data)
        index["last"] = name
        index["runs"][name] = {"task_file": str(task_file.resolve()), "project": str(project), "started": iso(wall)}
        atomic_write(index_path(data), json.dumps(index, ensure_ascii=True, indent=2) + "\n")


def last_run(data: Path) -> Path | None:
    """The folder of the run started last in `data`; None when there is none."""
    journals = {path.parent.name: path for path in data.glob("*/journal.db")}
    last = read_index(data)["last"]
    if last not in journals and journals:
        last = max(journals, key=lambda name: journals[name].stat().st_mtime)
    return data / last if last in journals else None


def atomic_write(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Put `content` (text as UTF-8) at `path`, mode 0600: after a crash the old or the new content is there, whole.

    `durable=False` leaves out the disk syncs: for projections, which can be made again. Raises OSError.
    """
    body = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        fault("file.write")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_dir(path.parent)


def tail_of(path: Path, limit: int = 8_000) -> str:
    """The last `limit` bytes of a file as text; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit))
            return stream.read(limit).decode(errors="replace")
    except OSError:
        return ""


def _sync_dir(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_dir(folder: Path) -> None:
    """Make `folder` and what is missing above it, each 0700 (`mkdir(parents=True)` would leave parents open)."""
    missing: list[Path] = []
    above = folder
    while not above.exists() and above != above.parent:
        missing.append(above)
        above = above.parent
    try:
        for path in reversed(missing):
            path.mkdir(PRIVATE, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "it is not writable")
        if not folder.is_dir():
            raise NotADirectoryError(20, "a file stands in its place")
    except OSError as error:
        raise UsageError(
            f"Aura cannot keep its data in {folder}: {error.strerror}.",
            cure="Make that folder writable or name another one with --data-dir.",
        ) from error


def _hex(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def _task_id(task: str) -> str:
    if len(task) > 64 or not _TASK_ID.fullmatch(task):
        raise ValueError(f"“{task}” is not a task id")
    return task


@contextmanager
def locked(folder: Path, what: Path) -> Generator[None]:
    """The one writer of `what` in a folder; AuraError when another one holds it for longer than a moment.

    Where folders cannot be locked (NFS), nobody is kept out.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    deadline = time.monotonic() + _LOCK_LIMIT
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AuraError(f"Another program holds {what}.", cure="Try again.") from None
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        os.close(handle)

"""Every git process goes through here: a built environment, a limit, and an error that a person understands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import subprocess
import tempfile
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from aura_engine.errors import GitError, MissingProgram

MINIMUM = (2, 38)
CURE = (
    "Install git 2.38 or newer: `apt-get install git` (Debian 12 and later), `dnf install git`, or `brew install git`."
)

# In the command scope, which outranks every configuration file, also that of a hostile or misconfigured repository.
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.quotePath": "false",
    "index.version": "2",
    "index.sparse": "false",
    "core.fsync": "committed",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "safe.directory": "*",
}


class Done(NamedTuple):
    """A finished git process."""

    code: int
    out: bytes


def environment(
    git_dir: Path | None = None, work_tree: Path | None = None, index: Path | None = None
) -> dict[str, str]:
    """The whole environment of a git process: nothing is inherited but PATH."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
    }
    for number, (key, value) in enumerate(_CONFIG.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    places = {"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree, "GIT_INDEX_FILE": index}
    return env | {name: str(place) for name, place in places.items() if place is not None}


def call(
    args: Sequence[str],
    *,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    index: Path | None = None,
    stdin: bytes = b"",
    timeout: float = 120.0,
    ok: Collection[int] = (0,),
    limit: int | None = None,
) -> Done:
    """Run git and wait at most `timeout` seconds: blocks, so it belongs in a thread.

    `ok` are the exit codes that are answers. With `limit` only that many bytes of the output are read back. Raises
    GitError with the command and the last line git said; MissingProgram without git.
    """
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(tempfile.TemporaryFile()) if limit is not None else None
        try:
            done = subprocess.run(
                ["git", *args],
                input=stdin,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(git_dir, work_tree, index),
                cwd=work_tree,
                timeout=timeout,
                check=False,
                close_fds=False,  # lets Python use vfork: half the cost of a start; our descriptors are close-on-exec
            )
        except FileNotFoundError as error:
            if error.filename == "git":
                raise MissingProgram("git is not installed.", cure=CURE) from error
            raise GitError(f"git {_short(args)} could not start: {error.filename} is not there.") from error
        except subprocess.TimeoutExpired as error:
            raise GitError(
                f"git {_short(args)} did not end within {timeout:g} s.", cure="Is the disk full or very slow?"
            ) from error
        if done.returncode not in ok:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            said = lines[-1] if lines else f"exit status {done.returncode}"
            raise GitError(f"git {_short(args)} failed: {said}")
        if sink is None:
            return Done(done.returncode, done.stdout)
        sink.seek(0)
        return Done(done.returncode, sink.read(limit))


def _short(args: Sequence[str]) -> str:
    return " ".join(args)[:200]


async def run_git(
    args: Sequence[str],
    *,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    index: Path | None = None,
    stdin: bytes = b"",
    timeout: float = 120.0,  # noqa: ASYNC109 - ends the process too, which asyncio.timeout could not
) -> bytes:
    """Run git off the loop and return its output. Errors as `call`."""
    done = await asyncio.to_thread(
        call, args, git_dir=git_dir, work_tree=work_tree, index=index, stdin=stdin, timeout=timeout
    )
    return done.out


async def require_git() -> str:
    """The installed git's version. MissingProgram when it is missing or older than 2.38."""
    said = (await run_git(["--version"], timeout=20)).decode(errors="replace").strip()
    found = re.search(r"(\d+)\.(\d+)[\w.]*", said)
    if found is None or (int(found[1]), int(found[2])) < MINIMUM:
        raise MissingProgram(f"Aura needs git 2.38 or newer; found “{said}”.", cure=CURE)
    return found[0]


class CatFile:
    """One long-lived `git cat-file --batch`: an object for a pipe's round trip instead of a process. Thread-safe."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def read(self, oid: str, *, timeout: float = 60.0) -> tuple[str, bytes]:
        """An object's kind and bytes. GitError when it is not there or git does not answer within `timeout` seconds."""
        with self._lock:
            try:
                return self._read(oid, timeout)
            except (BrokenPipeError, EOFError):  # somebody ended it: one fresh start, then it is an error
                self._stop()
            try:
                return self._read(oid, timeout)
            except (BrokenPipeError, EOFError) as error:
                self._stop()
                raise GitError(f"git cat-file in {self._git_dir} ended unexpectedly.") from error

    def close(self) -> None:
        """End the process; a later read starts another."""
        with self._lock:
            self._stop()

    def _read(self, oid: str, timeout: float) -> tuple[str, bytes]:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(oid.encode() + b"\n")
        while b"\n" not in self._buffer:
            self._more(process, timeout)
        header, _, self._buffer = self._buffer.partition(b"\n")
        fields = header.decode(errors="replace").split(" ")
        if len(fields) != 3:
            raise GitError(f"object {oid} is missing from {self._git_dir}.")
        size = int(fields[2])
        parts, have = [self._buffer], len(self._buffer)
        self._buffer = b""
        while have <= size:  # one line feed follows the object
            self._more(process, timeout)
            parts.append(self._buffer)
            have += len(self._buffer)
            self._buffer = b""
        data = b"".join(parts)
        self._buffer = data[size + 1 :]
        return fields[1], data[:size]

    def _more(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        assert process.stdout is not None
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        if not poll.poll(timeout * 1000):
            self._stop()
            raise GitError(f"git cat-file in {self._git_dir} did not answer within {timeout:g} s.")
        chunk = os.read(process.stdout.fileno(), 1 << 18)
        if not chunk:
            raise EOFError
        self._buffer += chunk

    def _start(self) -> subprocess.Popen[bytes]:
        self._buffer = b""
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(self._git_dir),
            bufsize=0,
            start_new_session=True,  # a Ctrl-C at the terminal is for the engine
        )
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

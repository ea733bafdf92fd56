"""The set-up's stage: a home, a project, a model that knows one key, programs that are scripts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import aura_engine
from aura_engine.demo.script import Ask, Say, say
from aura_engine.demo.server import ScriptedModel
from aura_engine.setup.draft import Draft, Place

CHECKOUT = Path(aura_engine.__file__).parent.parent
KEY = "sk-right-0123456789abcdef"


def _answer(ask: Ask) -> Say:
    if ask.key != KEY:
        return say(status=401)
    if ask.model != "right-model":
        return say(status=404, error_text=f"no model {ask.model}")
    return say("Yes.")


@dataclass
class Stage:
    """A person's home and project, and a model on loopback."""

    home: Path
    project: Path
    url: str
    programs: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin"}

    @property
    def config(self) -> Path:
        return self.home / ".config" / "aura" / "config.toml"

    def place(self, **environ: str) -> Place:
        return Place.of({**self.environ, **environ}, self.project)

    def draft(self, **environ: str) -> Draft:
        return Draft(self.place(**environ))

    def program(self, name: str, says: str) -> Path:
        """A program on PATH that says this, whatever it is asked."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    @property
    def answers(self) -> str:
        """A whole configuration that works here."""
        return (
            f'api_provider = "openai"\napi_base_url = "{self.url}/v1"\napi_key = "{KEY}"\napi_model = "right-model"\n'
            'pro_backend = "builtin"\nflash_backend = "builtin"\n'
        )


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(_answer) as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path, model: ScriptedModel) -> Stage:
    folders = [tmp_path / name for name in ("home", "project", "bin")]
    for folder in folders:
        folder.mkdir()
    home, project, programs = folders
    return Stage(home, project, model.url, programs)


@pytest.fixture
def dead_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.fixture
def terminal_env(stage: Stage) -> dict[str, str]:
    """The environment of a program on a terminal of that person's."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return {**kept, **stage.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


LIMIT = 45.0
"""Seconds for something to appear on a loaded machine."""
AURA = (sys.executable, "-m", "aura_engine.cli")


class Terminal:
    """A terminal of 80 by 24 with a command on it."""

    def __init__(self, argv: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = {**environ, "PYTHONPATH": str(CHECKOUT)}
        self.process = subprocess.Popen(
            [*AURA, *argv], stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=env, preexec_fn=_own_terminal
        )
        os.close(slave)
        self.seen = ""
        """What it printed since the last keys, without escape sequences."""
        self.all = ""

    def read(self, limit: float) -> bool:
        """Read once, waiting at most so long; False when there was nothing or the other end has gone."""
        if not select.select([self.master], [], [], limit)[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16).decode("utf-8", "replace")
        except OSError:
            return False
        text = re.sub(r"\x1b\[[0-9;?]*C", " ", data)  # the screen skips blanks
        text = re.sub(r"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07]*\x07|[()].|[=>78A-Z])", "", text)
        self.seen += text
        self.all += text
        return bool(data)

    def wait(self, *words: str) -> str:
        """Until all of these have been printed since the last keys, wherever lines are broken."""
        end = time.monotonic() + LIMIT
        while not all(_flat(each) in _flat(self.seen) for each in words):
            assert time.monotonic() < end, f"{words} did not come; the end of what did: {self.seen[-1500:]}"
            assert self.read(0.2) or self.process.poll() is None, f"it ended: {self.seen[-1500:]}"
        return self.seen

    def came(self, words: Sequence[str], limit: float) -> bool:
        """Whether all of these are printed within so many seconds, counted from the last keys."""
        end = time.monotonic() + limit
        while not all(_flat(each) in _flat(self.seen) for each in words):
            if time.monotonic() > end:
                return False
            self.read(0.2)
        return True

    def press(self, keys: str) -> None:
        self.seen = ""
        os.write(self.master, keys.encode())

    def interrupt(self, keys: str = "\x03") -> int:
        """Press Ctrl-C (or other keys) until it has left, as a person would: its exit status.

        A signal that comes in the instant between a prompt and the reading of its answer is seen with the next one.
        """
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not leave: {self.all[-1500:]}"
            with contextlib.suppress(OSError):
                os.write(self.master, keys.encode())
            for _ in range(20):
                if self.process.poll() is not None:
                    break
                self.read(0.1)
        return self.left()

    def left(self) -> int:
        """Its exit status, once it has left."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not leave: {self.seen[-1500:]}"
            self.read(0.05)
        while self.read(0.1):
            pass
        return self.process.returncode

    def close(self) -> None:
        """Take it away."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


def _own_terminal() -> None:
    """A session of its own with the terminal as its own, so that Ctrl-C and /dev/tty are as for a person."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests may have been started where it is ignored
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _flat(text: str) -> str:
    return "".join(text.split())


@pytest.fixture
def terminal(stage: Stage, terminal_env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Starts `aura` with these words on a terminal, in the person's project."""
    opened: list[Terminal] = []

    def start(*argv: str, **environ: str) -> Terminal:
        opened.append(Terminal(argv, stage.project, {**terminal_env, **environ}))
        return opened[-1]

    yield start
    for each in opened:
        each.close()

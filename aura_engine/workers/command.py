"""Backend `command`: any program that takes a prompt on its stdin, by the command line that a person wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from aura_engine.core.model import Ending, ExitRecord, LaunchSpec, Signal, SignalKind
from aura_engine.core.text import clean
from aura_engine.workers.base import GRACE, Job, Seen
from aura_engine.workers.endings import ending_of
from aura_engine.workers.stream import TEXT_CAP, text_of
from aura_engine.workers.table import command_words

KEPT = 4 * TEXT_CAP
"""Bytes of the end of the output that are looked at."""
LAST_LINES = 3
"""Lines of the output that may name the failure; further up a worker talks about its task."""
PROMPT = "prompt.md"
PLACE = re.compile(r"\{(workspace|model|prompt_file|max_turns)\}")


class Command:
    """See Backend. Success is exit status 0; what the work is worth only the checks say."""

    name = "command"
    program = None
    install_hint = "The first word of AURA_PRO_COMMAND or AURA_FLASH_COMMAND is the program: its name or its path."
    verified = ""
    stdin_open = False
    resumes = False
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> None:
        """See Backend."""
        return

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend.

        In each word of the command line `{workspace}`, `{model}`, `{max_turns}` and `{prompt_file}` (for programs that
        read no stdin) are filled in; other braces stay. ConfigError where it cannot be read.
        """
        role = job.settings
        program, *words = command_words(role)
        values = {
            "workspace": str(job.workspace),
            "model": role.model,
            "prompt_file": str(job.home / PROMPT),
            "max_turns": str(job.max_turns),
        }
        env = {"AURA_API_KEY": role.api_key, "AURA_BASE_URL": role.base_url, "AURA_MODEL": role.model}
        filled = [PLACE.sub(lambda match: values[match[1]], word) for word in words]
        return spec_of(job, (role.program or program, *filled), env, files={PROMPT: job.prompt})

    def parser(self, job: Job) -> TextParser:
        """See Backend."""
        return TextParser()

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        lines = [line for line in seen.last_message.splitlines() if line.strip()]
        said = "\n".join([*lines[-LAST_LINES:], stderr_tail])
        done = exit.code == 0 and not exit.error
        return ending_of(exit, replace(seen, finished=seen.last_message if done else None), said, {})


def spec_of(
    job: Job, argv: tuple[str, ...], env: Mapping[str, str], files: Mapping[str, str] | None = None
) -> LaunchSpec:
    """The launch of a program without a stream of events: prompt on stdin, its own HOME, `env` where it has a value."""
    home = {"HOME": str(job.home), "TMPDIR": str(job.home / "tmp")}
    return LaunchSpec(
        argv=argv,
        env=home | {name: value for name, value in env.items() if value} | dict(job.settings.env),
        cwd=str(job.workspace),
        stdin=job.prompt,
        files=dict(files or {}),
    )


class TextParser:
    """Plain text: one message for each piece of output that completes a line, with the last lines in it."""

    def __init__(self) -> None:
        self._end = b""
        """The end of all output so far."""
        self._untold = False

    def feed(self, chunk: bytes) -> list[Signal]:
        """See StreamParser."""
        self._end = (self._end + chunk)[-KEPT:]
        if b"\n" not in chunk:
            self._untold = self._untold or bool(chunk)
            return []
        self._untold = not chunk.endswith(b"\n")
        return _message(self._end.rpartition(b"\n")[0])

    def close(self) -> list[Signal]:
        """See StreamParser."""
        return _message(self._end) if self._untold else []

    def replies(self) -> list[str]:
        """See StreamParser: none."""
        return []

    def message(self, text: str) -> str | None:
        """See StreamParser: it takes none."""
        return None


def _message(output: bytes) -> list[Signal]:
    text = text_of(clean(output.decode("utf-8", "replace")).strip(), tail=True)
    return [Signal(kind=SignalKind.MESSAGE, text=text)] if text else []

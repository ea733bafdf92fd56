"""Backend `acp`: any program that speaks the Agent Client Protocol on its standard input and output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec
from aura_engine.workers.acp_lines import first_line
from aura_engine.workers.acp_session import AcpParser
from aura_engine.workers.base import GRACE, Job, Login, Seen
from aura_engine.workers.builtin import protocol_of
from aura_engine.workers.endings import ending_of
from aura_engine.workers.table import command_words, make_backend

REASONS = {
    "max_tokens": EndKind.CONTEXT_OVERFLOW,
    "max_turn_requests": EndKind.OUT_OF_TURNS,
    "refusal": EndKind.GAVE_UP,
    "cancelled": EndKind.KILLED,
    "permission": EndKind.PERMISSION,
    "auth_required": EndKind.CREDENTIALS,
    "protocol": EndKind.BAD_REQUEST,
    "session": EndKind.BAD_REQUEST,
    "ContextOverflowError": EndKind.CONTEXT_OVERFLOW,
    "ProviderAuthError": EndKind.CREDENTIALS,
}
KNOWN = {"qwen": "qwencode", "opencode": "opencode", "claude-agent-acp": "claude", "codex-acp": "codex"}
"""Programs that want the same environment and files as one of the backends: that backend prepares them."""
NAMES = {
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_MODEL"),
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"),
}
"""Where all others look for address, key and model, by what the address speaks."""
HINT = "Set AURA_PRO_ACP_COMMAND or AURA_FLASH_ACP_COMMAND to the command line of an agent, such as: qwen --acp"


class Acp:
    """See Backend. The program is the first word of the role's command line, which is used as it is written."""

    name = "acp"
    program = None
    install_hint = HINT
    verified = ""
    stdin_open = True
    resumes = True
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """See Backend: none."""
        return

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend. ConfigError when the role has no command line, or one that cannot be read."""
        role = job.settings
        words = command_words(role)
        argv = (role.program or str(Path(words[0]).expanduser()), *words[1:])
        known = known_in(argv)
        if known is None:
            launch = LaunchSpec(argv=argv, env=_environment(job), cwd=str(job.workspace))
        else:
            launch = make_backend(known).launch(job)
        return launch.model_copy(update={"argv": argv, "stdin": first_line(), "stdin_open": True})

    def parser(self, job: Job) -> AcpParser:
        """See Backend."""
        try:
            sent = (job.folder / "input.jsonl").read_text("utf-8").splitlines()
        except OSError:
            sent = []
        return AcpParser(job, sent)

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        return ending_of(exit, seen, stderr_tail, REASONS)


def known_in(argv: tuple[str, ...]) -> str | None:
    """The backend that knows the program of a command line; also behind a runner: `npx @scope/name@1.2`, `node …`."""
    for word in argv:
        path = PurePosixPath(word)
        parts = [path.name.partition("@")[0]]
        parts += [part for part in path.parts if part.endswith("-acp")]
        for part in parts:
            if part in KNOWN:
                return KNOWN[part]
    return None


def _environment(job: Job) -> dict[str, str]:
    role = job.settings
    names = NAMES[protocol_of(role)]
    env = dict(zip(names, (role.base_url, role.api_key, role.model), strict=True))
    env |= {"HOME": str(job.home), "TMPDIR": str(job.home / "tmp"), "AURA_MODEL": role.model}
    return {name: value for name, value in env.items() if value} | dict(role.env)

"""Backend `ds_code`: the DeepSeek coding CLI, as a command: prompt in, plain text out."""

from __future__ import annotations

from aura_engine.core.model import LaunchSpec
from aura_engine.workers.base import Job
from aura_engine.workers.command import Command, spec_of


class DsCode(Command):
    """See Backend."""

    name = "ds_code"
    program: str = "ds-code"
    install_hint = "Install it from its own folder with: pip install -e ds_code (or set AURA_DSCODE_BIN to its path)."

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend."""
        role = job.settings
        model = ("--model", role.model) if role.model else ()
        env = {
            "DEEPSEEK_API_KEY": role.api_key,
            "DEEPSEEK_BASE_URL": role.base_url,
            "DS_CODE_MAX_TURNS": str(job.max_turns),
        }
        argv = (role.program or self.program, "run", "--workspace", str(job.workspace), "--no-color", *model)
        return spec_of(job, argv, env)

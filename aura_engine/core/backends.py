"""The table of worker backends: a new one is one file and one line here."""

from __future__ import annotations

BACKENDS = {
    "acp": "aura_engine.workers.acp:Acp",
    "builtin": "aura_engine.workers.builtin:Builtin",
    "claude": "aura_engine.workers.claude:Claude",
    "codex": "aura_engine.workers.codex:Codex",
    "command": "aura_engine.workers.command:Command",
    "ds_code": "aura_engine.workers.ds_code:DsCode",
    "opencode": "aura_engine.workers.opencode:OpenCode",
    "qwencode": "aura_engine.workers.qwencode:QwenCode",
}
"""Name, as in AURA_PRO_BACKEND → module and class, imported only when it is asked for."""

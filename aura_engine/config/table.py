"""The settings as people read them, made from the model so that no paper can drift from it."""

from __future__ import annotations

from collections.abc import Iterable

from aura_engine.config.fields import SettingInfo
from aura_engine.config.settings import GROUPS, INFOS

NEEDED = (
    "AURA_API_PROVIDER",
    "AURA_API_BASE_URL",
    "AURA_API_KEY",
    "AURA_API_MODEL",
    "AURA_PRO_BACKEND",
    "AURA_FLASH_BACKEND",
    "AURA_WORKER_MODE",
    "AURA_MAX_CONCURRENT_TASKS",
    "AURA_TASK_BUDGET",
    "AURA_MAX_TURNS",
    "AURA_WORKERS_IN_DOCKER",
    "AURA_CONTAINMENT",
    "AURA_MAX_COST_USD",
    "AURA_DATA_DIR",
    "AURA_THEME",
)
"""What most people ever set."""


def settings_table(names: Iterable[str] = ()) -> str:
    """Header and one row per setting, obsolete ones last; ends with a newline. `names`: these alone, in their order."""
    chosen = [INFOS[name] for name in names] or sorted(INFOS.values(), key=lambda info: bool(info.obsolete))
    rows = ["| name | default | meaning |", "| --- | --- | --- |"]
    for info in chosen:
        default = info.default if " " in info.default else f"`{info.default}`" if info.default else "–"
        about = f"no effect any more: {info.obsolete}" if info.obsolete else info.about
        rows.append(f"| `{info.name}` | {default} | {about.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def env_example() -> str:
    """A `.env` with every setting that has an effect, each commented out, by group."""
    lines = [
        "# Aura's settings. Copy this file to .env in your project, or take what you need into your own configuration:",
        "# aura config set NAME VALUE. What the command line or the environment says goes before both.",
        "# A file with keys in it is for your eyes alone: chmod 600 .env, and keep it out of the repository.",
    ]
    for group in GROUPS:
        infos = [info for info in INFOS.values() if info.field in group.model_fields and not info.obsolete]
        if infos:
            lines += ["", f"# {(group.__doc__ or '').splitlines()[0]}"]
            lines += [line for info in infos for line in _example(info)]
    return "\n".join(lines) + "\n"


def _example(info: SettingInfo) -> list[str]:
    default = f" (default: {info.default})" if info.default else ""
    return [f"# {info.about.replace('`', '')}{default}", f"#{info.name}="]

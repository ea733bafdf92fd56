"""The settings as a Markdown table, made from the model so that the README cannot drift from it."""

from __future__ import annotations

from aura_engine.config.settings import INFOS


def settings_table() -> str:
    """Header and one row per setting, obsolete ones last; ends with a newline."""
    rows = ["| name | default | meaning |", "| --- | --- | --- |"]
    for info in sorted(INFOS.values(), key=lambda info: bool(info.obsolete)):
        default = f"`{info.default}`" if info.default else "–"
        about = f"no effect any more: {info.obsolete}" if info.obsolete else info.about
        rows.append(f"| `{info.name}` | {default} | {about.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"

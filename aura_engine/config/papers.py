"""Writes the papers of a checkout that are made from the settings: `python -m aura_engine.config.papers`."""

from __future__ import annotations

import re
from pathlib import Path

from aura_engine.config.table import NEEDED, env_example, settings_table

BETWEEN = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)
"""The part of the README that is made."""
SETTINGS = """\
# Every setting

Made from the code. A setting comes from the command line (`-O NAME=VALUE`), else the environment, else `.env` in the
project, else your own `config.toml` (in `~/.config/aura`, or the file that `--config` names), else the older
`~/.aura/config.env`, else the default. `aura config show` tells what is in force and where each value came from;
`aura config set NAME VALUE` changes your own file. In `config.toml` a name goes without `AURA_` and in small letters:
`max_turns = 80`, or `model = "…"` below `[pro]`. Switches take 1, true, yes, on or 0, false, no, off.

A key need not stand in a file: `env:NAME` takes it from a variable, `cmd:COMMAND` from the first line that a command
prints within 30 seconds, such as `cmd:pass show aura`. A project's `.env` may hold a key, but not refer to one.

"""


def papers(root: Path) -> dict[Path, str]:
    """Path → what has to stand there, for the checkout at `root`."""
    readme = root / "README.md"
    table = settings_table(NEEDED)
    return {
        root / ".env.example": env_example(),
        root / "docs" / "settings.md": SETTINGS + settings_table(),
        readme: BETWEEN.sub(lambda _: table, readme.read_text("utf-8")),
    }


def main() -> None:
    """Write them in the checkout that one stands in."""
    for path, text in papers(Path.cwd()).items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

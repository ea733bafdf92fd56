"""Other people's text in Markdown: as text, never as markup."""

from __future__ import annotations

import re
from functools import lru_cache

from aura_engine.core.text import clean, one_line


@lru_cache(maxsize=2048)
def md(text: str, width: int = 200) -> str:
    """One cleaned line in which nothing starts a tag, a link or an image."""
    return one_line(text, width).replace("<", "&lt;").replace("[", "\\[")


def cell(text: str, width: int = 200) -> str:
    """The same for a table."""
    return md(text, width).replace("|", "\\|")


def fenced(text: str, language: str = "") -> list[str]:
    """Lines of a code block that the text cannot end."""
    body = clean(text).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", body)), default=0))
    return [fence + language, *body.split("\n"), fence]

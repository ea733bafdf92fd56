"""The sentence in what a service answers, without the JSON or the web page around it. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import cast

_KEYS = ("message", "detail", "error_description", "msg", "error", "errors", "title", "reason")
"""Where services put it, the likeliest first."""
_START = re.compile(r"[{\[]\s*(?:[{\['\"]|$)")
"""Where JSON, or a Python dictionary, may begin in a line."""
_CUT = re.compile(
    r"['\"](?:message|detail|msg|error)['\"]\s*:\s*(?P<quote>['\"])(?P<said>(?:\\.|(?!(?P=quote)).)*)", re.S
)
"""A sentence in JSON that is cut off, or in the way that Python writes a dictionary."""
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.I | re.S)
_DEEPEST = 12


def spoken(text: str) -> str:
    """`401 {"error": {"message": "Bad key"}}` → `401 Bad key`; what holds no sentence stays as it is."""
    return _spoken(text, _DEEPEST)


def _spoken(text: str, left: int) -> str:
    if "<html" in text[:500].lower():
        title = _TITLE.search(text)
        return html.unescape(title[1]).strip() if title else "a web page"
    start = _START.search(text)
    if start is None or left <= 0:
        return text.strip()
    before, rest = text[: start.start()].strip(), text[start.start() :]
    try:
        body, end = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        said = _CUT.search(rest)
        return f"{before} {_spoken(_unescaped(said['said']), left - 1)}".strip() if said else text.strip()
    found = _found(body, left - 1)
    return " ".join(part for part in (before, found, rest[end:].strip()) if part) if found else text.strip()


def _found(body: object, left: int) -> str:
    """The first sentence in parsed JSON; services also wrap another's answer into a text of theirs."""
    if left <= 0:
        return ""
    if isinstance(body, str):
        return _spoken(body, left)
    inner: Iterable[object] = ()
    if isinstance(body, dict):
        table = cast("dict[str, object]", body)
        inner = (table[key] for key in _KEYS if key in table)
    elif isinstance(body, list):
        inner = cast("list[object]", body)[:3]
    return next((said for each in inner if (said := _found(each, left - 1))), "")


def _unescaped(text: str) -> str:
    def letter(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else {"n": "\n", "t": " "}.get(found[2], found[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", letter, text)

"""Secrets taken out of text before it is written. Pure: whoever writes holds one `Redactor` and sends all through it.

What is known goes first: each secret as it is, and as base64, URL-encoded or inside JSON. Then what merely looks like a
key: the prefixes that services give theirs, private keys, web tokens.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote

MARK = "[secret]"
"""Stands where a secret was. No longer than the shortest secret, so that no text grows."""
SHORTEST = len(MARK)
SURE = 20
"""Characters from which on a known value without a digit is a key too: shorter ones are words, like `placeholder`."""
LONGEST_LINE = 4096
"""Characters without a blank that a stream holds back at most; no key in use is longer."""
LONGEST_BLOCK = 65_536
"""Characters of a private key that has begun which a stream holds back at most; the largest in use have 20,000."""
_END = re.compile("-----END [A-Z0-9 ]*-----")

_ANCHORS = (
    *("sk-", "sk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "AKIA", "ASIA", "AIza", "hf_"),
    *("xox", "eyJ", "-----BEGIN "),
)
"""What each of the shapes begins with: to look for these takes a tenth of the time."""
# What may fail after a long way is bounded and gives nothing back, else a worker's `sk-sk-sk-…` would take hours.
_SHAPES = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY(?:\ BLOCK)?-----.*?(?:-----END\ [A-Z0-9 ]*PRIVATE\ KEY(?:\ BLOCK)?-----|\Z)
    | (?<![A-Za-z0-9])(?:
        sk[-_](?=[A-Za-z_-]{0,300}+[0-9])[A-Za-z0-9_-]{20,}
      | gh[pousr]_[A-Za-z0-9]{30,}
      | github_pat_[A-Za-z0-9_]{30,}
      | glpat-[A-Za-z0-9_-]{20,}
      | xox[abprs]-[A-Za-z0-9-]{16,}
      | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])
      | AIza[A-Za-z0-9_-]{35}
      | hf_[A-Za-z0-9]{30,}
      | eyJ[A-Za-z0-9_-]{8,1000}+\.[A-Za-z0-9_-]{8,10000}+\.[A-Za-z0-9_-]{8,}
    )""",
    re.VERBOSE | re.DOTALL,
)
_BEARERS = ("earer ", "EARER ")
_BEARER = re.compile(r"\b([Bb]earer\s+|BEARER\s+)(?=[A-Za-z._~+/-]{0,300}+[0-9])[A-Za-z0-9._~+/-]{16,}=*")
_LITERAL = frozenset({"run", "files", "matches", "value", "equals", "makes", "share", "uses", "file", "from"})
"""Fields of checks and of `prepare` that are carried out as they stand: only known secrets are taken out of them."""


class Redactor:
    """Takes secrets out of text. Idempotent; `count` says how many it has found."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        wanted = {secret for secret in secrets if is_secret(secret)}
        # The longest first: one secret may be the beginning of another.
        self._known = sorted({form for secret in wanted for form in _forms(secret)}, key=len, reverse=True)
        self.overlap = max((len(form) for form in self._known), default=0)
        """Characters of the longest form of a known secret."""
        self.count = 0

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._shapes(self.known(text)) if self.touches(text) else text

    def known(self, text: str) -> str:
        """The text without the secrets that are known."""
        for form in self._known:
            if form in text:
                self.count += text.count(form)
                text = text.replace(form, MARK)
        return text

    def touches(self, text: str) -> bool:
        """Whether there is anything in the text to be taken out; that counts as nothing found."""
        if any(form in text for form in self._known):
            return True
        if any(word in text for word in _BEARERS) and _BEARER.search(text):
            return True
        for anchor in _ANCHORS:
            at = text.find(anchor)
            while at >= 0:
                if _SHAPES.match(text, at):
                    return True
                at = text.find(anchor, at + 1)
        return False

    def _shapes(self, text: str) -> str:
        text, shaped = _SHAPES.subn(MARK, text)
        text, bearers = _BEARER.subn(rf"\1{MARK}", text)
        self.count += shaped + bearers
        return text

    def value(self, value: Any, *, literal: bool = False) -> Any:
        """A JSON value without secrets, in its texts and keys; `literal`: it is carried out as it stands."""
        match value:
            case str():
                return self.known(value) if literal else self(value)
            case Mapping():
                pairs = cast("Mapping[str, Any]", value).items()
                return {self.known(key): self.value(each, literal=literal or key in _LITERAL) for key, each in pairs}
            case list() | tuple():
                return [self.value(each, literal=literal) for each in cast("list[Any]", value)]
            case _:
                return value


class Stream:
    """Text that comes in pieces, without secrets: one that is split over two pieces is found too."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self.touched = False
        """Something was taken out so far."""

    def feed(self, piece: str) -> str:
        """What can be told by now; the rest is held back until more has come."""
        text = self._held + piece
        cut = self._cut(text)
        self._held = text[cut:]
        return self._told(text[:cut])

    def close(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return self._told(text)

    def _told(self, text: str) -> str:
        if not self._redactor.touches(text):
            return text
        self.touched = True
        return self._redactor(text)

    def _cut(self, text: str) -> int:
        """Up to where no secret can go on: a line's end outside a private key, or as far back as one can reach."""
        limit = max(0, len(text) - max(LONGEST_LINE, self._redactor.overlap))
        cut = max(limit, text.rfind("\n") + 1)
        begun = text.rfind("-----BEGIN ", max(0, len(text) - LONGEST_BLOCK))
        if begun < 0:
            return cut
        ended = _END.search(text, begun)
        if ended is None:
            return begun
        return ended.end() if begun < cut < ended.end() else cut


def is_secret(value: str) -> bool:
    """Whether a value of a setting for secrets is one: `EMPTY` and `not-needed` are words that stand for none."""
    return len(value) >= SURE or (len(value) >= SHORTEST and any(char.isdigit() for char in value))


def _forms(secret: str) -> set[str]:
    """How a secret may stand in a text: as it is, in JSON, in an address, or within something in base64."""
    body = secret.encode()
    # base64 of a longer text holds the secret's at one of three offsets; what its neighbours decide is cut off.
    shifted: set[str] = set()
    for offset, cut in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(bytes(offset) + body).decode().rstrip("=")
        inner = coded[cut : len(coded) if (offset + len(body)) % 3 == 0 else -1]
        shifted |= {inner, inner.replace("+", "-").replace("/", "_")}
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)} | shifted
    return {form for form in forms if len(form) >= SHORTEST}

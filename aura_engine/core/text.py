"""Text for people: one sanitiser for all that a worker, a model or a file wrote; how money is written. Pure."""

from __future__ import annotations

import re
import unicodedata

# CSI, OSC/DCS/APC/PM/SOS (ended by BEL, ST or the end of the text), two-character escapes, and their C1 forms.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Bidirectional controls, zero-width characters, tag characters, line and paragraph separators: shown, never obeyed.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
# Only a long run of characters above Latin can hold too many combining marks; the rest need not be looked at.
_RUNS = re.compile(r"[^\x00-\u02ff]{9,}")
MAX_LINE = 4096
MAX_MARKS = 8


def clean(text: str, *, max_line: int = MAX_LINE) -> str:
    """Text that is safe to print: no escape sequences, no control characters but newline and tab, nothing invisible.

    A carriage return becomes a newline (it could hide what was printed before it); lines are cut at
    `max_line` characters; lone surrogates (file names that are not UTF-8) become “?”.
    """
    if text.isascii() and text.isprintable() and len(text) <= max_line:
        return text
    text = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
    text = _ESCAPES.sub("", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROLS.sub("", text)
    # What is beyond the cut need not be looked at; what is put in only makes a line longer.
    text = "\n".join(line[: max_line + 1] for line in text.split("\n"))
    text = _HIDDEN.sub(lambda match: f"<U+{ord(match.group()):04X}>", text)
    text = "\n".join(line if len(line) <= max_line else line[: max_line - 1] + "…" for line in text.split("\n"))
    return text if text.isascii() else _RUNS.sub(lambda match: _limit_marks(match.group()), text)


def one_line(text: str, width: int = 200) -> str:
    """Cleaned, on one line, at most `width` characters."""
    flat = " ".join(clean(text, max_line=width * 4).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _limit_marks(text: str) -> str:
    out: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        if marks <= MAX_MARKS:
            out.append(char)
    return "".join(out)


def dollars(cost: float) -> str:
    """Money for reading: `$1.25`; what is not nothing never reads as nothing."""
    return f"${cost:.2f}" if cost >= 0.005 else "under $0.01"

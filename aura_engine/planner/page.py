"""The text of an HTML page, without what only a browser wants."""

from __future__ import annotations

from contextlib import suppress
from html.parser import HTMLParser

_SKIPPED = frozenset({"script", "style", "noscript", "svg", "template", "head", "iframe"})
_BREAKS = frozenset(
    {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "section", "article", "table", "ul", "ol"}
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping = 0
        self._title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self._skipping += tag in _SKIPPED
        self._title = tag == "title"
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        if tag in _SKIPPED and self._skipping:
            self._skipping -= 1
        self._title = False
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._title or not self._skipping:
            self.parts.append(data + ("\n" if self._title else ""))


def text_of(html: str) -> str:
    """What a person would read, a line for each block; white space made small."""
    reader = _Reader()
    with suppress(AssertionError):  # how the library's parser meets “<![@”: what came before it counts
        reader.feed(html)
        reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)

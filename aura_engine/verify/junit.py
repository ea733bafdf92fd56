"""Reading a runner's junit report: counts only, as a stream, with no entities, no document type and a size cap."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any
from xml.parsers import expat

from aura_engine.core.model import Counts
from aura_engine.verify.inside import Unusable, open_regular

MAX_BYTES = 50_000_000
_BAD = frozenset({"failure", "error"})


class _Reader:
    """Counts test cases; one that failed and was skipped too counts as failed."""

    def __init__(self) -> None:
        self.depth = 0
        self.case: set[str] | None = None
        self.totals: Counter[str] = Counter()

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if name == "testcase":
            self.case = set()
        elif self.case is not None:
            self.case.add(name)

    def end(self, name: str) -> None:
        if name == "testcase" and self.case is not None:
            self.totals["tests"] += 1
            self.totals["failures" if self.case & _BAD else "skipped" if "skipped" in self.case else "passed"] += 1
            self.case = None


def read_report(report: Path) -> Counts | None:
    """The counts of a junit file; None where there is none, or it is cut short, too large, or not plain XML.

    A document type is refused outright: a runner's report has none, an entity bomb needs one.
    """

    def refuse(*_declaration: Any) -> None:
        raise expat.ExpatError("a document type is not allowed in a report")

    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = refuse
    try:
        with os.fdopen(open_regular(report.parent, report.name), "rb") as stream:
            left = MAX_BYTES
            while chunk := stream.read(65_536):
                left -= len(chunk)
                if left < 0:
                    return None
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except (Unusable, OSError, expat.ExpatError, ValueError):
        return None
    totals = reader.totals
    return Counts(tests=totals["tests"], failures=totals["failures"], skipped=totals["skipped"])

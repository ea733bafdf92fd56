"""Reads one value, or matches one pattern, in a file that a worker wrote. Runs as a program of its own.

A regular expression or a huge JSON file can hold the interpreter for seconds, and a worker chooses the text: so this is
started as `python -I -S reader.py REQUEST` with the file as standard input and a time limit. Standard library only.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from typing import Any, cast

_MAX_ANSWER = 300


class NotFound(Exception):
    """The value is not there; the message says what is."""


def read_json(text: str, path: str) -> Any:
    """The value at a dotted path; `[3]`, `.3` and `[-1]` index lists, `"a.b"` quotes a key with dots."""
    found: Any = json.loads(text)
    if isinstance(found, dict) and path in found:
        return cast("dict[str, Any]", found)[path]
    so_far = ""
    for quoted, plain, index in re.findall(r'"([^"]*)"|([^.\[\]"]+)|\[(-?\d+)\]', path):
        key = index or plain or quoted
        try:
            if isinstance(found, dict) and not index:
                found = cast("dict[str, Any]", found)[key]
            elif isinstance(found, list):
                found = cast("list[Any]", found)[int(key)]
            else:
                raise KeyError(key)
        except (LookupError, ValueError):
            raise NotFound(f"has no “{key}”{f' in {so_far}' if so_far else ''}") from None
        so_far = f"{so_far}.{key}".lstrip(".")
    return cast("Any", found)


def read_csv(text: str, column: str) -> Any:
    """A cell: `column` is the last row's, `column[3]` the fourth row's, `column[max]` and `column[min]` of all rows."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    if len(rows) < 2:
        raise NotFound("has no rows")
    header = [name.strip() for name in rows[0]]
    pick = re.fullmatch(r"(.+)\[(-?\d+|max|min)\]", column) if column not in header else None
    name, which = (pick[1], pick[2]) if pick else (column, "-1")
    if name not in header:
        raise NotFound(f"has no column “{name}” (it has: {', '.join(header)[:150]})")
    at = header.index(name)
    cells = [row[at].strip() if at < len(row) else "" for row in rows[1:]]
    if which in ("max", "min"):
        numbers = [number for cell in cells if (number := to_number(cell)) is not None and math.isfinite(number)]
        if len(numbers) < len(cells):
            raise NotFound(f"has a cell in “{name}” that is not a number")
        return max(numbers) if which == "max" else min(numbers)
    if not -len(cells) <= int(which) < len(cells):
        raise NotFound(f"has no row {which} ({len(cells)} rows)")
    return cells[int(which)]


def read_text(text: str, pattern: str) -> Any:
    """What the one group of a regular expression captures at its first match."""
    expression = re.compile(pattern, re.MULTILINE)
    if expression.groups != 1:
        raise NotFound(f"cannot be read: /{pattern}/ must have exactly one group")
    match = expression.search(text)
    if match is None or match[1] is None:
        raise NotFound(f"has nothing that matches /{pattern}/")
    return match[1].strip()


def to_number(value: Any) -> float | int | None:
    """A number as it is, a text of CSV or prose parsed; None for anything else, truth values too."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value


def answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """`{"found": value, "number": number or None}`, or `{"problem": sentence}` that goes on from the file's name.

    The request holds `limit` (bytes) and either `matches`, or `value` with the file's `suffix`.
    """
    if len(data) > request["limit"]:
        return {"problem": f"is larger than {request['limit'] // 1_000_000} MB, too large to be read"}
    text = data.decode("utf-8-sig", errors="replace")
    try:
        if "matches" in request:
            found = re.search(request["matches"], text, re.MULTILINE) is not None
            return {"found": found, "number": None}
        suffix = request["suffix"]
        read = read_json if suffix == ".json" else read_csv if suffix in (".csv", ".tsv") else read_text
        found = read(text, request["value"])
        # A JSON text is not a number, however it looks; a CSV cell or a captured text has no other way to be one.
        number = None if suffix == ".json" and isinstance(found, str) else to_number(found)
        if number is not None and not math.isfinite(number):
            return {"problem": f"gives {request['value']} as {found}, which is not a finite number"}
    except NotFound as error:
        return {"problem": str(error)}
    except json.JSONDecodeError as error:
        return {"problem": f"is not JSON: {error}"}
    except (csv.Error, re.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return {"problem": f"cannot be read: {str(error)[:200] or type(error).__name__}"}
    if isinstance(found, (dict, list)):
        return {"problem": f"holds {'an object' if isinstance(found, dict) else 'a list'} there, not a value"}
    return {"found": found[:_MAX_ANSWER] if isinstance(found, str) else found, "number": number}


def main() -> None:
    """The request is the first argument, the file standard input, the answer one line of JSON."""
    request = json.loads(sys.argv[1])
    data = sys.stdin.buffer.read(request["limit"] + 1)
    sys.stdout.write(json.dumps(answer(request, data)))


if __name__ == "__main__":
    main()

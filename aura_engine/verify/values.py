"""The `file` and `value` kinds: what a file holds, against what the check wants."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from aura_engine.core.model import Check
from aura_engine.errors import RuntimeFault
from aura_engine.verify import reader
from aura_engine.verify.inside import Unusable, open_regular

MAX_READ = 20_000_000
_READ_LIMIT = 20.0


async def problem_with_file(check: Check, checkout: Path) -> str:
    """Why the check's file is not as wanted, in a sentence for a person; empty when it is.

    RuntimeFault when the reading program could not be run.
    """
    path = check.file or ""
    try:
        descriptor = open_regular(checkout, path)
    except Unusable as error:
        return str(error)
    try:
        size = os.fstat(descriptor).st_size
        if check.min_bytes is not None and size < check.min_bytes:
            return f"{path} has {size} bytes, wanted at least {check.min_bytes}"
        request: dict[str, Any] = {"limit": MAX_READ, "suffix": PurePosixPath(path).suffix.lower()}
        if check.matches:
            got = await _ask(descriptor, {**request, "matches": check.matches})
            if problem := got.get("problem") or ("" if got["found"] else f"has nothing that matches /{check.matches}/"):
                return f"{path} {problem}"
        if not check.value:
            return ""
        got = await _ask(descriptor, {**request, "value": check.value})
        return f"{path} {got['problem']}" if "problem" in got else _outside(check, got["found"], got["number"])
    finally:
        os.close(descriptor)


def _outside(check: Check, found: Any, number: float | None) -> str:
    """Why the value found is outside the bounds of the check; empty when it is within."""
    name = check.value or ""
    if isinstance(check.equals, (str, bool)):
        same = found == check.equals if isinstance(check.equals, bool) else _text(found) == check.equals.strip()
        if not same:
            return f"{name} is {_text(found)[:100]!r}, wanted {check.equals!r}"
    if check.at_least is None and check.at_most is None and not isinstance(check.equals, float):
        return ""
    if number is None:
        return f"{name} is {_text(found)[:100]!r}, which is not a number"
    if isinstance(check.equals, float) and number != check.equals:
        return f"{name} is {number:.12g}, wanted {check.equals:.12g}"
    if check.at_least is not None and number < check.at_least:
        return f"{name} is {number:.12g}, wanted ≥ {check.at_least:.12g}"
    if check.at_most is not None and number > check.at_most:
        return f"{name} is {number:.12g}, wanted ≤ {check.at_most:.12g}"
    return ""


def _text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found)


async def _ask(descriptor: int, request: dict[str, Any]) -> dict[str, Any]:
    """Have the reading program look at an open file; a pattern or file that takes too long is a problem of its own."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", reader.__file__, json.dumps(request)),
        stdin=descriptor,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_READ_LIMIT):
            told, _ = await process.communicate()
    except TimeoutError:
        return {"problem": f"took longer than {_READ_LIMIT:g} s to be read"}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return json.loads(told)
    except ValueError as error:
        raise RuntimeFault(
            f"the program that reads {request.get('value') or request.get('matches')} ended with {process.returncode}",
            cure="Run the check again; if it stays so, look at the memory of this machine.",
        ) from error

"""What an Agent Client Protocol agent may do when it asks: a small pure policy.

The containment around the worker is what protects; this only answers in the person's place, so that nobody waits.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from aura_engine.workers.stream import list_of, table_of

GRANTS = ("allow_once", "allow_always")
"""Kinds of options that allow, the narrowest first: nothing is allowed for ever where once is offered."""
REFUSALS = ("reject_once", "reject_always")
WRITES = frozenset({"edit", "delete", "move"})
"""Kinds of tool calls that name the files they change."""


def choose(tool_call: object, options: Iterable[object], inside: Sequence[str]) -> tuple[str | None, bool]:
    """The id of the option to pick (None: the question is to be cancelled), and whether that allows the call.

    A change to files that all lie outside the folders `inside` is refused, and with no such folder every call; all else
    is allowed.
    """
    call = table_of(tool_call)
    places = [place["path"] for place in map(table_of, list_of(call.get("locations"))) if place.get("path")]
    outside = call.get("kind") in WRITES and bool(places) and not any(_lies_in(str(path), inside) for path in places)
    wanted = REFUSALS if outside or not inside else GRANTS
    offered = {
        str(option.get("kind")): option["optionId"]
        for option in reversed(list(map(table_of, options)))
        if isinstance(option.get("optionId"), str)
    }
    picked = next((offered[kind] for kind in wanted if kind in offered), None)
    return picked, picked is not None and wanted is GRANTS


def _lies_in(place: str, folders: Sequence[str]) -> bool:
    path = posixpath.normpath(posixpath.join(*folders[:1], place))
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)

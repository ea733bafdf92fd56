"""The account of a run, and the pages that its end leaves: the report, and files that some look for by name."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aura_engine.clock import iso
from aura_engine.core.redaction import Redactor
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError
from aura_engine.paths import RunPaths, atomic_write
from aura_engine.report.account import account_of
from aura_engine.report.account_model import Account
from aura_engine.report.final_html import final_html
from aura_engine.report.final_markdown import final_markdown, session_markdown
from aura_engine.report.summaries import summary_page
from aura_engine.workspace.reader import StoreReader

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that the end of a run may spend on diffs: who stops it waits for it."""

Events = Sequence[tuple[object, float]]


def account_in(
    folder: Path, state: RunState, events: Events, redactor: Redactor, *, patience: float = math.inf
) -> Account:
    """The account of the run in `folder`; where its store cannot be read, without diffs. Blocks.

    After `patience` seconds no more diffs are asked for.
    """
    now, until = time.time(), time.monotonic() + patience
    try:
        with StoreReader(folder / "store.git") as reader:

            def diff(old: str, new: str, limit: int) -> tuple[str, bool]:
                if time.monotonic() > until:
                    return "", True
                try:
                    found = reader.diff(old, new, limit=limit)
                except AuraError as error:
                    log.warning("the report goes without a diff: %s", error)
                    return "", False
                return redactor(found.text), found.cut

            return account_of(state, events, diff, now)
    except (AuraError, OSError) as error:
        log.warning("the report goes without diffs: %s", error)
        return account_of(state, events, lambda _old, _new, _limit: ("", False), now)


def leave_pages(paths: RunPaths, state: RunState, events: Events, redactor: Redactor) -> Path | None:
    """Write what the end of a run leaves; the report's HTML page, or None when it cannot be written. Blocks."""
    account = account_in(paths.run, state, events, redactor, patience=PATIENCE)
    try:
        for path, text in _pages(paths, state, account):
            atomic_write(path, text, durable=False)
    except OSError as error:
        log.warning("the report could not be written: %s", error)
        return None
    return paths.report


def _pages(paths: RunPaths, state: RunState, account: Account) -> Iterator[tuple[Path, str]]:
    yield paths.report, final_html(account)
    yield paths.report.with_suffix(".md"), final_markdown(account)
    yield paths.summaries / "final_report.md", final_markdown(account, diffs=False)
    yield paths.session_notes, session_markdown(account)
    usage = [{"time": account.ended, **row.model_dump(mode="json")} for row in account.usage]
    yield paths.run / "token_stats.jsonl", "".join(json.dumps(row) + "\n" for row in usage)
    about = {
        "task_file": one_line(state.task_file, 1000),
        "revision": state.revision,
        "status": account.status,
        "started": account.started,
        "written": iso(time.time()),
    }
    yield paths.run / "task_file.json", json.dumps(about) + "\n"
    for task in state.leaves():
        if task.attempts:
            yield paths.summaries / f"{task.spec.id}.md", summary_page(state, task)

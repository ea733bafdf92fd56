"""`aura ask "why …?"`: a question to the planner about the run, answered from the journal."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

from aura_engine.cli.options import add_data_options, print_json, run_folder
from aura_engine.errors import AuraError, OwnedError

LIMIT = 900.0
"""Seconds that an answer may take."""
EXAMPLES = """\
examples:
  aura ask "why did A1.2 fail twice?"
  aura ask what has cost most so far, and was it worth it
  aura ask "what is still missing?" --json
"""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(
        prog="aura ask",
        description="Ask the planner about the run: it reads the journal and the landed files, and changes nothing. "
        "It works while the run goes on and after it; each question is a paid call to the planner's model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("question", nargs="+", metavar="QUESTION")
    made.add_argument("--config", "-c", metavar="FILE", help="in place of your own configuration file")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print the answer: 0, or 1 when there is none."""
    from aura_engine.control.client import NoEngine

    folder, question = run_folder(arguments), " ".join(arguments.question)
    try:
        answer = _of_engine(folder, question)
    except NoEngine:
        config = Path(arguments.config).expanduser() if arguments.config else None
        try:
            answer = asyncio.run(_of_journal(folder, question, config))
        except OwnedError as error:
            raise OwnedError(str(error), cure="It is just starting or ending: try again.") from error
    if answer.get("failed"):
        raise AuraError(f"There is no answer: {answer['answer']}")
    if arguments.json:
        print_json({name: answer.get(name, default) for name, default in _SHAPE.items()})
    else:
        print(_text(answer))
    return 0


_SHAPE: dict[str, Any] = {"id": "", "answer": "", "tasks": [], "events": []}


def _text(answer: dict[str, Any]) -> str:
    from aura_engine.core.text import clean

    rests = [*answer.get("tasks", []), *(f"event {number}" for number in answer.get("events", []))]
    more = f"\n\n(from {', '.join(str(each) for each in rests)}; aura events shows them)" if rests else ""
    return clean(str(answer["answer"])) + more


def _of_engine(folder: Path, question: str) -> dict[str, Any]:
    """The running engine's answer. NoEngine, AuraError."""
    from aura_engine.cli.asks import request
    from aura_engine.control.client import Connection, Lost

    put = next(row for row in request(folder, {"kind": "ask", "question": question}) if row["kind"] == "inquired")
    deadline = time.monotonic() + LIMIT
    try:
        with Connection(folder, control=False, since=put["seq"]) as connection:
            while (message := connection.receive(deadline - time.monotonic())) is not None:
                for row in message.get("events", []):
                    if row["kind"] == "inquiry_answered" and row["event"]["id"] == put["event"]["id"]:
                        return row["event"]
    except (Lost, OSError) as error:
        raise AuraError(f"The answer did not come: {error.strerror or error}.", cure="Ask again.") from error
    raise AuraError("The engine ended before it had answered.", cure="Ask again.")


async def _of_journal(folder: Path, question: str, config: Path | None) -> dict[str, Any]:
    """The same without an engine, by a call of one's own; the answer stands in the journal all the same."""
    from aura_engine.cli.options import project_of
    from aura_engine.clock import SystemClock
    from aura_engine.config.load import load_settings
    from aura_engine.config.prices import prices_of
    from aura_engine.hands import planner_of
    from aura_engine.inquiries import Inquiries
    from aura_engine.journal.lock import OwnerLock
    from aura_engine.journal.store import Journal
    from aura_engine.metered import Metered
    from aura_engine.planners_eyes import Eyes
    from aura_engine.recorder import Recorder
    from aura_engine.spending import Spending
    from aura_engine.workspace.store import GitStore

    loaded = load_settings(flags={}, environ=dict(os.environ), project=project_of(), config_file=config)
    settings = loaded.settings
    model = settings.planner().model
    with OwnerLock.acquire(folder / "lock"):
        recorder = Recorder(Journal.open(folder / "journal.db"), SystemClock())
        store, provider = GitStore(folder / "store.git"), planner_of(settings)
        try:
            recorder.replay()
            counted = Metered(
                provider, Spending(recorder, prices_of(settings, loaded.prices), _nobody), "answer", model
            )
            inquiries = Inquiries(
                recorder,
                counted,
                Eyes(store, recorder.state),
                max_tokens=settings.api_max_tokens,
                timeout=settings.api_timeout,
            )
            told: list[dict[str, Any]] = []
            recorder.subscribe(
                lambda done: told.append(done.event.model_dump()) if done.event.kind == "inquiry_answered" else None
            )
            inquiries.put(question, "person")
            async with asyncio.timeout(LIMIT):
                await inquiries.answer_all()
            await recorder.journal.flush()
            return told[-1]
        except TimeoutError:
            raise AuraError(f"There was no answer within {LIMIT / 60:g} minutes.", cure="Ask again.") from None
        finally:
            await provider.aclose()
            await store.aclose()
            await recorder.journal.close()


def _nobody() -> None:
    """No engine waits to be woken."""

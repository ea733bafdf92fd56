"""`aura answer QUESTION TEXT`: answer the planner while no engine runs; the next start goes on with it."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aura_engine.cli.options import add_data_options, print_json, run_folder
from aura_engine.errors import OwnedError, UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(
        prog="aura answer",
        description="Answer a question of the planner's; then start the goal again and it goes on.",
    )
    made.add_argument("question", metavar="QUESTION", help="its id, as q1 (aura status shows open ones)")
    made.add_argument("text", nargs="+", metavar="TEXT", help="your answer")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Journal the answer. OwnedError while an engine runs."""
    folder = run_folder(arguments)
    answer = " ".join(arguments.text)
    try:
        asyncio.run(_answer(folder, arguments.question, answer))
    except OwnedError as error:
        raise OwnedError(str(error), cure="While it runs, answer by writing it into the task file.") from error
    if arguments.json:
        print_json({"question": arguments.question, "answer": answer})
    else:
        print(f"Answered {arguments.question}. Start the goal again and it goes on.")
    return 0


async def _answer(folder: Path, question: str, answer: str) -> None:
    from aura_engine.clock import SystemClock
    from aura_engine.core.commands import Answer, refusal
    from aura_engine.core.events import QuestionAnswered
    from aura_engine.journal.lock import OwnerLock
    from aura_engine.journal.store import Journal
    from aura_engine.recorder import Recorder

    with OwnerLock.acquire(folder / "lock"):
        recorder = Recorder(Journal.open(folder / "journal.db"), SystemClock())
        try:
            recorder.replay()
            refused = refusal(recorder.state, Answer(question=question, answer=answer))
            if refused:
                known = ", ".join(q.id for q in recorder.state.open_questions()) or "none"
                raise UsageError(f"{refused}.", cure=f"Open questions: {known}.")
            await recorder.record(QuestionAnswered(id=question, answer=answer))
        finally:
            await recorder.journal.close()

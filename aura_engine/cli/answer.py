"""`aura answer QUESTION TEXT`: answer the planner, whether an engine runs or the next start is to go on with it."""

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
        description="Answer a question of the planner's; where no engine runs, start the goal again and it goes on.",
    )
    made.add_argument("question", metavar="QUESTION", help="its id, as q1 (aura status shows open ones)")
    made.add_argument("text", nargs="+", metavar="TEXT", help="your answer")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Give the answer to the engine that runs, else to the journal. UsageError when it cannot be taken."""
    folder = run_folder(arguments)
    answer = " ".join(arguments.text)
    goes_on = _told(folder, arguments.question, answer)
    if not goes_on:
        try:
            asyncio.run(_answer(folder, arguments.question, answer))
        except OwnedError as error:
            raise OwnedError(str(error), cure="It is just starting or ending: try again.") from error
    if arguments.json:
        print_json({"question": arguments.question, "answer": answer})
    else:
        print(f"Answered {arguments.question}. {'It goes on.' if goes_on else 'Start the goal again and it goes on.'}")
    return 0


def _told(folder: Path, question: str, answer: str) -> bool:
    """Tell the engine; False when none runs. UsageError when it refuses."""
    from aura_engine.cli.asks import Refused, request
    from aura_engine.control.client import NoEngine

    try:
        request(folder, {"kind": "answer", "question": question, "answer": answer})
    except NoEngine:
        return False
    except Refused as refused:
        raise UsageError(str(refused), cure="aura status shows the open questions.") from refused
    return True


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

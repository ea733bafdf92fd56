"""`aura answer QUESTION TEXT`: answer the planner, whether an engine runs or the next start is to go on with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from aura_engine.cli.options import add_data_options, command, print_json, run_folder
from aura_engine.errors import OwnedError, UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "answer",
        "Answer a question of the planner's; where no engine runs, start the goal again and it goes on.",
        "aura answer q1 use the second data set   the words need no quotes",
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
        from aura_engine.cli.offline import note

        try:
            refused = note(folder, {"kind": "answer", "question": arguments.question, "answer": answer})
        except OwnedError as error:
            raise OwnedError(str(error), cure="It is just starting or ending: try again.") from error
        if refused:
            raise UsageError(f"{refused}.", cure="aura status shows the open questions.")
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

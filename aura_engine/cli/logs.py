"""`aura logs TASK`: what a worker says and does, in the steps that the screen shows; or its output as it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from aura_engine import garbage
from aura_engine.cli.options import add_data_options, command, run_folder, task_and_number, the_task, told
from aura_engine.errors import UsageError

if TYPE_CHECKING:
    from aura_engine.core.state import RunState
    from aura_engine.report.steps import Step

POLL = 0.2
"""Seconds between two looks at a file that may grow."""
LINE_CAP = 1 << 18
"""Bytes of one line that are read into steps."""
RAW_CAP = 1 << 24
"""The same where lines are passed on as they are."""

Show = Callable[[str, "Step"], None]
"""Prints a step and the time that its line says of itself."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "logs",
        "What a task's worker says and does.",
        "aura logs               the attempt that was started last",
        "aura logs A1.2          the last attempt at a task; A1.2#1 is the first",
        "aura logs A1.2 -f       as it goes on, until the attempt has ended",
        "aura logs A1.2 --raw    its output as the program wrote it, as for jq",
    )
    made.add_argument("task", nargs="?", default="", metavar="TASK[#N]", help="a task's id (aura progress shows them)")
    made.add_argument("--follow", "-f", action="store_true", help="go on until the attempt has ended")
    made.add_argument("--raw", action="store_true", help="the output as it is instead of readable steps")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.cli.log_lines import as_json, as_text
    from aura_engine.paths import RunPaths

    folder = run_folder(arguments)
    state, _ = told(folder)
    task, number = attempt_of(state, arguments.task)
    attempt = state.tasks[task].attempts[number - 1]
    records = RunPaths(folder, folder).attempt(task, number)
    output = records / "output.jsonl"
    if not output.is_file() and not arguments.follow:
        raise UsageError(f"{task}#{number} has written nothing yet.", cure="aura logs -f waits for it.")
    over = (records / "exit.json").exists if arguments.follow and attempt.live else lambda: True
    garbage.begin()
    if arguments.raw:
        _pass_on(_chunks(output, over))
        return 0
    if not arguments.json:
        print(f"{task}#{number}, {attempt.role.value} {attempt.backend}", file=sys.stderr)
    _tell(_chunks(output, over), attempt.backend, as_json if arguments.json else as_text())
    return 0


def attempt_of(state: RunState, wanted: str) -> tuple[str, int]:
    """The attempt asked for: without a name the one that was started last. UsageError when there is none."""
    task, number = task_and_number(wanted)
    if not task:
        begun = [(each.attempts[-1].started, each.spec.id) for each in state.leaves() if each.attempts]
        if not begun:
            raise UsageError("No worker was started yet.", cure="aura status says what the run waits for.")
        task = max(begun)[1]
    the_task(state, task)
    if state.tasks[task].spec.group:
        raise UsageError(f"{task} is a group: only its tasks have workers.", cure="aura progress lists them.")
    attempts = len(state.tasks[task].attempts)
    if not attempts:
        raise UsageError(f"{task} has not been started yet.", cure="aura status says what the run waits for.")
    if number > attempts:
        raise UsageError(f"There is no {task}#{number}.", cure=f"{task} had {attempts} so far.")
    return task, number or attempts


def _chunks(path: Path, over: Callable[[], bool]) -> Iterator[bytes]:
    """What stands in the file and what is added to it, until it is over and all is read."""
    stream: BinaryIO | None = None
    try:
        while True:
            last = over()  # before reading: what was written until then is read
            if stream is None and path.is_file():
                stream = path.open("rb")
            while stream is not None and (chunk := stream.read(1 << 16)):
                yield chunk
            if last:
                return
            sys.stdout.flush()
            time.sleep(POLL)
    finally:
        if stream is not None:
            stream.close()


def _lines(chunks: Iterable[bytes], cap: int = LINE_CAP) -> Iterator[tuple[bytes, int]]:
    """Whole lines without their newline, cut at `cap` bytes, each with its whole size."""
    kept, size = b"", 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield (kept + piece)[:cap], size + len(piece)
            kept, size = b"", 0
        kept, size = (kept + rest)[:cap], size + len(rest)
    if size:
        yield kept, size


def _pass_on(chunks: Iterable[bytes]) -> None:
    """Line by line without secrets: to a terminal clean, to a program as they are."""
    from aura_engine.cli.redacting import redactor_here
    from aura_engine.core.text import clean

    redactor, tty = redactor_here(), sys.stdout.isatty()
    for line, _ in _lines(chunks, RAW_CAP):
        text = redactor(line.decode("utf-8", "surrogateescape"))
        if tty:
            print(clean(text))
        else:
            sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")


def _tell(chunks: Iterable[bytes], backend: str, show: Show) -> None:
    from aura_engine.cli.redacting import redactor_here
    from aura_engine.report.steps import raw_step, said_clock, steps_of
    from aura_engine.workers.parsers import parser_maker

    redactor = redactor_here()

    def tell(clock: str, step: Step) -> None:
        show(clock, replace(step, text=redactor(step.text)))

    parser = parser_maker(backend)()
    for line, size in _lines(chunks):
        if parser is None or size > len(line):
            tell(said_clock(line), raw_step(line, size))
            continue
        for step in steps_of(parser.feed(line + b"\n")):
            tell(said_clock(line), step)
    for step in steps_of(parser.close()) if parser is not None else ():
        tell("", step)

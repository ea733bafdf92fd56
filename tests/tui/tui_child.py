"""The screen on a real terminal, for tests: `python tui_child.py FOLDER`. A thread beats beside it, as an engine."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from textual.strip import Strip
from tui_fakes import FakeLink, story

from aura_engine.core import events as ev
from aura_engine.errors import AuraError
from aura_tui.base import Options
from aura_tui.run import Screen
from aura_tui.widgets.tree import TaskTree

EVIL = "\x1b]52;c;AAAA\x07\x1b[2Jevil \x9b31m\x1b]0;owned\x07 \u202e [@click=app.quit]x[/]"


def beat(path: Path) -> None:
    """A line every 20 ms."""
    with path.open("a") as file:
        while True:
            file.write(f"{time.monotonic()}\n")
            file.flush()
            time.sleep(0.02)


def break_it() -> None:
    """From now on a widget raises when it is painted."""

    def render_line(self: TaskTree, y: int) -> Strip:
        secret = "a local variable"
        raise ValueError(f"cannot paint {len(secret)}")

    TaskTree.render_line = render_line  # pyright: ignore[reportAttributeAccessIssue]


def wait_for_beats(path: Path, count: int) -> None:
    """Until the thread beside has beaten so many times more."""
    before = path.stat().st_size
    while path.stat().st_size < before + 10 * count:
        time.sleep(0.02)


def main(folder: Path) -> None:
    """Run until told to leave."""
    threading.Thread(target=beat, args=(folder / "beats",), daemon=True).start()
    run = story().add(ev.Notice(text=EVIL))
    link = FakeLink(run, {("A3.1", 1): folder / "out"})
    threading.Timer(0.5, os.write, (2, b"C CODE COMPLAINS")).start()
    threading.Timer(0.5, lambda: print("PYTHON COMPLAINS", file=sys.stderr)).start()
    screen = Screen(Options(theme=os.environ.get("CHILD_THEME", "")), folder / "log")
    signal.signal(signal.SIGHUP, lambda _number, _frame: screen.leave())
    signal.signal(signal.SIGUSR1, lambda _number, _frame: break_it())
    try:
        screen.show(link)
    except AuraError as error:
        print(error.line(), file=sys.stderr)
        (folder / "broke").write_text(str(time.monotonic()))
        wait_for_beats(folder / "beats", 10)
        sys.exit(1)
    (folder / "returned").write_text(f"background: {screen.background}")
    with contextlib.suppress(OSError):  # the terminal may be gone
        print("afterwards", file=sys.stderr, flush=True)
    os._exit(0)  # nothing of the tests' own is left to be written to a terminal that may be gone


if __name__ == "__main__":
    main(Path(sys.argv[1]))

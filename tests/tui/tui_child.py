"""The screen on a real terminal, for tests: `python tui_child.py FOLDER`. A thread beats beside it, as an engine."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tui_fakes import FakeLink, story

from aura_engine.core import events as ev
from aura_tui.base import Options
from aura_tui.run import Screen

EVIL = "\x1b]52;c;AAAA\x07\x1b[2Jevil \x9b31m\x1b]0;owned\x07 \u202e [@click=app.quit]x[/]"


def beat(path: Path) -> None:
    """A line every 20 ms."""
    with path.open("a") as file:
        while True:
            file.write(f"{time.monotonic()}\n")
            file.flush()
            time.sleep(0.02)


def main(folder: Path) -> None:
    """Run until told to leave."""
    threading.Thread(target=beat, args=(folder / "beats",), daemon=True).start()
    run = story().add(ev.Notice(text=EVIL))
    link = FakeLink(run, {("A3.1", 1): folder / "out"})
    threading.Timer(0.5, os.write, (2, b"C CODE COMPLAINS")).start()
    threading.Timer(0.5, lambda: print("PYTHON COMPLAINS", file=sys.stderr)).start()
    screen = Screen(Options(theme="aura-dark"), folder / "log")
    screen.show(link)
    (folder / "returned").write_text(f"background: {screen.background}")
    print("afterwards", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

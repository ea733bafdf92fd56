"""`aura diff`: the whole run, a task, an attempt; in colours on a terminal, as git wrote it to a program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from aura_engine.cli.main import main
from aura_engine.workspace.reader import StoreReader

Say = Callable[..., str]


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    ("words", "of", "holds"),
    [((), "run", "+KEY = '[secret]'"), (("A1",), "landed", "+KEY = '[secret]'"), (("A1#1",), "left", "+wrong")],
)
def test_what_is_compared(words: tuple[str, ...], of: str, holds: str, say: Say) -> None:
    found = json.loads(say("diff", *words, "--json"))
    assert (found["of"], found["cut"]) == (of, False)
    assert [(file["path"], file["what"]) for file in found["files"]] == [("moon.py", "new")]
    assert holds in found["patch"].split("\n")


@pytest.mark.usefixtures("ran")
def test_the_files_and_their_lines(say: Say) -> None:
    assert say("diff", "--stat").splitlines() == ["    +2 −0     moon.py  new", "+2 −0 in 1 file"]


@pytest.mark.usefixtures("ran")
def test_nothing_is_said_on_standard_output_where_nothing_was_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "A2"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Nothing was changed by A2 yet.\n")


def test_git_takes_it(ran: Any, say: Say) -> None:
    patch = say("diff")
    (ran.project / "README.md").write_text("hello\n")
    subprocess.run(["git", "apply", "-"], cwd=ran.project, input=patch, text=True, check=True)
    assert (ran.project / "moon.py").read_text().startswith("KEY = '[secret]'\n")


@pytest.mark.usefixtures("ran")
def test_a_terminal_gets_colours_of_ours_alone(monkeypatch: pytest.MonkeyPatch, say: Say) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    said = say("diff")
    assert "\x1b[32m+KEY" in said
    assert "\x1b]0;" not in said
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in say("diff")


def test_reading_leaves_the_store_as_it_is(ran: Any, say: Say) -> None:
    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in ran.paths.store.rglob("*") if path.is_file()}

    before = everything()
    assert say("diff")
    assert everything() == before


def test_a_long_diff_is_cut_at_a_line(ran: Any) -> None:
    task = ran.state.tasks["A1"].attempts[-1]
    with StoreReader(ran.paths.store) as reader:
        whole = reader.diff(task.base, task.snapshot, limit=1_000_000)
        part = reader.diff(task.base, task.snapshot, limit=len(whole.text.encode()) - 3)
    assert part.cut
    assert not whole.cut
    assert whole.text.startswith(part.text)
    assert part.text.endswith("\n")

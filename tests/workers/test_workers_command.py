"""Backends `command` and `ds_code`: programs that print plain text."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aura_engine.core.model import EndKind, ExitRecord, SignalKind
from aura_engine.errors import ConfigError, MissingProgram
from aura_engine.workers.base import Job, RoleSettings, Seen
from aura_engine.workers.command import KEPT, Command, TextParser
from aura_engine.workers.ds_code import DsCode
from aura_engine.workers.stream import TEXT_CAP
from aura_engine.workers.table import find_program

FAKE = f"""#!{sys.executable}
import json, os, sys
names = "HOME", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "DS_CODE_MAX_TURNS", "AURA_API_KEY", "AURA_MODEL"
said = {{"argv": sys.argv[1:], "prompt": sys.stdin.read(), "cwd": os.getcwd()}}
with open("said.json", "w") as file:
    json.dump(said | {{name: os.environ.get(name) for name in names}}, file)
print("\\x1b[32mworking\\x1b[0m")
print("all done")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A fake `ds-code`, found on a PATH of its own."""
    path = tmp_path / "bin" / "ds-code"
    path.parent.mkdir()
    path.write_text(FAKE)
    path.chmod(0o755)
    return path


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name in ("work space", "home/tmp", "attempt"):
        (tmp_path / name).mkdir(parents=True)
    return Job(
        prompt="Do “it”.\n",
        workspace=tmp_path / "work space",
        home=tmp_path / "home",
        folder=tmp_path / "attempt",
        settings=RoleSettings(backend="command", api_key="k-1", base_url="http://h", model="m 1"),
        session="s",
        max_turns=7,
        budget=60,
    )


def with_settings(job: Job, **settings: object) -> Job:
    return replace(job, settings=replace(job.settings, **settings))


def run(backend: Command, job: Job):
    """What the program was told, and how its backend sees the end."""
    spec = backend.launch(job)
    for name, text in spec.files.items():
        (job.home / name).write_text(text)
    done = subprocess.run(
        spec.argv, input=spec.stdin.encode(), env=spec.env, cwd=spec.cwd, capture_output=True, check=False
    )
    parser, seen = backend.parser(job), Seen()
    seen.add_all(parser.feed(done.stdout) + parser.close())
    ending = backend.ending(ExitRecord(code=done.returncode), seen, done.stderr.decode())
    return json.loads((job.workspace / "said.json").read_text()), ending


def end(output: bytes, *, stderr: str = "", **record: object):
    parser, seen = TextParser(), Seen()
    seen.add_all(parser.feed(output) + parser.close())
    return Command().ending(ExitRecord(**record), seen, stderr)


def test_a_command_is_run_as_written(program, job):
    line = f"{program} --in {{workspace}} -m '{{model}}' --n={{max_turns}} '{{\"a\": {{}}}}' --file {{prompt_file}}"
    said, ending = run(Command(), with_settings(job, command=line))
    assert said["argv"][:6] == ["--in", str(job.workspace), "-m", "m 1", "--n=7", '{"a": {}}']
    assert Path(said["argv"][-1]).read_text() == said["prompt"] == "Do “it”.\n"
    assert (said["cwd"], said["HOME"]) == (str(job.workspace), str(job.home))
    assert (said["AURA_API_KEY"], said["AURA_MODEL"], said["DEEPSEEK_API_KEY"]) == ("k-1", "m 1", None)
    assert (ending.kind, ending.claims, ending.detail) == (EndKind.FINISHED, "working\nall done", "")


def test_ds_code_is_called_by_its_contract(program, job):
    wanted = with_settings(job, backend="ds_code", base_url="")
    found = find_program(DsCode(), wanted.settings, {"PATH": str(program.parent)})
    said, ending = run(DsCode(), replace(wanted, settings=found))
    assert said["argv"] == ["run", "--workspace", str(job.workspace), "--no-color", "--model", "m 1"]
    assert (said["DEEPSEEK_API_KEY"], said["DEEPSEEK_BASE_URL"], said["DS_CODE_MAX_TURNS"]) == ("k-1", None, "7")
    assert said["prompt"] == "Do “it”.\n"
    assert ending.kind is EndKind.FINISHED


def test_ds_code_leaves_the_model_to_the_program(job):
    assert "--model" not in DsCode().launch(with_settings(job, model="")).argv


def test_a_placeholder_puts_in_nothing_but_its_value(job):
    spec = Command().launch(with_settings(job, command="x {model}", model="{workspace}; rm -rf /"))
    assert spec.argv == ("x", "{workspace}; rm -rf /")


def test_the_program_of_a_command_is_looked_for_before_the_start(program):
    settings = RoleSettings(backend="command", command="ds-code --fast")
    found = find_program(Command(), settings, {"PATH": str(program.parent)})
    assert found.program == str(program)
    assert Command().launch(_job(found)).argv == (str(program), "--fast")
    with pytest.raises(MissingProgram) as raised:
        find_program(Command(), settings, {"PATH": "/nowhere"})
    assert "“ds-code”" in str(raised.value)
    assert "AURA_PRO_COMMAND" in raised.value.cure


def _job(settings: RoleSettings) -> Job:
    here = Path("/w")
    return Job(prompt="", workspace=here, home=here, folder=here, settings=settings, session="", max_turns=1, budget=1)


@pytest.mark.parametrize(("command", "words"), [("", "no command line"), ("  ", "no command line"), ("x 'y", "read")])
def test_a_command_line_that_is_none(command, words):
    settings = RoleSettings(backend="command", command=command)
    for attempt in (lambda: find_program(Command(), settings, {}), lambda: Command().launch(_job(settings))):
        with pytest.raises(ConfigError, match=words) as raised:
            attempt()
        assert "AURA_PRO_COMMAND or AURA_FLASH_COMMAND" in raised.value.cure


# ---- what it prints


def test_lines_are_told_as_they_come():
    parser = TextParser()
    assert parser.feed(b"half a ") == []
    assert [signal.text for signal in parser.feed(b"line\nand a ")] == ["half a line"]
    assert parser.feed(b"") == []
    assert [signal.text for signal in parser.close()] == ["half a line\nand a"]
    whole = TextParser()
    assert [signal.text for signal in whole.feed(b"one\ntwo\n")] == ["one\ntwo"]
    assert whole.close() == []
    assert [signal.kind for signal in whole.feed(b"x\n")] == [SignalKind.MESSAGE]


def test_a_flood_is_one_bounded_message_per_chunk():
    parser = TextParser()
    signals = [signal for _ in range(100) for signal in parser.feed(b"y\n" * 30_000)]
    assert len(signals) == 100
    assert max(len(signal.text) for signal in signals) <= TEXT_CAP
    endless = TextParser()
    for _ in range(100):
        assert endless.feed(b"z" * 60_000) == []
    assert len(endless.close()[0].text) == TEXT_CAP
    assert len(endless._end) == KEPT


def test_escapes_and_broken_text_are_harmless():
    (signal,) = TextParser().feed(b"\x1b]0;title\x07\x1b[31mred\x1b[0m \xff\xfe\r\nnext\n")
    assert "\x1b" not in signal.text
    assert signal.text.startswith("red ")
    assert signal.text.endswith("next")


# ---- how it ended


@pytest.mark.parametrize(
    ("output", "stderr", "kind"),
    [
        (b"working\n", "Error: 429 Too Many Requests, try again in 20 minutes\n", EndKind.RATE_LIMIT),
        (b"working\nHTTP 401 Unauthorized\n", "", EndKind.CREDENTIALS),
        (b"working\n", "insufficient balance\n", EndKind.MONEY),
        (b"working\n", "connection refused\n", EndKind.UNREACHABLE),
        (b"working\n", "Traceback: boom\n", EndKind.CRASHED),
        (b"", "", EndKind.CRASHED),
        # what it wrote about its task, further up, is no reason
        (b"The authentication module is unauthorized.\nI\ngive\nup\n", "", EndKind.CRASHED),
    ],
)
def test_a_failure_is_told_by_its_last_words(output, stderr, kind):
    found = end(output, stderr=stderr, code=1)
    assert found.kind is kind
    assert found.detail
    assert (found.retry_after == 1200) == (kind is EndKind.RATE_LIMIT)


def test_success_is_exit_status_zero_and_nothing_else():
    assert end(b"401 Unauthorized\n", code=0).kind is EndKind.FINISHED
    assert end(b"", code=0).kind is EndKind.FINISHED
    assert end(b"all done\n", code=3).kind is EndKind.CRASHED
    assert end(b"all done\n", code=None, signal=11).kind is EndKind.CRASHED
    assert end(b"all done\n", code=None, signal=15).kind is EndKind.KILLED
    assert end(b"all done\n", code=143).kind is EndKind.KILLED
    assert end(b"", code=None, error="x: No such file or directory").kind is EndKind.MISSING_CLI
    assert end(b"", code=127, stderr="x: y: not found\n").kind is EndKind.MISSING_CLI

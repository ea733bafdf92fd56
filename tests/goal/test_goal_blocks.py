from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.errors import GoalError
from aura_engine.goal.blocks import BlockError, parse_goal
from aura_engine.goal.read import GoalText

WHOLE = """# Make a report

Some prose.

```check
name = "unit tests"
run = "python -m pytest -q"
report = "junit"
min_tests = 12
timeout = "10m"
```

```check
name = "sharpe"
run = "python backtest.py --out metrics.json"
file = "metrics.json"
value = "sharpe"
at_least = 1.5
hidden = true
```

~~~check
name = "report"
judge = "Compares at least three models."
file = "report.md"
~~~

```prepare
run = "python -m venv .venv"
from = ["requirements.txt"]
makes = [".venv"]
share = ["data/"]
network = true
```
Last words.
"""


def problems(parse, text: str) -> list[str]:
    with pytest.raises(BlockError) as caught:
        parse(text)
    assert isinstance(caught.value, GoalError)
    assert "Nothing was started" in caught.value.cure
    return str(caught.value).split("\n")


def check(*lines: str) -> str:
    return "\n".join(("```check", *lines, "```", ""))


def test_a_whole_goal(parse):
    goal = parse(WHOLE)
    tests, sharpe, report = goal.checks
    assert (tests.kind, tests.report, tests.min_tests, tests.timeout) == ("run", "junit", 12, 600.0)
    assert (sharpe.kind, sharpe.at_least, sharpe.hidden) == ("value", 1.5, True)
    assert (report.kind, report.file) == ("judge", "report.md")
    assert all(item.person for item in goal.checks)
    assert goal.prepare is not None
    assert goal.prepare.from_ == ("requirements.txt",)
    assert (goal.prepare.makes, goal.prepare.share, goal.prepare.network) == ((".venv",), ("data",), True)
    assert goal.text == WHOLE
    assert goal.notes == ()


def test_workers_prose_lacks_hidden_blocks_and_nothing_else(parse):
    prose = parse(WHOLE).prose
    assert "sharpe" not in prose
    assert "metrics.json" not in prose
    start, end = WHOLE.index('```check\nname = "sharpe"'), WHOLE.index("\n~~~check")
    assert prose == WHOLE[:start] + WHOLE[end:]


def test_a_goal_without_blocks(parse):
    goal = parse("Just do it.\n")
    assert (goal.checks, goal.prepare, goal.prose, goal.notes) == ((), None, "Just do it.\n", ())


@pytest.mark.parametrize(
    "text",
    [
        "````markdown\n```check\nrun = 'x'\n```\n````\n",
        "~~~\n```check\nrun = 'x'\n```\n~~~\n",
        "````\n~~~check\nbroken\n~~~\n````\n",
        "```python\ncheck = 1\n```\n",
        "a `check` in the text, and ```check run``` too\n",
        "<!--\n```check\nbroken\n```\n-->\n",
    ],
)
def test_what_is_prose(parse, text):
    goal = parse(text)
    assert (goal.checks, goal.notes) == ((), ())


def test_a_comment_never_reaches_workers(parse):
    goal = parse("Before.\n<!-- aside\n```check\nrun = 'secret probe'\nhidden = true\n```\n-->\nAfter.\n")
    assert goal.prose == "Before.\nAfter.\n"


@pytest.mark.parametrize(
    "text",
    [
        "   ```check\n   run = 'x'\n   ```\n",
        "````check\nrun = 'x'\n````\n",
        "``` check   and more words\nrun = 'x'\n`````  \n",
        "~~~ check\nrun = 'x'\n~~~~\n",
        "paragraph\n```check\nrun = 'x'\n```\nparagraph\n",
    ],
)
def test_what_is_a_block(parse, text):
    assert [item.run for item in parse(text).checks] == ["x"]


def test_a_long_fence_holds_shorter_ones(parse):
    goal = parse("````check\nname = 'doc'\nfile = 'README.md'\nmatches = '''\n```check\n'''\n````\n")
    assert goal.checks[0].matches == "```check\n"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("- item\n\n    ```check\n    run = 'x'\n    ```\n", "task.md line 3: a block that is quoted or indented"),
        ("> ```check\n> run = 'x'\n> ```\n", "task.md line 1: a block that is quoted or indented"),
        ("```checks\nrun = 'x'\n```\n", "task.md line 1: a block marked `checks` is prose; only `check` counts"),
        ("```Prepare\nrun = 'x'\n```\n", "task.md line 1: a block marked `Prepare` is prose; only `prepare` counts"),
    ],
)
def test_what_may_be_a_mistake_is_noted(parse, text, note):
    goal = parse(text)
    assert goal.checks == ()
    assert goal.notes[0].startswith(note)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n```check\nrun = 'x'\n", "line 2: the `check` block that begins here is never closed"),
        (
            "```python\nx\n\n```check\nrun = 'x'\n```\n",
            "line 1: what begins here is not closed before the block at line 4",
        ),
        ("````\nx\n```check\nrun = 'x'\n```\n", "line 1: what begins here is not closed before the block at line 3"),
        ("<!-- note\n```check\nrun = 'x'\n```\n", "line 1: what begins here is not closed before the block at line 2"),
    ],
)
def test_a_block_is_never_lost_in_silence(parse, text, problem):
    assert any(problem in line for line in problems(parse, text))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["run = 'x'", "at_leats = 1"], "task.md line 3: unknown key `at_leats`; did you mean `at_least`?"),
        (["run = 'x'", "zzzz = 1"], "line 3: unknown key `zzzz`; known are name, run, file"),
        (["run = 'x'", "person = false"], "line 3: unknown key `person`"),
        (["", "run = x"], "line 3: not valid TOML: Invalid value"),
        (["run = 'x'", "run = 'y'"], "line 3: not valid TOML: Cannot overwrite a value"),
        (["run = 'x'", "timeout = 'soon'"], "line 3: `timeout`: “soon” is not a length of time"),
        (["run = 'x'", "timeout = true"], "line 3: `timeout`: “True” is not a length of time"),
        (["run = 'x'", "timeout = '2d'"], "line 3: `timeout` must be less than or equal to 86400"),
        (["run = 'x'", "hidden = 'perhaps'"], "line 3: `hidden` must be true or false"),
        (["run = 7"], "line 2: `run` must be a text in quotes"),
        (["run = ' '"], "line 2: `run` must not be empty"),
        (['name = "a\\u001b[2J"', "run = 'x'"], "line 2: `name` has characters that cannot be shown"),
        (["file = '../x'"], "line 2: `file`: “../x” is not a path inside the project"),
        (["file = '/etc/passwd'"], "line 2: `file`: “/etc/passwd” is not a path inside the project"),
        (["file = '.git/config'"], "line 2: `file`: “.git/config” is not part of the work"),
        (["file = 'a'", "matches = '['"], "line 3: `matches` is not a regular expression"),
        (["run = 'x'", "matches = 'a'"], "line 1: `matches` and `min_bytes` need a `file`"),
        (["run = 'x'", "min_bytes = 1"], "line 1: `matches` and `min_bytes` need a `file`"),
        (["run = 'x'", "at_least = 1"], "line 1: a bound needs the `value` it bounds"),
        (["file = 'a'", "value = 'b'"], "line 1: `value` needs a bound"),
        (["run = 'x'", "value = 'b'", "equals = 1"], "line 1: `value` needs the `file` it is read from"),
        (["judge = 'good'", "run = 'x'"], "line 1: a judge decides by its rubric"),
        (["hidden = true"], "line 1: a check needs one of: run, file, judge"),
        (["file = 'a'", "value = 'b'", "at_least = nan"], "line 4: `at_least` must be a number"),
        (["file = 'a'", "value = 'b'", "at_least = 2", "at_most = 1"], "line 1: `at_least` is above `at_most`"),
        (["run = 'x'", "report = 'tap'"], "line 1: `report` can only be “junit”"),
        (["run = 'x'", "min_tests = 2"], "line 1: `min_tests` needs report"),
        (["run = 'x'", "min_tests = 1.5"], "line 3: `min_tests` must be a whole number"),
        (["run = 'x'", "reproduce = false"], "line 1: `reproduce = false` needs the `file`"),
        (["run = 'x'", "uses = 'a'"], "line 3: `uses` must be a list of paths"),
    ],
)
def test_malformed_checks(parse, lines, problem):
    found = problems(parse, check(*lines))
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("runn = 'x'", "line 2: unknown key `runn`; did you mean `run`?"),
        ("", "line 1: a `prepare` block needs `run` or `share`"),
        ("makes = ['a']", "line 2: `makes` needs the `run` that makes it"),
        ("run = 'x'\nmakes = 'a'", "line 3: `makes` must be a list of paths"),
        ("share = ['../data']", "line 2: `share`: “../data” is not a path inside the project"),
        ("run = 'x'\nmakes = ['.git']", "line 3: `makes`: “.git” is not part of the work"),
        ("run = 'x'\nnetwork = 'perhaps'", "line 3: `network` must be true or false"),
    ],
)
def test_malformed_prepare(parse, body, problem):
    found = problems(parse, f"```prepare\n{body}\n```\n")
    assert found == [found[0]]
    assert problem in found[0]


def test_every_problem_is_told_at_once_in_order(parse):
    text = check("nam = 'a'", "tiemout = 3") + "prose\n" + check("run = ") + check("name = 'a'", "run = 'x'") * 2
    found = problems(parse, text)
    assert [line.split(":")[0] for line in found] == [f"task.md line {n}" for n in (2, 3, 7, 14)]
    assert found[-1].endswith("the name “a” is already taken by the check at line 9")


def test_unnamed_checks_are_named_by_what_they_do(parse):
    text = (
        check("run = 'make test'") * 2
        + check("file = 'a.json'", "value = 'b'", "equals = 1")
        + check("judge = 'good'", "file = 'a'")
    )
    names = [item.name for item in parse(text + check("run = 'x'", "name = 'make test (2)'")).checks]
    assert names == ["make test", "make test (3)", "a.json: b", "judge: good", "make test (2)"]


def test_values_as_written(parse):
    text = check("file = 'a.json'", "value = 'b'", "equals = true", "timeout = 90") + check(
        "run = 'x'", "files = { 'probe.py' = 'print(1)' }", "uses = ['tests/']", "part = 'report'"
    )
    first, second = parse(text).checks
    assert first.equals is True
    assert first.timeout == 90.0
    assert (second.files, second.uses, second.part) == ({"probe.py": "print(1)"}, ("tests",), "report")


def test_several_prepare_blocks_become_one(parse):
    text = (
        "```prepare\nrun = 'false || echo one > a # first'\nfrom = ['x']\nmakes = ['a']\ntimeout = '1m'\n```\n"
        "```prepare\nshare = ['data', 'more']\n```\n"
        "```prepare\nrun = 'cd /; cd - >/dev/null; echo two > b'\nfrom = ['x', 'y']\nmakes = ['b']\nshare = ['data']\n"
        "network = true\ntimeout = '2m'\n```\n"
    )
    merged = parse(text).prepare
    assert (merged.from_, merged.makes, merged.share) == (("x", "y"), ("a", "b"), ("data", "more"))
    assert merged.network is True
    assert merged.timeout == 60 + 1800 + 120


def test_merged_commands_run_each_from_the_same_place_and_stop_at_the_first_failure(parse, tmp_path):
    def run(*commands: str) -> int:
        text = "".join(f"```prepare\nrun = '''{command}'''\n```\n" for command in commands)
        return subprocess.run(["/bin/sh", "-c", parse(text).prepare.run], cwd=tmp_path, check=False).returncode

    assert run("false || echo one > a # first", "cd /", "echo two > b") == 0
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("one\n", "two\n")
    assert run("exit 3", "touch c") == 3
    assert not (tmp_path / "c").exists()


def test_deep_nesting_is_a_problem_and_no_crash(parse):
    assert "not valid TOML" in problems(parse, check("x = " + "[" * 20_000))[0]


PIECES = ["text", "```", "~~~", "````", "   ```", "<!--", "-->", "```check", "~~~prepare", "````check", "run = 'x'"]


@given(st.lists(st.sampled_from([*PIECES, "hidden = true", "name = 'PROBE'"]) | st.text(max_size=8), max_size=30))
def test_whatever_the_text_is_it_is_understood_or_refused(lines):
    text = "\n".join(lines) + "\n"
    try:
        goal = parse_goal(GoalText(Path("task.md"), text, ""))
    except BlockError as error:
        found = error.problems
    else:
        found = ()
        if any(item.name == "PROBE" and item.hidden for item in goal.checks):
            assert goal.prose.count("PROBE") < text.count("PROBE")
        assert set(goal.prose.split("\n")) <= set(text.split("\n"))
    assert all(1 <= problem.line <= text.count("\n") for problem in found)


def test_the_number_of_blocks_is_bounded(parse):
    block = check("run = 'x'")
    assert len(parse(block * 500).checks) == 500
    assert problems(parse, block * 501) == ["task.md line 1501: more than 500 blocks"]

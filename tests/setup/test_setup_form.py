"""`aura setup` line by line, on a real terminal: the way through, every failure in its words, and leaving."""

from __future__ import annotations

import stat
import subprocess
import sys

KEY = "sk-right-0123456789abcdef"


def test_from_the_first_question_to_a_file_that_works(terminal, stage):
    at = terminal("setup")
    at.wait("[1/8] The planner", "5 Another service", "Which [1]:")
    at.press("9\n")
    at.wait("Give a number from 1 to 5.", "Which [1]:")
    at.press("\x1b[B\x1b[B\n")
    at.wait("That holds an arrow key", "Which [1]:")
    at.press("5\n")
    at.wait("[2/8]", "Address")
    at.press("nowhere\n")
    at.wait("Key (")
    at.press(f"{KEY}\n")
    at.wait("Model (")
    assert KEY not in at.all, "a key is not echoed"
    at.press("right-model\n")
    at.wait("Protocol (")
    at.press("\n")
    at.wait("That cannot be: AURA_API_BASE_URL: it must be an address that begins with http://", "Address")
    at.press(f"{stage.url}/v1\n")
    at.wait("Key (")
    at.press(f"{KEY}\n")
    at.wait("Model (")
    at.press("right-model\n")
    at.wait("Protocol (")
    at.press("openai\n")
    at.wait("✓ planner: right-model answers:", "[3/8] The workers", "Which [2]:")
    at.press("\n")
    at.wait("[4/8]", "Which [1]:")
    at.press("<\n")
    at.wait("[3/8]", "Which [2]:")
    at.press("\n")
    at.wait("[4/8]", "Which [1]:")
    at.press("\n")
    for role in ("Pro", "Flash"):
        for question in ("Address", "Key", "Model"):
            at.wait(f"{question} (empty: the planner's) []:")
            at.press("\n")
        at.wait("✓ builtin: comes with Aura", f"✓ {role.lower()}: right-model answers")
    at.wait("[7/8] Docker", "Which [1]:")
    at.press("\n")
    at.wait("[8/8] Save", "AURA_API_KEY = …cdef", "Which [1]:")
    assert not stage.config.exists(), "nothing is written before the end"
    at.press("\n")
    at.wait(f"Your configuration is in {stage.config}.", "aura doctor --probe")
    assert at.left() == 0
    assert KEY not in at.all
    assert stat.S_IMODE(stage.config.stat().st_mode) == 0o600
    assert f'api_key = "{KEY}"' in stage.config.read_text()


def test_what_fails_is_said_with_what_to_do_and_one_may_go_on(terminal, stage, dead_url):
    stage.config.parent.mkdir(parents=True)
    stage.config.write_text(stage.answers.replace(f"{stage.url}/v1", dead_url) + 'docker_host = "unix:///none.sock"\n')
    stage.config.chmod(0o600)
    before = stage.config.read_text()
    at = terminal("setup")
    at.wait("Which [4]:")
    at.press("\n")
    for question in ("Address", "Key", "Model"):
        at.wait(question, "]:")
        at.press("\n")
    at.wait("✗ planner: right-model did not answer:", "cannot be reached", "Check the network and AURA_API_BASE_URL")
    at.wait("Enter asks again, g goes on anyway:")
    at.press("\n")
    at.wait("Address")
    at.press(f"{stage.url}/v1\n")
    at.wait("Key")
    at.press("sk-wrong-0123456789\n")
    at.wait("Model")
    at.press("\n")
    at.wait("refused with 401", "Check AURA_API_KEY and that it belongs to AURA_API_BASE_URL", "goes on anyway:")
    at.press("g\n")
    at.wait("[3/8]", "As it is now (pro: builtin, flash: builtin)", "Choose each role's program", "Which [1]:")
    at.press("6\n")
    at.wait("Which role gets a task", "Which [1]:")
    at.press("4\n")
    at.wait("Pro: its program", "1 claude · Claude Code (not installed. Install it with: npm install -g", "Which [6]:")
    at.press("1\n")
    for question in ("Address", "Key", "Model"):
        at.wait(question, "]:")
        at.press("\n")
    at.wait("✗ claude: The worker program “claude” of the backend “claude” is not on PATH", "goes on anyway:")
    at.press("g\n")
    at.wait("Docker", "Which [1]:")
    at.press("2\n")
    at.wait("✗ docker: No Docker engine runs here: there is no /none.sock", "--no-docker", "goes on anyway:")
    at.press("g\n")
    at.wait("AURA_WORKERS_IN_DOCKER = 1", "Which [1]:")
    at.press("2\n")
    at.wait("Left: nothing was changed.")
    assert at.left() == 1
    assert stage.config.read_text() == before


def test_leaving_in_the_middle_changes_nothing(terminal, stage):
    for keys in ("\x03", "\x04"):
        at = terminal("setup")
        at.wait("Which [1]:")
        at.press("5\n")
        at.wait("Address")
        assert at.interrupt(keys) == 1
        assert "Left: nothing was changed." in at.all
        assert "Traceback" not in at.all
    assert not stage.config.exists()


def test_a_narrow_terminal_without_unicode(terminal):
    at = terminal("setup", LC_ALL="C", PYTHONIOENCODING="ascii", COLUMNS="40")
    seen = at.wait("Which [1]:")
    assert seen.isascii()
    assert max(len(line) for line in seen.replace("\r", "").split("\n")) <= 40
    assert at.interrupt() == 1


def test_it_wants_a_terminal(stage):
    done = subprocess.run(
        [sys.executable, "-m", "aura_engine.cli", "setup"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**stage.environ}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "aura: aura setup asks questions, and this is no terminal. Give the answers: --from FILE\n"

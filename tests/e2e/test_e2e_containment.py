"""Whole runs behind a wall: what workers, checks and `prepare` try to reach, and what the run says about it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write

DONE = Claim("Done.")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")


@pytest.mark.parametrize("wall", ["bubblewrap", "landlock"])
def test_nobody_reaches_what_is_not_theirs(bench, hermetic: Path, wall: str):
    key = hermetic / ".ssh/id"
    key.parent.mkdir()
    key.write_text("key")
    project = bench.project
    bench.write({"notes.txt": "mine\n", "data/big.csv": "1,2,3\n", ".gitignore": "data/\nnotes.txt\n"})
    bench.git("init", "-q")
    bench.git("add", "-A")
    bench.git("commit", "-qm", "start")
    theirs = (key, project / "notes.txt", project / ".aura/*/journal.db")
    peeks = "cat " + " ".join(str(path).replace(" ", "\\ ") for path in theirs)
    # a prepared program that names the place it was made for
    makes = "mkdir .deps && echo echo deps > .deps/words && echo \". '$PWD/.deps/words'\" > .deps/tool"
    prepare = f"{peeks} 2> .errors | grep -q . && exit 9; rm .errors; {makes}"
    bench.write(
        {"task.md": f"# Use\n\n```prepare\nrun = '''{prepare}'''\nmakes = [\".deps\"]\nshare = [\"data/\"]\n```\n"}
    )
    uses = 'test "$(sh .deps/tool)" = deps && grep -q 1,2,3 data/big.csv'
    changes = f"echo x > data/big.csv; echo x > data/new; echo x > '{project}/notes.txt'; rm -f '{key}'"
    tries = f"{peeks} > seen.txt; {changes}; {uses} && echo ok > out.txt"
    check = f"{uses} && test -s out.txt && ! {peeks} 2> /dev/null | grep -q ."
    plan = {"tasks": [task("Use", check)], "checks": [{"name": "used", "run": check}]}
    done = bench.run(plan_brain(plan, {"Use": [tries, DONE]}), AURA_CONTAINMENT=wall)
    assert (done.status, done.exit) == ("achieved", 0)
    assert done.of("engine_started")[0]["containment"] == wall
    assert bench.git("show", "aura/task:seen.txt") == ""
    assert (project / "data/big.csv").read_text() == "1,2,3\n"
    assert not (project / "data/new").exists()
    assert (project / "notes.txt").read_text() == "mine\n"
    assert key.read_text() == "key"


def test_a_check_has_no_network_unless_it_says_so(bench):
    bench.write({"task.md": "# Greet\n"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        connects = f"{sys.executable} -c 'import socket; socket.create_connection({address}, 5)' 2> /dev/null"
        connects = connects.replace("('", '("').replace("',", '",')
        greet = task("Greet", f"test -s greeting.txt && ! {connects}")
        greet["checks"].append({"name": "net", "run": f"test -s greeting.txt && {connects}", "network": True})
        plan = {"tasks": [greet], "checks": [{"name": "g", "file": "greeting.txt"}]}
        done = bench.run(plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]}))
    assert done.status == "achieved"


def test_no_wall_takes_consent_and_is_said_loudly(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    done = bench.run(plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]}), AURA_CONTAINMENT="none")
    assert done.status == "achieved"
    assert done.of("engine_started")[0]["containment"] == "none"
    (notice,) = [event for event in done.of("notice") if "AURA_CONTAINMENT=none" in event["text"]]
    assert notice["level"] == "warning"

"""What doctor says of worker programs: fake ones on PATH that behave in every way but the right one."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from aura_engine.doctor import programs
from aura_engine.doctor.examine import Question, examine
from aura_engine.doctor.findings import Finding, Level, Report, Section
from aura_engine.runtimes.walls import available

KEY = "sk-canary-6f1d9b0c7a2e4835"


@dataclass
class Clinic:
    """A person's home and project, and doctor to look at them."""

    home: Path
    project: Path
    bin: Path

    def program(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    async def look(self, *, probe: bool = False, **settings: str) -> list[Finding]:
        found: list[Finding] = []
        environ = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin"}
        base = {"worker_mode": "pro-only", "containment": "none", "pro_api_key": KEY, "api_key": "k"}
        flags = {name: value for name, value in {**base, **settings}.items() if value}
        await examine(Question(self.project, flags, environ, probe=probe), found.append)
        assert Report.model_validate_json(Report.of("0", found).model_dump_json()).findings == tuple(found)
        assert not list((self.home / ".local/state/aura").iterdir()), "doctor leaves nothing behind"
        return found


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    made = Clinic(tmp_path / "home", tmp_path / "project", tmp_path / "bin")
    for folder in (made.home, made.project, made.bin):
        folder.mkdir()
    return made


def of(found: list[Finding], about: str) -> Finding:
    (finding,) = [each for each in found if each.section is Section.BACKENDS and each.about == about]
    return finding


FAKES = [
    ("echo '2.1.197 (Claude Code)'", Level.GOOD, "the version that Aura was tried with", Level.GOOD),
    ("echo '9.9.9 (Claude Code)'", Level.WARNING, "9.9.9 at .*tried with 2.1.197", Level.NOTE),
    ("echo hello", Level.WARNING, "says no version", Level.NOTE),
    ("echo 'licence expired' >&2; exit 1", Level.PROBLEM, "exit status 1 .*licence expired", Level.WARNING),
    ("sleep 600", Level.PROBLEM, r"did not say its version within 0\.5 s", Level.WARNING),
    ("kill -9 $$", Level.PROBLEM, "by signal 9", Level.WARNING),
    ("while :; do echo 2.1.197 2.1.197 2.1.197 2.1.197; done", Level.PROBLEM, "far more than", Level.WARNING),
    ("#!/nonexistent/node\n", Level.PROBLEM, "cannot be started", Level.WARNING),
    (r"printf '\033]0;evil\007\033[31m\377\376 2.1.197\033[0m\r\n'", Level.GOOD, "2.1.197 at", Level.GOOD),
    (r"printf '\033]52;c;ZXZpbA==\007\377no\033[2J\n'; exit 4", Level.PROBLEM, "status 4 .*no", Level.WARNING),
]


@pytest.mark.parametrize(("text", "used", "words", "unused"), FAKES)
async def test_a_program_is_tried(clinic, monkeypatch, text, used, words, unused):
    monkeypatch.setattr(programs, "LIMIT", 0.5 if "sleep" in text else 20.0)
    path = clinic.program("claude", text)
    found = await clinic.look(pro_backend="claude")
    finding = of(found, "claude")
    assert finding.level is used
    assert re.search(words, finding.text), finding.text
    assert "used by pro" in finding.text
    assert finding.facts["path"] == str(path)
    assert all(finding.cure for finding in found if finding.level is Level.PROBLEM)
    everything = "".join(each.model_dump_json() for each in found)
    assert not [word for word in ("\\u001b", "\\u0007", "evil") if word in everything]
    if "sleep" not in text:
        other = await clinic.look(pro_backend="builtin", pro_base_url="http://127.0.0.1:9")
        assert of(other, "claude").level is unused
        assert Report.of("0", other).can_start


async def test_what_is_missing_matters_only_where_it_is_used(clinic):
    found = await clinic.look(pro_backend="codex")
    used, unused = of(found, "codex"), of(found, "claude")
    assert (used.level, unused.level) == (Level.PROBLEM, Level.NOTE)
    assert "“codex” of the backend “codex” is not on PATH" in used.text
    assert "npm install -g @openai/codex" in used.cure
    assert "npm install -g @anthropic-ai/claude-code" in unused.cure
    about = [each.about for each in found if each.section is Section.BACKENDS]
    assert about == ["codex", "builtin", "claude", "ds_code", "opencode", "qwencode"]


async def test_a_fallback_uses_its_program_too(clinic):
    found = await clinic.look(pro_backend="builtin", pro_base_url="http://127.0.0.1:9", pro_fallback_backend="claude")
    assert of(found, "claude").level is Level.PROBLEM
    assert "pro's fallback" in of(found, "claude").text


async def test_a_set_path_is_the_one_that_is_tried(clinic, tmp_path):
    elsewhere = tmp_path / "claude-next"
    elsewhere.write_text("#!/bin/sh\necho 3.0.1\n")
    elsewhere.chmod(0o755)
    clinic.program("claude", "echo 2.1.197")
    found = await clinic.look(pro_backend="claude", claude_bin=str(elsewhere))
    assert of(found, "claude").facts["version"] == "3.0.1"


async def test_a_program_sees_neither_keys_nor_home(clinic, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("AURA_PRO_API_KEY", KEY)
    clinic.program("claude", 'echo "home $HOME"; env | grep -c canary; exit 3')
    finding = of(await clinic.look(pro_backend="claude"), "claude")
    assert finding.text.split(" (used")[0].endswith("asked for its version: 0")
    clinic.program("claude", 'echo "home $HOME"; exit 3')
    finding = of(await clinic.look(pro_backend="claude"), "claude")
    assert "/.local/state/aura/doctor-" in finding.text


async def test_what_a_hanging_program_started_is_gone(clinic, monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "LIMIT", 1.0)
    clinic.program("claude", f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' & wait")
    assert of(await clinic.look(pro_backend="claude"), "claude").level is Level.PROBLEM
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_program_that_nobody_knows_is_not_set_to_work(clinic, tmp_path):
    path = clinic.program("agent", f"touch {tmp_path}/started; echo 1.0.0")
    found = await clinic.look(pro_backend="command", pro_command="agent --go", pro_model="m")
    assert of(found, "command").level is Level.GOOD
    assert of(found, "command").text.startswith(str(path))
    assert not (tmp_path / "started").exists()
    found = await clinic.look(pro_backend="command", pro_command="")
    assert of(found, "command").level is Level.PROBLEM
    assert "Set AURA_PRO_COMMAND" in of(found, "command").cure


async def test_one_whose_version_cannot_be_asked_for_counts_as_found(clinic):
    clinic.program("ds-code", "echo 'unknown option --version' >&2; exit 2")
    assert of(await clinic.look(pro_backend="ds_code", pro_base_url="http://x.test"), "ds_code").level is Level.GOOD
    clinic.program("ds-code", "exit 127")
    assert of(await clinic.look(pro_backend="ds_code", pro_base_url="http://x.test"), "ds_code").level is Level.PROBLEM


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and Landlock are Linux's")
@pytest.mark.parametrize("wall", ["bubblewrap", "landlock"])
async def test_one_that_works_outside_only_is_told(clinic, tmp_path, wall):
    if not available(os.environ):
        pytest.skip("no wall works here")
    far = clinic.home / ".config" / "licence"
    far.parent.mkdir()
    far.write_text("2.1.197")
    clinic.program("claude", f"cat {far}")
    clinic.program("codex", "echo 0.169.0")
    found = await clinic.look(pro_backend="claude", containment=wall)
    if any(each.section is Section.CONTAINMENT and each.level is Level.PROBLEM for each in found):
        pytest.skip(f"{wall} does not work here")
    inside = of(found, "claude")
    assert inside.level is Level.PROBLEM
    assert f"works, but not inside the containment ({wall})" in inside.text
    assert "AURA_CLAUDE_BIN" in inside.cure
    assert (inside.facts["starts"], inside.facts["starts_inside"]) == (True, False)
    assert f"starts inside {wall}" in of(found, "codex").text
    assert f"starts inside {wall}" in of(found, "builtin").text

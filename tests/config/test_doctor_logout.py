"""What doctor says where the login manager ends a user's processes at logout."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine.doctor.logout import logout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system on which we are in a login session."""
    put(tmp_path, "proc/self/cgroup", "0::/user.slice/user-1000.slice/session-3.scope\n")
    return tmp_path


def put(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_it_warns_with_the_line_that_prevents_it(root):
    put(root, "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n")
    (found,) = logout(root, user="ada", ask=False)
    assert (found.level, found.about) == ("warning", "logout")
    assert "a run ends with the connection" in found.text
    assert "loginctl enable-linger && systemd-run --user --scope aura start task.md --detach" in found.cure
    put(root, "var/lib/systemd/linger/ada")
    (found,) = logout(root, user="ada", ask=False)
    assert "enable-linger" not in found.cure
    assert "systemd-run" in found.cure


@pytest.mark.parametrize(
    ("files", "user"),
    [
        ({}, "ada"),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, "ada"),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, "root"),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=root ada\n"}, "ada"),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=eve\n"}, "ada"),
        (
            {
                "etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n",
                "etc/systemd/logind.conf.d/50-ours.conf": "[Login]\nKillUserProcesses=no\n",
            },
            "ada",
        ),
    ],
)
def test_it_says_nothing_where_nothing_is_killed(root, files, user):
    for path, text in files.items():
        put(root, path, text)
    assert logout(root, user=user, ask=False) == []


def test_outside_of_a_session_nothing_is_killed(root):
    put(root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    put(root, "proc/self/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u3.scope\n")
    assert logout(root, user="ada", ask=False) == []


def test_the_login_manager_knows_better_than_its_files(root, monkeypatch):
    program = root / "bin/busctl"
    put(root, "bin/busctl", "#!/bin/sh\necho b true\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert len(logout(root, user="ada")) == 1
    program.write_text("#!/bin/sh\necho b false\n")
    put(root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    assert logout(root, user="ada") == []
    program.write_text("#!/bin/sh\nexit 1\n")
    assert len(logout(root, user="ada")) == 1

"""What a program behind each wall can do to the machine around it, tried by one with bad intentions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aura_engine
from aura_engine.errors import ConfigError
from aura_engine.runtimes import walls
from aura_engine.runtimes.bubblewrap import Bubblewrap
from aura_engine.runtimes.landlock import Landlock
from aura_engine.runtimes.walls import choose

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and Landlock are Linux's"),
    pytest.mark.timeout(120),
]
STAGE = Path(__file__).with_name("contained_stage.py")
NOBODY = 65534
LANDLOCK_LEAVES = ["command line", "mode", "shared memory"]
"""What Landlock cannot keep a program from; `gaps` names each."""


@pytest.fixture(params=["as it is", "nobody"])
def person(request: pytest.FixtureRequest) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """A folder, the user that owns it, and a Python that this user may run: who tests, and an ordinary user."""
    # In the folder for all, the private folder of a program would take the place of what lies there.
    base = Path(tempfile.mkdtemp(prefix="aura-wall-", dir="/var/tmp"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(base)}
    who: dict[str, Any] = {"env": environ}
    python = sys.executable
    if request.param == "nobody":
        if os.getuid() != 0:
            shutil.rmtree(base)
            pytest.skip("only root can become somebody else")
        os.chown(base, NOBODY, NOBODY)
        environ["PYTHONPATH"] = os.pathsep.join(
            [str(Path(aura_engine.__file__).parent.parent), sysconfig.get_path("purelib")]
        )
        who |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        python = _python_for(who)
    yield base, who, python
    shutil.rmtree(base, ignore_errors=True)


def _python_for(who: dict[str, Any]) -> str:
    """root's Python may lie where nobody else may look: the system's own of the same version does as well then."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            subprocess.run(
                [python, "-c", "import aura_engine, pydantic"], check=True, capture_output=True, cwd="/", **who
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip("no Python here that an ordinary user may run")


@pytest.mark.parametrize(("wall", "left"), [("bubblewrap", []), ("landlock", LANDLOCK_LEAVES)])
def test_a_program_reaches_nothing_but_its_own(person: tuple[Path, dict[str, Any], str], wall: str, left: list[str]):
    base, who, python = person
    done = subprocess.run(
        [python, str(STAGE), wall, str(base)], capture_output=True, text=True, timeout=100, cwd="/", check=False, **who
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "problem" in found:
        pytest.skip(f"{wall}: {found['problem']}")
    worker, errors = found["worker"]
    assert worker, errors
    # a worker calls its model: it has the network of the machine; a check has none
    assert json.loads(worker) == {"done": sorted([*left, "outside"]), "broken": []}
    status, said = found["check"]
    assert status == 0, said
    assert json.loads(said) == {"done": left, "broken": []}
    state = ".local/state/aura/run"
    assert found["written"] == [f"{state}/checks/tree-2/mine", f"{state}/work/A1-1/mine"]


# not as root: without a wall it would really do what it tries
@pytest.mark.parametrize("person", ["as it is" if os.getuid() else "nobody"], indirect=True)
def test_the_probe_finds_what_is_open(person: tuple[Path, dict[str, Any], str]):
    base, who, python = person
    done = subprocess.run(
        [python, str(STAGE), "none", str(base)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd="/",
        check=False,
        **who,
    )
    assert done.returncode == 0, done.stderr
    free = set(json.loads(json.loads(done.stdout)["worker"][0])["done"])
    wanted = {"environment", "command line", "mode", "shared memory", "outside", "swap link", "hard link"}
    wanted |= {f"read {name}" for name in ("ssh key", "config", "login", "journal", "store", "project", "attempt")}
    wanted |= {"connect agent", "connect abstract", "signal engine", "signal sibling", "open environ of sibling"}
    assert wanted <= free


# ---- which wall


def test_bubblewrap_comes_first(tmp_path: Path):
    chosen = choose("auto", os.environ, [tmp_path])
    assert (chosen.containment.name, chosen.warning) == ("bubblewrap", "")


def test_a_downgrade_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(Bubblewrap, "problem", lambda self: "it is not installed")
    chosen = choose("auto", os.environ, [tmp_path])
    assert chosen.containment.name == "landlock"
    assert "bubblewrap: it is not installed" in chosen.warning
    assert all(gap in chosen.warning for gap in chosen.containment.gaps)
    assert "programs have no terminals" in chosen.warning


def test_without_any_wall_it_takes_consent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for kind in (Bubblewrap, Landlock):
        monkeypatch.setattr(kind, "problem", lambda self: "not here")
    with pytest.raises(ConfigError, match="bubblewrap: not here; landlock: not here") as error:
        choose("auto", os.environ, [tmp_path])
    assert "AURA_CONTAINMENT=none" in error.value.cure
    assert not walls.available(os.environ)
    chosen = choose("none", os.environ, [tmp_path])
    assert chosen.containment.name == "none"
    assert "keys in their reach" in chosen.warning


def test_one_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(Bubblewrap, "problem", lambda self: "not here")
    with pytest.raises(ConfigError, match="not here"):
        choose("bubblewrap", os.environ, [tmp_path])


def test_a_broken_bubblewrap_is_no_wall(tmp_path: Path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    chosen = choose("auto", {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, [])
    assert chosen.containment.name == "landlock"
    assert "No permissions to create new namespace" in chosen.warning

"""Which wall stands in a run: bubblewrap where it works, else Landlock, else none, which takes the person's word."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aura_engine.errors import ConfigError
from aura_engine.runtimes.bubblewrap import Bubblewrap
from aura_engine.runtimes.containment import AUTO, NONE, Containment, Ground
from aura_engine.runtimes.installations import SYSTEM, Installations
from aura_engine.runtimes.landlock import Landlock

CONSENT = f"set AURA_CONTAINMENT={NONE} to let workers and checks run as you, with all your files in their reach"
PRIVATE_ETC = ("/etc", "/usr/local/etc")
"""Where root could read what nobody else can; there Aura's programs see what everybody sees."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The wall in force, and what the person should be told about it (`warning`, may be empty)."""

    containment: Containment
    warning: str = ""


def survey(environ: Mapping[str, str], private: Sequence[Path]) -> Ground:
    """Looks at the machine: takes some tens of milliseconds. `private`: the project, Aura's data, its workspaces."""
    homes = {Path(environ.get("HOME") or "/nonexistent").resolve()}
    with suppress(KeyError):  # a container's made-up user
        homes.add(Path(pwd.getpwuid(os.getuid()).pw_dir).resolve())
    homes -= {Path("/"), Path("/nonexistent")}
    secluded = tuple(path.resolve() for path in private)
    path = environ.get("PATH", os.defpath)
    found = Installations(homes, secluded, path)
    found.survey(environ)
    found.program(Path(sys.executable))  # Aura's own: its built-in worker needs it, and it is always there for checks
    inside = [place for place in (*homes, *secluded) if any(system in place.parents for system in SYSTEM)]
    root = os.geteuid() == 0
    hidden = [*inside, *(_kept_from_others() if root else ())]
    env = found.told(environ)
    if root:  # without root's powers tar cannot give files away
        env["TAR_OPTIONS"] = "--no-same-owner"
    return Ground(
        shown=tuple(found.shown),
        links=dict(found.links),
        hidden=tuple(hidden),
        env=env,
        homes=tuple(homes),
        private=secluded,
        path=path,
    )


def choose(setting: str, environ: Mapping[str, str], private: Sequence[Path]) -> Chosen:
    """The wall for this run. ConfigError when the one asked for does not work, or none does and nobody consented.

    Blocks for up to PROBE_LIMIT seconds, commonly 0.1.
    """
    if setting == NONE:
        warning = "AURA_CONTAINMENT=none: workers and checks run as you, with all your files and keys in their reach"
        return Chosen(Containment(Ground(path=environ.get("PATH", os.defpath))), warning)
    ground = survey(environ, private)
    found = {kind.name: kind(ground) for kind in (Bubblewrap, Landlock) if setting in (AUTO, kind.name)}
    problems: list[str] = []
    for containment in found.values():
        problem = containment.problem()
        if not problem:
            return Chosen(containment, _said(containment, problems))
        problems.append(f"{containment.name}: {problem}")
    raise ConfigError(
        f"Nothing on this machine can keep workers and checks away from your files ({'; '.join(problems)}).",
        cure=f"Install bubblewrap (the package `bubblewrap`), or {CONSENT}.",
    )


def available(environ: Mapping[str, str]) -> bool:
    """Whether any wall works here."""
    try:
        choose(AUTO, environ, ())
    except ConfigError:
        return False
    return True


def _said(containment: Containment, problems: Sequence[str]) -> str:
    if not problems:
        return ""
    still = "; ".join(containment.gaps)
    lacks = f"; programs have no {containment.lacks}" if containment.lacks else ""
    return f"Workers are contained by {containment.name} ({'; '.join(problems)}). A program can still {still}{lacks}"


def _kept_from_others() -> list[Path]:
    """Files and folders of the system's settings that others than root cannot read."""
    found: list[Path] = []
    for top in PRIVATE_ETC:
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = Path(folder, name)
                mode = path.lstat().st_mode
                need = 0o5 if stat.S_ISDIR(mode) else 0o4
                if not stat.S_ISLNK(mode) and mode & need != need:
                    found.append(path)
            folders[:] = [name for name in folders if Path(folder, name) not in found]
    return found

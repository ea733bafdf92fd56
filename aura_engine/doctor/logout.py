"""Whether a run outlives the session that it was started in: some login managers kill all that is left at logout."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

from aura_engine.doctor.findings import Finding, Level, Section, found

finding = partial(found, Section.MACHINE)

FILES = ("etc/systemd/logind.conf", "usr/lib/systemd/logind.conf")
DROP_INS = ("usr/lib/systemd/logind.conf.d", "run/systemd/logind.conf.d", "etc/systemd/logind.conf.d")
_OPTION = re.compile(r"^\s*(KillUserProcesses|KillExcludeUsers|KillOnlyUsers)\s*=\s*(.*?)\s*$", re.MULTILINE)
_SESSION = re.compile(r"session-[^/]+\.scope")
_ASK = (
    *("busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1"),
    *("org.freedesktop.login1.Manager", "KillUserProcesses"),
)
ASK_LIMIT = 3.0


def logout(root: Path = Path("/"), *, user: str = "", ask: bool = True) -> list[Finding]:
    """A warning where this session's end would end a run that is in it; nothing elsewhere. Blocks.

    `root` is where the system's files lie; `ask`: the login manager itself may be asked.
    """
    try:
        session = _SESSION.search((root / "proc/self/cgroup").read_text("utf-8", "replace"))
    except OSError:
        session = None
    if session is None:
        return []  # no login manager, or we are in none of its sessions
    name = user or getpass.getuser()
    told = _configured(root)
    kills = _asked() if ask else None
    if kills is None:
        kills = told.get("KillUserProcesses", "").lower() in ("yes", "true", "on", "1")
    only = told.get("KillOnlyUsers", "").split()
    spared = name in told.get("KillExcludeUsers", "root").split() or (only and name not in only)
    if not kills or spared:
        return []
    lingers = (root / "var/lib/systemd/linger" / name).exists()
    first = "" if lingers else "loginctl enable-linger && "
    text = "the login manager kills a user's processes at logout: a run ends with the connection it was started from"
    cure = f"Start it outside of the session: {first}systemd-run --user --scope aura start task.md --detach"
    return [finding(Level.WARNING, "logout", text, cure, {"linger": lingers, "session": session.group()})]


def _asked() -> bool | None:
    """What the login manager itself says; None where it does not answer."""
    if shutil.which(_ASK[0]) is None:
        return None
    try:
        said = subprocess.run(_ASK, capture_output=True, text=True, timeout=ASK_LIMIT, check=False).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said[1] == "true" if said[:1] == ["b"] and len(said) == 2 else None


def _configured(root: Path) -> dict[str, str]:
    """What its files say; a later one goes before an earlier one, as it reads them."""
    main = next((root / name for name in FILES if (root / name).is_file()), None)
    drops = {path.name: path for folder in DROP_INS for path in (root / folder).glob("*.conf")}
    told: dict[str, str] = {}
    for path in [*filter(None, [main]), *(drops[name] for name in sorted(drops))]:
        try:
            told |= dict(_OPTION.findall(path.read_text("utf-8", "replace")))
        except OSError:
            continue
    return told

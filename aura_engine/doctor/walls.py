"""The containment in force: which, what it does not keep a program from, and why there is no better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from aura_engine.doctor.findings import Fact, Finding, Level, Section, found
from aura_engine.errors import ConfigError
from aura_engine.runtimes.containment import NONE, Containment
from aura_engine.runtimes.walls import choose

finding = partial(found, Section.CONTAINMENT)
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
"""Ubuntu's switch that keeps bubblewrap from making namespaces."""


def wall(setting: str, environ: Mapping[str, str], private: Sequence[Path]) -> tuple[Containment | None, list[Finding]]:
    """The containment that a run would have, chosen as a run does (see choose), and what is to be known about it.

    None where nothing works and nobody consented to that. Blocks, for up to 15 s.
    """
    try:
        chosen = choose(setting, environ, private)
    except ConfigError as error:
        return None, [finding(Level.PROBLEM, setting, str(error), error.cure), *_hint()]
    containment = chosen.containment
    facts: dict[str, Fact] = {"in_force": containment.name}
    if containment.name == NONE:
        cure = "Leave AURA_CONTAINMENT out to have the best wall that works here."
        return containment, [finding(Level.WARNING, NONE, chosen.warning, cure, facts)]
    if chosen.warning:
        cure = "Install bubblewrap (the package `bubblewrap`), or see why it does not work here."
        return containment, [finding(Level.WARNING, containment.name, chosen.warning, cure, facts), *_hint()]
    text = f"workers, checks and prepare run inside it. A program can still {'; '.join(containment.gaps)}"
    return containment, [finding(Level.GOOD, containment.name, text, facts=facts)]


def _hint() -> list[Finding]:
    try:
        restricted = RESTRICTED.read_text().strip() == "1"
    except OSError:
        return []
    if not restricted:
        return []
    text = "this system lets a program make namespaces only where an AppArmor profile says so"
    cure = (
        "Install the package `apparmor-profiles`, copy /usr/share/apparmor/extra-profiles/bwrap-userns-restrict to "
        "/etc/apparmor.d and load it with: sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
    )
    return [finding(Level.NOTE, "bubblewrap", text, cure)]

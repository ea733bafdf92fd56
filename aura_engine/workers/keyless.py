"""A shell without the worker's keys, for programs that hand their whole environment to every command they run.

A build that prints its environment then prints no key. No containment: who wants to can still read it from the
program's own process.
"""

from __future__ import annotations

from pathlib import Path

SHELL = ".aura-shell"
"""Below the HOME of the worker: read by each bash that a tool starts."""


def shell_env(home: Path) -> dict[str, str]:
    """The variables of such a program: its home, its temporary folder, and what makes bash read SHELL."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "BASH_ENV": str(home / SHELL),
        "SHLVL": "1",  # at 0, with a socket as its input, bash takes itself for a remote shell and looks elsewhere
    }


def shell_file(*names: str) -> dict[str, str]:
    """The file that takes the variables `names` away, as a launch spec wants it."""
    return {SHELL: f"unset {' '.join(names)}\n"}

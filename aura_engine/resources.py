"""Files that travel with the program; found alike in a checkout and in an installed wheel."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable


def docker_scripts() -> Traversable:
    """The folder of the workers' image: Dockerfile, requirements.txt, rebuild.sh, rebuild.ps1."""
    return files("aura_engine") / "docker_scripts"


def themes() -> Traversable:
    """The folder of the themes that Aura brings, one TOML file each."""
    return files("aura_tui") / "themes"


def report_style() -> str:
    """The style sheet of the final report."""
    return (files("aura_engine") / "report" / "report.css").read_text("utf-8")

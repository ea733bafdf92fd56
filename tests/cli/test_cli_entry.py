"""What the console script puts right before any command runs."""

from __future__ import annotations

import subprocess
import sys


def test_the_end_of_a_program_is_told_though_whoever_started_us_ignores_it() -> None:
    program = (
        "import subprocess, sys; from aura_engine.cli import main\n"
        "main.main = lambda argv: subprocess.run(['sh', '-c', 'exit 7']).returncode\n"
        "main.entry()"
    )
    ignore = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    )
    ignoring = [sys.executable, "-c", ignore]
    assert subprocess.run([*ignoring, program], check=False, timeout=60).returncode == 7
    bare = "import subprocess, sys; sys.exit(subprocess.run(['sh', '-c', 'exit 7']).returncode)"
    assert subprocess.run([*ignoring, bare], check=False, timeout=60).returncode == 0, "it was ignored"

"""The engine's log: it says nothing on the terminal, not even that it cannot be written."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import logging, resource, sys
from pathlib import Path
from aura_engine.cli.engine_log import open_log
from aura_engine.core.redaction import Redactor

open_log(Path(sys.argv[1]), Redactor(["abcdefgh12345678"]))
logging.info("kept, without abcdefgh12345678")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # like a full disk
for number in range(3):
    logging.warning("lost %d", number)
"""


def test_a_full_disk_prints_no_tracebacks(tmp_path):
    path = tmp_path / "engine.log"
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert path.read_text().endswith("kept, without [secret]\n")
    assert path.stat().st_mode & 0o777 == 0o600

"""After many short workers the engine holds what it held before: the short version of `leaks.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from leaks import clean
from survival_ground import CHECKOUT


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_is_left_of_sixty_workers():
    command = [sys.executable, str(Path(__file__).with_name("leaks.py")), "--workers-in-all", "60"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=200)
    told = json.loads(done.stdout)
    assert clean(told), told
    assert done.returncode == 0
    assert told["workers"] == 60

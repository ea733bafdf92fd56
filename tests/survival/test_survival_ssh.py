"""A dropped SSH connection, with and without a stalled terminal: the long form is disconnects.py."""

from __future__ import annotations

import shutil

import pytest
from disconnects import SSHD, campaign

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="there is no sshd here"),
]


def test_a_dropped_connection_takes_nothing_along_and_the_run_can_be_attached_to():
    found = campaign(2)
    assert (found["went_on"], found["achieved"], found["after_a_stalled_terminal"]) == (2, 2, 1)

"""What of the person's environment reaches a worker."""

from __future__ import annotations

from pathlib import Path

from aura_engine.runtimes.environment import worker_env


def test_only_the_allow_list_passes():
    person = {
        "PATH": "/p",
        "LC_TIME": "de",
        "TZ": "UTC",
        "OPENAI_API_KEY": "k",
        "HOME": "/me",
        "LD_PRELOAD": "x",
        "TERM": "t",
    }
    assert worker_env({"X": "1"}, home=Path("/h"), environ=person) == {
        "PATH": "/p",
        "LC_TIME": "de",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "HOME": "/h",
        "TMPDIR": "/h/tmp",
        "X": "1",
    }


def test_what_is_given_wins():
    env = worker_env({"PATH": "/mine", "HOME": "/there"}, home=Path("/h"), environ={"PATH": "/p", "LC_ALL": "C"})
    assert (env["PATH"], env["HOME"], env["LC_ALL"]) == ("/mine", "/there", "C")
    assert "LANG" not in env


def test_there_is_always_a_path():
    assert worker_env({}, home=Path("/h"), environ={})["PATH"]

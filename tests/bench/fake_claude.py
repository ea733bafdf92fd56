"""A stand-in for the claude CLI: four lines of its stream, a nap, one file; its last line says when it ran."""

from __future__ import annotations

import time

STARTED = time.time_ns()

import os  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402

NAP = 1.0


def say(text: str) -> None:
    """One line of stream-json."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if "--version" in sys.argv:
    say("2.1.197 (Claude Code)")
    sys.exit(0)
task = re.search(r"# Task ([A-Z]+[0-9.]*)", sys.stdin.readline())
name = task.group(1) if task else "unknown"
say('{"type":"system","subtype":"init","session_id":"s","model":"fake"}')
say('{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"working"}]}}')
time.sleep(NAP)
with open(f"out-{name}.txt", "w") as out:  # noqa: PTH123
    out.write(name + "\n")
say('{"type":"assistant","message":{"id":"n","content":[{"type":"text","text":"done"}]}}')
usage = '{"input_tokens":100,"output_tokens":10}'
say(f'{{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"usage":{usage}}}')
# Not into a file of its own: behind the wall it reaches nothing but its workspace.
line = f'{{"type":"ran","task":"{name}","started":{STARTED},"ended":{time.time_ns()}}}\n'
os.write(1, line.encode())
os._exit(0)

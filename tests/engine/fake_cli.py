"""A stand-in for the claude program that plays a story: one list of steps per start, the last one again and again.

The story lies beside it (`<name>.story`, JSON); what it was given is appended to `<name>.log`. A step is
`{"sh": …}` (run in its folder), `{"say": {…}}` (a line of its stream), `{"hear": "word"}` (wait for a user's line with
that word in it), `{"nap": seconds}`, or `{"end": {…}}` (the fields of its result event; then it ends).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ME = Path(__file__)
if "--version" in sys.argv:
    print("2.1.197 (Claude Code)")
    sys.exit(0)


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


resumed = "--resume" in sys.argv
session = sys.argv[sys.argv.index("--resume" if resumed else "--session-id") + 1]
prompt = json.loads(sys.stdin.readline())["message"]["content"][0]["text"]
log = ME.with_suffix(".log")
starts = len(log.read_text().splitlines()) if log.exists() else 0
with log.open("a") as file:
    told = {"session": session, "resumed": resumed, "prompt": prompt, "cwd": str(Path.cwd())}
    told["files"] = [path.name for path in Path().iterdir()]
    file.write(json.dumps(told) + "\n")
stories = json.loads(ME.with_suffix(".story").read_text())
say(type="system", subtype="init", session_id=session, model="fake")
for step in stories[min(starts, len(stories) - 1)]:
    if "sh" in step:
        subprocess.run(step["sh"], shell=True, check=True)
    elif "say" in step:
        say(**step["say"])
    elif "nap" in step:
        time.sleep(step["nap"])
    elif "hear" in step:
        while step["hear"] not in sys.stdin.readline():
            pass
    elif "end" in step:
        good = {"type": "result", "subtype": "success", "is_error": False, "result": "done", "usage": {}}
        say(**{**good, **step["end"]})
        sys.exit(1 if step["end"].get("is_error") else 0)

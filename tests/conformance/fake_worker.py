"""One program that prints as each worker CLI does, and plays a behaviour meanwhile.

FAKE_WORKER in its environment says which: JSON with `dialect` (a backend's name) and `steps`, each a list of a verb of
Player, or of its dialect, and its arguments.
"""

from __future__ import annotations

# ruff: noqa: PTH123 (it starts some 600 times: pathlib and signal would take half as long again)
import json
import os
import sys
import time

from fake_dialects import Builtin, Codex, DsCode, OpenCode, Plain, line, write
from fake_dialects_live import Acp, Claude, Qwen

PACE = 0.01
"""Seconds between two lines of one that never ends."""
BUSY = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end: pass
if sys.argv[2]: open("made.txt", "w").close()
"""
"""A tool: busy for so long; then it may make something."""
NEW = {"type": "zz_new", "event": "zz_new", "jsonrpc": "2.0", "method": "zz/new", "sessionID": "ses_1", "x": {}}
"""An event that no dialect knows."""
LAST = ("finish", "give_up", "fail", "limit", "no_login", "turns", "refused")
"""Verbs that are a last word."""
DIALECTS = {
    "acp": Acp,
    "builtin": Builtin,
    "claude": Claude,
    "codex": Codex,
    "command": Plain,
    "ds_code": DsCode,
    "opencode": OpenCode,
    "qwencode": Qwen,
}


def note(name: str, text: str = "") -> None:
    """Adds to a file of its workspace."""
    with open(name, "a") as file:
        file.write(text)


class Player:
    """Carries the steps out: each verb is a method, or one of the dialect's own."""

    def __init__(self, dialect: Plain) -> None:
        self.dialect = dialect
        self.status = 0

    def play(self, verb: str, *args: object) -> None:
        own = getattr(self, f"do_{verb}", None)
        if own:
            own(*args)
            return
        self.lines(getattr(self.dialect, verb)(*args))
        if verb in LAST:
            sys.stderr.flush()
            self.status = {"finish": 0, "give_up": self.dialect.gave_up}.get(verb, self.dialect.failed)

    def lines(self, lines: list[str]) -> None:
        write("".join(f"{one}\n" for one in lines).encode("utf-8", "surrogateescape"))

    # ---- what it does

    def do_write(self, name: str, text: str) -> None:
        self.lines(self.dialect.tool(f"write {name}"))
        note(name, text)
        self.lines(self.dialect.result("written"))

    def do_turn(self, text: str = "") -> None:
        self.lines(self.dialect.tool(f"pytest {text}".strip()))
        self.lines(self.dialect.result(f"1 failed {text}".strip()))

    def do_loop(self) -> None:
        while True:
            self.do_turn()
            time.sleep(PACE)

    def do_chatter(self) -> None:
        for number in range(1_000_000):
            self.do_turn(str(number))
            time.sleep(PACE)

    def do_storm(self, status: int) -> None:
        while True:
            self.lines(self.dialect.retry(status))
            time.sleep(PACE)

    def do_hang(self) -> None:
        note("ready")
        while True:
            time.sleep(600)

    def do_linger(self, seconds: float) -> None:
        time.sleep(seconds)

    def do_deaf(self) -> None:
        import signal

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def do_orphan(self) -> None:
        """A process that leaves its parents and their session and hears no signal."""
        ready, done = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                self.do_deaf()
                null = os.open(os.devnull, os.O_RDWR)
                for fd in range(3):
                    os.dup2(null, fd)
                note("pids", f"{os.getpid()}\n")
                os.close(done)
                os.close(ready)
                while True:
                    time.sleep(600)
            os._exit(0)
        os.close(done)
        os.read(ready, 1)  # until the last copy of its other end is closed
        os.wait()

    def do_child(self, seconds: float, then: str = "") -> None:
        """A tool in a session of its own, silent and busy for so long."""
        self.lines(self.dialect.tool("make"))
        argv = [sys.executable, "-I", "-S", "-c", BUSY, str(seconds), then]
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        pid = os.posix_spawn(sys.executable, argv, {}, file_actions=null, setsid=True)
        note("pids", f"{pid}\n")
        if then == "hand over":
            self.do_claim(pid)
            self.lines(self.dialect.result("it runs"))
            return
        note("ready")
        os.waitpid(pid, 0)
        self.lines(self.dialect.result("made"))

    def do_claim(self, pid: int) -> None:
        """Says that a process is a long job of its own."""
        jobs = {"managed_subprocesses": [{"pid": pid, "kind": "training"}]}
        note("process.json", json.dumps(jobs))

    # ---- what it prints besides

    def do_stderr(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    def do_half(self, text: str) -> None:
        """Its last word, broken off in the middle of the line."""
        *lines, last = self.dialect.finish(text)
        self.lines(lines)
        write(last[: len(last) // 2].encode())

    def do_cut(self, text: str) -> None:
        """The first half of a line."""
        write(self.dialect.say(text)[0][:20].encode())

    def do_new(self) -> None:
        self.lines([line(**NEW), "", "[1, 2]", "null", "a warning of some library"])

    def do_bytes(self) -> None:
        write(b"\xff\xfe\xc3\x28 \x00\x1b]0;title\x07\n")
        self.lines(self.dialect.say("caf\udce9 \udcff"))

    def do_long(self, size: int) -> None:
        """One line of so many bytes."""
        for _ in range(size >> 16):
            write(b"x" * (1 << 16))
        write(b"\n")

    def do_deep(self, depth: int) -> None:
        self.lines(['{"type":"deep","event":"deep","x":' + "[" * depth + "]" * depth + "}"])

    def do_flood(self, count: int) -> None:
        for _ in range(count // 1000):
            write(b'{"a":1}\n' * 1000)

    # ---- how it ends

    def do_exit(self, code: int) -> None:
        self.status = code
        self.end()

    def do_die(self, name: str) -> None:
        import signal

        os.kill(os.getpid(), getattr(signal, name))

    def end(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.status)


def main() -> None:
    told = json.loads(os.environ["FAKE_WORKER"])
    steps = told["steps"]
    player = Player(DIALECTS[told["dialect"]]([step[0] for step in steps]))
    for step in steps:
        player.play(*step)
    if steps[-1][0] in LAST:
        player.dialect.rest()
    player.end()


main()

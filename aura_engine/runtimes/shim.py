"""The shim: one small process per worker, which outlives the engine and answers for everything the worker started.

Run as `python -I -S shim.py FOLDER/spec.json NAME`, or as `shim.py - NURSERY`: that one is no shim, it forks them for
the engine (see `nursery`), since starting Python costs ten times as much. It is stand-alone and imports nothing that
costs time (`json`, `signal` and `ctypes` would double its start; their C halves do not). In FOLDER it keeps

    spec.json      what to start, `spec.json.claimed` once a shim has read it. Emptied the moment before the worker
                   starts, since its environment may hold a key; if the engine took it away, nothing starts. Behind a
                   wall (containment.py) `argv` builds it, `program` is what runs in it, `inner` processes below
    starting.json  what becomes of it: which shim is about to start the worker, until process.json is there
    stdin.txt      the worker's standard input, where that is not kept open
    input.jsonl    else: lines are fed from here as they are appended; the line {"aura":"close"} closes the pipe
    output.jsonl, error.log   the worker's stdout and stderr, written by the kernel
    process.json   who runs, by rename as soon as the worker runs
    exit.json      how it ended, by rename the moment its main process ends; again with `swept` when nothing is left
    held           there while jobs go on that the worker handed over in a process.json of its own, its workspace's:
                   what it left is swept when the engine says so (SIGTERM), or nothing of it is left
    bell           a FIFO the engine listens to: `r` running, `x` exit.json is there, end of file: the shim is gone

In a container it runs as `shim.py FOLDER/spec.json NAME TRACES`. Only the container's own start starts it, so the spec
is not claimed; FOLDER is the container's, records and bell lie in TRACES, and what the spec's environment lacks is the
image's.

SIGTERM to the shim walks the stop ladder of the spec, so that an engine that dies in mid-stop leaves nothing half done.
As a subreaper (Linux) it inherits every descendant, double-forked ones too, and ends only when none is left. Elsewhere
the worker's process group and what `ps` showed below it are killed; a process that left both escapes.
"""

from __future__ import annotations

# ruff: noqa: PTH100, PTH104, PTH108, PTH110, PTH113, PTH116, PTH120, PTH123, PTH208
import _ctypes
import _json
import errno
import gc
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False  # importing it from typing would cost more than all the rest
if TYPE_CHECKING:
    import signal
    import struct
    from collections.abc import Sequence
    from typing import Any
else:
    import _signal as signal
    import _struct as struct

LINUX = sys.platform == "linux"
CHUNK = 1 << 16
PROC_PART = 2048
"""Bytes below which what was read of a list in /proc is all that is left of it: it comes by pages."""
CLOSE = b'{"aura":"close"}'
MARK = "AURA_WORKER"
"""Variable in the environment of all that a worker starts: what finds it when its shim is gone."""
TERM_GRACE = 1.0
"""Seconds that descendants get between SIGTERM and SIGKILL once the main process is gone."""
SWEEP_LIMIT = 10.0
"""Seconds after which a descendant that cannot die (stuck in the kernel) is given up."""
POLL = 0.2
"""Seconds between looks at input.jsonl where there is no inotify."""
ROOM_LIMIT = 60.0
"""Seconds that a full disk is waited for with the record of a worker's end."""
ROOM_LOOK = 0.5
CLONE3 = 435
"""Number of a system call, the same on every kind of machine."""
ENV = {"AURA": "shim"}
"""Of shims and nursery. A process that has none at all looks like one that is just becoming another program."""
SIBLING = struct.pack("8Q", 0x8000, *[0] * 7)
"""What it is told: a fork whose parent is the caller's own (CLONE_PARENT)."""
SETTLE = 0.02
"""Seconds that a wall's own first process gets to end after it: only then the program's CPU time is known."""


def stat_of(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat from the third on (state, ppid, …); empty when there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


def start_time(pid: int) -> float:
    """Clock ticks since boot at which the process began; 0.0 when it is gone or dead. Off Linux: always 0.0."""
    fields = stat_of(pid)
    return 0.0 if not fields or fields[0] in b"ZX" else float(fields[19])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = f"/proc/{pid}/task"
        # The folder's links tell the number of its threads, for a third of the price of a listing.
        for task in [pid] if os.stat(tasks).st_nlink == 3 else os.listdir(tasks):
            fd = os.open(f"{tasks}/{task}/children", os.O_RDONLY)
            try:
                while data := os.read(fd, CHUNK):
                    found += map(int, data.split())
                    if len(data) < PROC_PART:
                        break
            finally:
                os.close(fd)
    except OSError:  # the process or one of its threads has just ended
        pass
    return found


def descendants(pid: int) -> list[int]:
    """Pids of everything below `pid` at this moment, parents before children."""
    if LINUX:
        below = _children
    else:
        import subprocess

        listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=", "-o", "ppid="], capture_output=True, check=False)
        pairs = [line.split() for line in listing.stdout.splitlines()]

        def below(pid: int) -> list[int]:
            return [int(child) for child, parent in pairs if int(parent) == pid]

    found: dict[int, None] = {}
    todo = [pid]
    while todo:
        kids = [kid for kid in below(todo.pop()) if kid not in found]
        found.update(dict.fromkeys(kids))
        todo += kids
    return list(found)


def send(pids: Sequence[int], signum: int) -> None:
    """Signals each process (a negative pid: a group); what is gone or not ours is passed over."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except OSError:
            continue


def encode(value: Any) -> str:
    """JSON of dicts, strings, numbers and None: all that a record holds."""
    if hasattr(value, "items"):
        return "{" + ", ".join(f"{encode(key)}: {encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _json.encode_basestring_ascii(value)
    return "null" if value is None else repr(value)


class _Decoding:
    """What the C half of `json` asks of its context."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def decode(text: str) -> Any:
    """A JSON text that starts at its first character."""
    context: Any = _Decoding
    return _json.make_scanner(context)(text, 0)[0]


def libc(name: str, *args: Any) -> int:
    """Calls a function of the C library; -1 where it cannot be had."""
    here: Any = None
    try:
        return _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(here, 0), name), args)
    except (OSError, AttributeError):
        return -1


def program_in(path: str, program: str) -> str:
    """Where the worker's own PATH has the program; the bare name when nowhere."""
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = f"{folder}/{program}"
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return program


def walls() -> Any:
    """The module `launcher`, found beside this file, without its package."""
    sys.path.append(os.path.dirname(__file__.replace("__pycache__/", "")))
    import launcher  # pyright: ignore[reportMissingImports]

    return launcher


class Shim:
    """One worker from its start to the end of its last descendant."""

    def __init__(self, folder: str, spec: dict[str, Any], bell: int, traces: str = "") -> None:
        self.folder = folder
        self.traces = traces or folder
        self.spec = spec
        self.bell = bell
        self.worker = 0
        self.stop_asked = False
        self.childless = False
        self.known: list[int] = []
        self.exit: dict[str, Any] = {"started": time.time(), "cpu": 0.0, "max_rss": 0, "swept": 0}
        self.told: dict[str, Any] = {}
        self.ended = False
        self.stdin = -1
        self.source = -1
        self.partial = b""
        self.pending = b""
        self.wake, wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_write, False)
        self.news = self.wake
        self.poll = select.poll()
        self.poll.register(self.wake, select.POLLIN)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _on_signal(self, signum: int, _: object) -> None:
        self.stop_asked = self.stop_asked or signum == signal.SIGTERM

    def save_end(self, *, sync: bool = False) -> None:
        """Writes down how it ended, once there is room: nobody else can tell. OSError when there is none for long."""
        until = time.monotonic() + ROOM_LIMIT
        while True:
            try:
                return self.save("exit.json", self.exit, sync=sync)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > until:
                    raise
            time.sleep(ROOM_LOOK)

    def save(self, name: str, record: dict[str, Any], *, sync: bool = False) -> None:
        """Puts a record in place by rename; with `sync` it outlives a power cut."""
        path = f"{self.traces}/{name}"
        fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(fd, encode(record).encode())
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(f"{path}.new", path)

    def ring(self, what: bytes) -> None:
        """Wakes the engine, if one listens."""
        os.write(self.bell, what)

    def start(self) -> None:
        """Starts the worker and says so; OSError when it cannot be started."""
        spec = self.spec
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        out = os.open(f"{self.folder}/output.jsonl", flags, 0o600)
        err = os.open(f"{self.folder}/error.log", flags, 0o600)
        if spec["stdin_open"]:
            self._open_input()
            stdin, self.stdin = os.pipe()
            os.set_blocking(self.stdin, False)
            self.poll.register(self.stdin, 0)
        else:
            stdin = os.open(f"{self.folder}/stdin.txt", os.O_RDONLY)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys
        os.chdir(spec["cwd"])
        self._check_wall(spec)
        self._commit()
        self.worker = os.posix_spawn(
            program_in(spec["env"].get("PATH", os.defpath), spec["argv"][0]),
            spec["argv"],
            spec["env"],
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate((stdin, out, err))],
            setsid=True,
            setsigmask=(),
            # ignored signals are inherited through exec: Python ignores two, a background shell SIGINT and SIGQUIT
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT),
        )
        os.chdir("/")
        for fd in (stdin, out, err):
            os.close(fd)
        stop_within = sum(grace for _, grace in spec["stop_signals"])
        self.save("process.json", {**self._who(), "worker": self._record(self.worker), "stop_within": stop_within})
        self.drop("starting.json")
        self.ring(b"r")

    def _record(self, pid: int) -> dict[str, Any]:
        return {"pid": pid, "start_time": float(start_time(pid) or time.time()), "boot_id": self.spec["boot_id"]}

    def _who(self) -> dict[str, Any]:
        return {"shim": self._record(os.getpid()), "mark": self.spec["env"].get(MARK, "")}

    def _commit(self) -> None:
        """From here on the worker starts, and the engine can tell by whom; unless it has just taken the spec back."""
        if self.traces != self.folder:
            self.save("starting.json", self._who())
            return
        claimed = f"{self.folder}/spec.json.claimed"
        try:
            fd = os.open(claimed, os.O_WRONLY | os.O_TRUNC)  # a new file would cost more
            os.write(fd, encode(self._who()).encode())
            os.close(fd)
            os.rename(claimed, f"{self.folder}/starting.json")
        except FileNotFoundError:
            os._exit(0)

    def drop(self, name: str) -> bool:
        """Takes a file of the folder away; False when it is not there."""
        try:
            os.unlink(f"{self.traces}/{name}")
        except OSError:
            return False
        return True

    def _check_wall(self, spec: dict[str, Any]) -> None:
        """Before a wall is built around it: that the program is there, its limits, no way to abstract sockets."""
        if spec.get("program") and not os.access(spec["program"], os.X_OK):
            why = 13 if os.path.exists(spec["program"]) else 2
            raise OSError(why, os.strerror(why), spec["program"])
        for name, limit in spec.get("limits", {}).items():
            kind = getattr(resource, f"RLIMIT_{name}")
            now = resource.getrlimit(kind)
            soft, hard = (limit if each == resource.RLIM_INFINITY else min(each, limit) for each in now)
            resource.setrlimit(kind, (soft, hard))
        if spec.get("scope"):
            walls().limit_scope()

    def main_process(self) -> int:
        """The program itself, which a wall starts as the first child of its own processes; else what was started."""
        pid = self.worker
        for _ in range(self.spec.get("inner", 0)):
            pid = next(iter(_children(pid)), 0)
        return pid or self.worker

    def _open_input(self) -> None:
        path = f"{self.folder}/input.jsonl"
        self.source = os.open(path, os.O_RDONLY)
        news = libc("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC) if LINUX else -1
        if news >= 0 and libc("inotify_add_watch", news, os.fsencode(path), 2) >= 0:  # IN_MODIFY
            self.news = news
            self.poll.register(news, select.POLLIN)

    def wait(self, seconds: float | None = None) -> None:
        """Sleeps until a signal or input comes, at most `seconds`; then reaps and feeds."""
        if self.stdin >= 0 and self.news == self.wake:
            seconds = POLL if seconds is None else min(seconds, POLL)
        for fd, what in self.poll.poll(None if seconds is None else max(seconds, 0) * 1000):
            if fd in (self.wake, self.news):
                os.read(fd, CHUNK)
            elif what & ~select.POLLOUT:  # the worker closed its end
                self.close_stdin()
        self.reap()
        self.feed()

    def reap(self) -> None:
        """Collects every ended child; the main process's end is written down at once."""
        code, until = None, 0.0
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                break
            if pid == 0 and time.monotonic() < until:
                time.sleep(0.0005)
                continue
            if pid == 0:
                break
            self.exit["cpu"] += usage.ru_utime + usage.ru_stime
            self.exit["max_rss"] = max(self.exit["max_rss"], usage.ru_maxrss * (1024 if LINUX else 1))
            if pid == self.worker:
                code = os.waitstatus_to_exitcode(status)
                if self.spec.get("inner"):
                    code = 128 - code if 128 < code < 160 else code  # a wall tells a signal's number so
                    until = time.monotonic() + SETTLE
        if code is not None:
            self.finish(code)

    def finish(self, code: int | None, error: str = "") -> None:
        """exit.json and the bell: first of all, since the next worker waits for it."""
        self.ended = True
        self.exit |= {"code": None if code is None or code < 0 else code, "ended": time.time(), "error": error}
        self.exit["signal"] = -code if code is not None and code < 0 else None
        self.exit["stopped"] = int(self.stop_asked)
        self.save_end()
        self.told = dict(self.exit)
        self.ring(b"x")

    def seal(self) -> None:
        """exit.json as it stays; it outlives a power cut."""
        try:
            fd = os.open(f"{self.traces}/exit.json", os.O_RDONLY) if self.exit == self.told else -1
        except OSError:
            fd = -1
        if fd < 0:
            self.save_end(sync=True)
        else:
            os.fsync(fd)
            os.close(fd)

    def feed(self) -> None:
        """Moves complete lines of input.jsonl into the worker's stdin, as far as the pipe has room."""
        while self.stdin >= 0:
            if not self.pending:
                data = os.read(self.source, CHUNK)
                if not data:
                    end = os.fstat(self.source).st_size
                    if end < os.lseek(self.source, 0, os.SEEK_CUR):  # a line that had no room was taken back
                        os.lseek(self.source, end, os.SEEK_SET)
                        self.partial = b""
                    return
                self._take(data)
            try:
                while self.pending:
                    self.pending = self.pending[os.write(self.stdin, self.pending[:CHUNK]) :]
            except BlockingIOError:
                self.poll.modify(self.stdin, select.POLLOUT)
                return
            except BrokenPipeError:
                self.close_stdin()
                return
            self.poll.modify(self.stdin, 0)
            if self.partial == CLOSE:
                self.close_stdin()

    def _take(self, data: bytes) -> None:
        """Splits what was read into lines to send and a rest; a close line ends up alone in `partial`."""
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        for at, line in enumerate(lines):
            if line.replace(b" ", b"").strip() == CLOSE:
                lines, self.partial = lines[:at], CLOSE
                break
        self.pending = b"".join(line + b"\n" for line in lines)
        if len(self.partial) > 16 * CHUNK:  # no bound on memory otherwise
            self.pending, self.partial = self.pending + self.partial, b""

    def close_stdin(self) -> None:
        """No more input."""
        if self.stdin >= 0:
            self.poll.unregister(self.stdin)
            os.close(self.stdin)
            self.stdin = -1

    def stop(self) -> None:
        """The stop ladder: each signal to the main process with its grace, then SIGKILL to everything of it."""
        # before the first signal: a tool's shell sits in another group and would be lost where there is no subreaper
        self.known = descendants(self.worker)
        for name, grace in self.spec["stop_signals"]:
            send([self.main_process()], getattr(signal, name))
            send([self.worker, *self.known], signal.SIGCONT)  # a paused tree cannot act on it
            until = time.monotonic() + grace
            while not self.ended and time.monotonic() < until:
                self.wait(until - time.monotonic())
            if self.ended:
                return
        send([self.worker, *descendants(self.worker)], signal.SIGKILL)
        until = time.monotonic() + SWEEP_LIMIT
        while not self.ended and time.monotonic() < until:
            self.wait(until - time.monotonic())

    def hold(self) -> None:
        """Lets what the worker left go on if it says that it handed something over; the engine looks whether it did."""
        if self.stop_asked or self.childless or not os.path.exists(f"{self.spec['cwd']}/process.json"):
            return
        held = f"{self.traces}/held"
        os.close(os.open(held, os.O_WRONLY | os.O_CREAT, 0o600))
        while not (self.stop_asked or self.childless):
            self.wait()
        self.drop("held")

    def sweep(self) -> None:
        """Ends and reaps whatever the worker left behind: SIGTERM, then SIGKILL until no child is left."""
        swept: set[int] = set()
        begun = time.monotonic()
        if not LINUX:
            send([*self.known, -self.worker], signal.SIGKILL)  # a negative pid is a group
        while not self.childless and time.monotonic() - begun < SWEEP_LIMIT:
            left = descendants(os.getpid())
            if time.monotonic() - begun < TERM_GRACE:
                new = [pid for pid in left if pid not in swept]
                send(new, signal.SIGTERM)
                send(new, signal.SIGCONT)
            else:
                send(left, signal.SIGSTOP)  # first, so that a fork bomb cannot outrun the kills
                send(left, signal.SIGKILL)
            swept.update(left)
            self.wait(0.05)
        self.exit["swept"] = len(swept)

    def run(self) -> None:
        """The whole life."""
        if LINUX:
            libc("prctl", 36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, before the worker can orphan anything
        try:
            self.start()
            self.feed()
        except OSError as error:
            self.drop("spec.json.claimed")
            self.drop("starting.json")
            self.finish(None, f"{error.filename or self.spec['argv'][0]}: {error.strerror}")
        while not self.ended:
            self.wait()
            if self.stop_asked and not self.ended:
                self.stop()
                if not self.ended:
                    self.finish(None, "could not be killed: it is stuck in the kernel")
        self.close_stdin()
        self.reap()
        self.hold()
        self.sweep()
        self.seal()
        # Who listens has it open; a FIFO left behind trips whoever copies the folder.
        self.drop("bell")


def nursery() -> str:
    """Forks a shim for each request on standard input; returns its spec's path in a shim, "" once the engine is gone.

    A request is one message of a socket: a ticket, the path and the name for the process list. The engine is the shim's
    parent, as if it had started it itself. The shim answers with the ticket and its pid before it does anything else:
    when the engine reads the end of the socket, it has heard of every shim that there will be.
    """
    os.chdir("/")
    walls()
    gc.freeze()  # no shim looks through what was there before it: that stays one memory for all
    retitle(os.fsencode(sys.argv[2].rstrip()))
    while True:
        try:
            request = os.read(0, CHUNK)
        except OSError:  # the engine died with answers unread
            request = b""
        if not request:
            return ""
        ticket, path, name = request.split(b"\0")
        pid = libc("syscall", CLONE3, SIBLING, len(SIBLING))
        if pid == 0:
            break
        if pid < 0:
            answer(ticket, 0)
    os.setsid()
    retitle(path + b"\0" + name)
    answer(ticket, os.getpid())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return os.fsdecode(path)


def answer(ticket: bytes, pid: int) -> None:
    """Tells the engine; when it has just died, the next one finds what there is."""
    try:
        os.write(0, b"%s %d" % (ticket, pid))
    except OSError:
        return


def retitle(words: bytes) -> None:
    """Has the process list show these words after the script's name, as far as the command line has room for them."""
    fields = stat_of(os.getpid())
    room = range(int(fields[45]) + sum(len(os.fsencode(word)) + 1 for word in sys.orig_argv[:4]), int(fields[46]))
    try:
        memory = os.open("/proc/self/mem", os.O_WRONLY)
    except OSError:  # then it stays what it was
        return
    os.pwrite(memory, words[: len(room) - 1].ljust(len(room), b"\0"), room.start)
    os.close(memory)


def main() -> None:
    """Claims the spec (a late shim whose spec was taken back starts nothing) and runs it."""
    os.closerange(3, 65_536)  # whatever the engine's own starter left open
    path = nursery() if sys.argv[1] == "-" else os.path.abspath(sys.argv[1])
    if not path:
        return
    os.umask(0o022)
    folder, claimed = os.path.dirname(path), f"{path}.claimed"
    traces = sys.argv[3] if len(sys.argv) > 3 else folder
    if traces != folder and os.path.exists(f"{traces}/process.json"):
        return  # somebody has started the container a second time
    bell = os.open(f"{traces}/bell", os.O_RDWR | os.O_NONBLOCK)
    try:
        if traces == folder:
            os.rename(path, claimed)
        with open(claimed if traces == folder else path, encoding="utf-8") as file:
            spec = decode(file.read())
    except FileNotFoundError:
        return
    if traces != folder:
        spec["env"] = {**os.environ, **spec["env"]}
    Shim(folder, spec, bell, traces).run()
    os._exit(0)  # the interpreter's own clean-up would only take time


if __name__ == "__main__":
    main()

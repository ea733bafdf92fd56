"""Workers behind each wall under the real shim: how they end, stop and pause; programs installed in a home."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aura_engine.runtimes import processes, shim
from aura_engine.runtimes.bubblewrap import Bubblewrap
from aura_engine.runtimes.containment import Containment, Ground, programs_in
from aura_engine.runtimes.landlock import Landlock
from aura_engine.runtimes.local import LocalRuntime, LocalWorker
from aura_engine.runtimes.walls import survey
from aura_engine.verify.process import run_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and Landlock are Linux's")
Start = Callable[..., Awaitable[LocalWorker]]


@pytest.fixture(scope="module")
def ground() -> Ground:
    """This machine, looked at once."""
    return survey(os.environ, [])


@pytest.fixture(params=[Bubblewrap, Landlock])
def wall(request: pytest.FixtureRequest, ground: Ground) -> Containment:
    """Each wall that works here."""
    found = request.param(ground)
    if problem := found.problem():
        pytest.skip(f"{found.name}: {problem}")
    return found


@pytest.fixture
def behind(wall: Containment, start_with: Callable[[LocalRuntime], Start]) -> Start:
    """See `start`, behind the wall."""
    return start_with(LocalRuntime(wall))


async def test_exit_status_output_and_usage_come_through(behind: Start, py, tmp_path: Path):
    burn = "import time; e=time.process_time()+.2\nwhile time.process_time()<e: pass\nprint('out'); raise SystemExit(7)"
    worker = await behind(*py(burn), folder="a")
    record = await worker.wait()
    assert (record.code, record.signal, record.error) == (7, None, "")
    assert record.cpu >= 0.2
    assert record.max_rss > 1_000_000
    assert (tmp_path / "a/output.jsonl").read_text() == "out\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
async def test_a_signal_is_told_as_one(behind: Start, py, number: signal.Signals):
    worker = await behind(*py(f"import os; os.kill(os.getpid(), {int(number)})"))
    record = await worker.wait()
    assert (record.code, record.signal) == (None, number)


async def test_a_stop_signal_reaches_the_program_itself(behind: Start, py, tmp_path: Path, eventually):
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('asked', flush=True), sys.exit(5)))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    worker = await behind(*py(text), folder="a", stop_signals=(("SIGINT", 20.0),))
    output = tmp_path / "a/output.jsonl"
    await eventually(lambda: "ready" in output.read_text())
    record = await worker.stop()
    assert (record.code, record.signal) == (5, None)
    assert "asked" in output.read_text()


async def test_nothing_is_left_after_a_stop(behind: Start, py, tmp_path: Path, eventually):
    text = (
        "import os, signal, time\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork(): os._exit(0)\n"
        "        [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]\n"
        "        time.sleep(600)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    )
    worker = await behind(*py(text), folder="a", stop_signals=(("SIGTERM", 0.1),))
    await eventually(lambda: "ready" in (tmp_path / "a/output.jsonl").read_text())
    family = [pid for pid in shim.descendants(worker.shim.pid) if shim.start_time(pid)]
    assert len(family) >= 3
    record = await worker.stop()
    assert record.signal == signal.SIGKILL
    assert not [pid for pid in family if shim.start_time(pid)]


async def test_what_a_program_leaves_behind_is_swept(behind: Start, py, tmp_path: Path):
    text = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)"
    )
    worker = await behind(*py(text), folder="a")
    assert (await worker.wait()).code == 0
    record = await worker.swept()
    assert record.swept >= 1
    assert not processes.alive(worker.shim)


async def test_pause_and_resume(behind: Start, py, tmp_path: Path, eventually):
    text = "import itertools, time\nfor n in itertools.count():\n    print(n, flush=True); time.sleep(.01)"
    worker = await behind(*py(text), folder="a")
    output = tmp_path / "a/output.jsonl"
    await eventually(lambda: output.stat().st_size > 10)
    await worker.pause()
    below = shim.descendants(worker.shim.pid)
    assert below
    await eventually(lambda: {b"".join(shim.stat_of(pid)[:1]) for pid in below} == {b"T"})
    size = output.stat().st_size
    await worker.resume()
    await eventually(lambda: output.stat().st_size > size)
    await worker.stop()


async def test_it_starts_where_it_was_told_under_the_same_path(behind: Start, py, tmp_path: Path):
    where = tmp_path / "a place ö"
    where.mkdir()
    worker = await behind(*py("import os; open('mine', 'w').write(os.getcwd())"), cwd=where)
    assert (await worker.swept()).code == 0
    assert (where / "mine").read_text() == str(where)


async def test_input_reaches_it(behind: Start, py, tmp_path: Path):
    worker = await behind(*py("print(input() + input())"), folder="a", stdin="one\n", stdin_open=True)
    worker.send("two")
    assert (await worker.wait()).code == 0
    assert (tmp_path / "a/output.jsonl").read_text() == "onetwo\n"


@pytest.mark.parametrize(
    ("program", "said"), [("/no/such/program", "No such file"), ("/etc/passwd", "Permission denied")]
)
async def test_a_program_that_cannot_be_started(behind: Start, program: str, said: str):
    record = await (await behind(program)).wait()
    assert program in record.error
    assert said in record.error


async def test_limits_bind_it(behind: Start, py, tmp_path: Path):
    worker = await behind(
        *py("import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NOFILE)[1] <= 65536)"),
        folder="a",
    )
    await worker.wait()
    assert (tmp_path / "a/output.jsonl").read_text() == "(0, 0) True\n"


async def test_a_login_is_the_persons_own_file(wall: Containment, start_with, py, hermetic: Path, tmp_path: Path):
    login = hermetic / ".tool/auth.json"
    login.parent.mkdir()
    login.write_text("old")
    (hermetic / ".tool/history").write_text("private")
    text = (
        "import os; f = os.path.expanduser('~/.tool/auth.json')\n"
        "assert open(f).read() == 'old'; open(f, 'w').write('new')\n"
        f"try: open({str(login.with_name('history'))!r}); print('seen')\nexcept OSError: print('hidden')"
    )
    begin = start_with(LocalRuntime(wall))
    worker = await begin(*py(text), folder="a", logins={".tool/auth.json": str(login)})
    assert (await worker.wait()).code == 0, (tmp_path / "a/error.log").read_text()
    assert login.read_text() == "new"
    assert (tmp_path / "a/output.jsonl").read_text() == "hidden\n"


async def test_what_is_shared_is_read_only(wall: Containment, start_with, py, tmp_path: Path):
    data = tmp_path / "project/data"
    data.mkdir(parents=True)
    (data / "rows").write_text("1")
    (data.parent / "secret").write_text("2")
    where = tmp_path / "workspace"
    where.mkdir()
    (where / "data").symlink_to(data)
    text = (
        "print(open('data/rows').read())\n"
        f"for name, mode in (('data/rows', 'w'), ('data/new', 'w'), ({str(data.parent / 'secret')!r}, 'r')):\n"
        "    try: open(name, mode); print('open', name)\n"
        "    except OSError: pass"
    )
    begin = start_with(LocalRuntime(wall, lambda: [data]))
    worker = await begin(*py(text), folder="a", cwd=where)
    assert (await worker.wait()).code == 0
    assert (tmp_path / "a/output.jsonl").read_text() == "1\n"


async def test_a_check_has_temporary_files_and_ends_with_all_it_started(wall: Containment, tmp_path: Path):
    checkout, place = tmp_path / "checkout", tmp_path / "place"
    for folder in (checkout, place / "tmp"):
        folder.mkdir(parents=True)
    command = "mktemp && echo x > mine && (setsid sleep 600.25 &) ; echo $$; test ! -e ../place/../outside"
    argv = wall.command(["/bin/sh", "-c", command], write=(checkout, place), temp=place / "tmp", network=False)
    env = {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place / "tmp")}
    ran = await run_command(argv, cwd=checkout, env=env, limit=30, max_output=10**6)
    assert ran.code == 0, ran.tail
    assert (checkout / "mine").read_text() == "x\n"
    assert not _running("600.25")


def _running(word: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


# ---- programs in a home

SAYS = 'here=$(readlink -f "$0"); . "${here%/*}/words"; echo "$said from $0"\n'


def _put(path: Path, text: str = "", *, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def _shell(path: Path) -> Path:
    """A copy of the shell plays the interpreter: it has to be found where it is installed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/sh", path)
    return path


def _script(path: Path, interpreter: str) -> Path:
    _put(path.with_name("words"), "said=hello\n")
    return _put(path, f"#!{interpreter}\n{SAYS}")


def _nvm(home: Path) -> Path:
    version = home / ".nvm/versions/node/v20.1.0"
    _shell(version / "bin/node")
    _script(version / "lib/node_modules/@maker/tool/cli.js", "/usr/bin/env node")
    (version / "bin/tool").symlink_to("../lib/node_modules/@maker/tool/cli.js")
    (home / ".nvm/current").symlink_to("versions/node/v20.1.0")
    return home / ".nvm/current/bin"


def _pyenv(home: Path) -> Path:
    root = home / ".pyenv"
    real = _shell(root / "versions/3.12.1/bin/python3.12")
    real.with_name("python").symlink_to("python3.12")
    _put(root / "versions/3.12.1/lib/x")
    _script(root / "versions/3.12.1/bin/tool", str(real.with_name("python")))
    _put(root / "shims/tool", f'#!/usr/bin/env sh\nexec "{root}/versions/3.12.1/bin/tool"\n')
    return root / "shims"


def _conda(home: Path) -> Path:
    base = home / "miniforge3/envs/work"
    _put(base / "conda-meta/history")
    _script(base / "bin/tool", str(_shell(base / "bin/python")))
    return base / "bin"


def _cargo(home: Path) -> Path:
    _put(home / ".cargo/credentials.toml", "secret")
    _put(home / ".rustup/toolchains/stable/bin/tool", "#!/bin/sh\necho hello from rustup\n")
    proxy = 'test -n "$RUSTUP_HOME" && exec "$RUSTUP_HOME/toolchains/stable/bin/${0##*/}"\n'
    _put(home / ".cargo/bin/rustup", f"#!/bin/sh\n{proxy}")
    (home / ".cargo/bin/tool").symlink_to("rustup")
    return home / ".cargo/bin"


def _pipx(home: Path) -> Path:
    python = _shell(home / ".local/share/uv/python/cpython-3.12/bin/python3.12")
    _put(home / ".local/share/uv/python/cpython-3.12/lib/x")
    venv = home / ".local/share/pipx/venvs/tool"
    _put(venv / "pyvenv.cfg")
    _script(venv / "bin/tool", str(venv / "bin/python"))
    (venv / "bin/python").symlink_to(python)
    (home / ".local/bin").mkdir()
    (home / ".local/bin/tool").symlink_to(venv / "bin/tool")
    _put(home / ".local/share/keyrings/login", "secret")
    return home / ".local/bin"


def _single(home: Path) -> Path:
    _script(home / ".local/share/maker/versions/2.1.0", "/bin/sh")
    (home / ".local/bin").mkdir()
    (home / ".local/bin/tool").symlink_to(home / ".local/share/maker/versions/2.1.0")
    return home / ".local/bin"


def _npm_global(home: Path) -> Path:
    _script(home / ".npm-global/lib/node_modules/tool/cli.js", str(_shell(home / "runtimes/node/bin/node")))
    (home / ".npm-global/bin").mkdir()
    (home / ".npm-global/bin/tool").symlink_to("../lib/node_modules/tool/cli.js")
    return home / ".npm-global/bin"


def _project_modules(home: Path) -> Path:
    modules = home / ".cache/some/node_modules"
    _script(modules / "tool/bin/cli.js", "/bin/sh")
    (modules / ".bin").mkdir()
    (modules / ".bin/tool").symlink_to("../tool/bin/cli.js")
    return modules / ".bin"


SECRETS = (".ssh/id", ".config/gh/hosts.yml", ".netrc", ".codex/auth.json", ".bash_history", "work/main.py")


@pytest.mark.parametrize("layout", [_nvm, _pyenv, _conda, _cargo, _pipx, _single, _npm_global, _project_modules])
@pytest.mark.parametrize("kind", [Bubblewrap, Landlock])
@pytest.mark.parametrize("by_path", [True, False])
async def test_a_tool_installed_in_a_home_starts(
    kind, layout, by_path: bool, start_with, hermetic: Path, tmp_path: Path
):
    folder = layout(hermetic)
    for name in SECRETS:
        _put(hermetic / name, "secret", mode=0o600)
    # named by its path alone, or found like any other tool that a worker calls
    path = f"{folder}:/usr/bin:/bin" if by_path or layout in (_nvm, _cargo) else "/usr/bin:/bin"
    wall = kind(survey({"PATH": path, "HOME": str(hermetic)}, []))
    if problem := wall.problem():
        pytest.skip(f"{wall.name}: {problem}")
    looks = "; ".join(
        f'cat "{hermetic / name}"' for name in (*SECRETS, ".cargo/credentials.toml", ".local/share/keyrings/login")
    )
    argv = ("/bin/sh", "-c", f"tool; ({looks}) 2>/dev/null") if by_path else (str(folder / "tool"),)
    begin = start_with(LocalRuntime(wall))
    worker = await begin(*argv, folder="a", env={"PATH": path, "HOME": str(tmp_path / "own")})
    await worker.wait()
    said = (tmp_path / "a/output.jsonl").read_text()
    assert said.startswith("hello from "), (tmp_path / "a/error.log").read_text()
    assert said.count("\n") == 1, "a secret of the home was seen"


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("/h/claude -p --resume /h/diary", ["/h/claude"]),
        ("/h/venv/bin/python3.11 -I -S /h/agent.py /h/diary", ["/h/venv/bin/python3.11", "/h/agent.py"]),
        ("timeout 60 /h/agent /h/diary", ["/h/agent"]),
        ("/bin/sh -c /h/diary", ["/bin/sh"]),
        ("agent /h/diary", []),
    ],
)
def test_only_the_program_of_a_command_line_counts_as_one(line: str, programs: list[str]):
    assert programs_in(line.split()) == programs


async def test_a_session_that_is_a_path_opens_nothing(hermetic: Path, wall: Containment, start_with, tmp_path: Path):
    program = _shell(hermetic / "apps/agent")
    program.write_text('#!/bin/sh\ncat "$2"')
    diary = _put(hermetic / "letters/diary", "dear diary")
    start = start_with(LocalRuntime(type(wall)(survey({"PATH": os.defpath, "HOME": str(hermetic)}, []))))
    worker = await start(str(program), "--resume", str(diary), folder="a")
    assert (await worker.wait()).code == 1
    assert (tmp_path / "a/output.jsonl").read_text() == ""


async def test_a_terminal_of_the_persons_is_out_of_reach(wall: Containment, start_with, py, tmp_path: Path):
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"typed\n")
        paint = f"import os; os.write(os.open({os.ttyname(theirs)!r}, os.O_RDWR), b'painted')"
        worker = await start_with(LocalRuntime(wall))(*py(paint), folder="a")
        assert (await worker.wait()).code == 1
        os.set_blocking(ours, False)
        assert b"painted" not in os.read(ours, 200)
    finally:
        os.close(ours)
        os.close(theirs)


def test_folders_that_hold_more_than_a_program_are_not_shown(hermetic: Path, tmp_path: Path):
    project = hermetic / "project"
    _put(project / "bin/tool")
    _put(project / "lib/x")
    for name in ("bin/tool", ".ssh/tool", ".config/thing/tool"):
        _put(hermetic / name)
    folders = [hermetic, hermetic / "bin", hermetic / ".ssh", hermetic / ".config/thing", project / "bin", Path("/")]
    ground = survey(
        {"PATH": ":".join(map(str, [*folders, ".", ""])), "HOME": str(hermetic)}, [project, project / ".aura"]
    )
    mine = {path for path in ground.shown if hermetic in (path, *path.parents)}
    assert mine == {hermetic / "bin", project / "bin"}
    assert hermetic.parent not in ground.shown

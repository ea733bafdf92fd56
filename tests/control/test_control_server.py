"""The socket: who gets in, who hears what, who is let go, and that nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aura_engine.control import place
from aura_engine.control.protocol import MAX_FRAME, PROTOCOL
from aura_engine.control.server import MAX_CLIENTS
from aura_engine.errors import AuraError
from aura_engine.journal.lock import OwnerLock

WAKE = {"kind": "wake"}


async def test_a_viewer_is_told_the_history_and_then_what_happens(stage, host):
    await host.say(*(f"old {n}" for n in range(1200)))
    async with stage.serving():
        viewer = await stage.client()
        hello = await viewer.hello(since=0)
        assert (hello["protocol"], hello["seq"], hello["read_only"]) == (PROTOCOL, 1200, True)
        assert (hello["run"], hello["pid"]) == ("task-0", os.getpid())
        rows = await viewer.events(1200)
        await host.say("new")
        rows += await viewer.events(1201)
        assert [row["seq"] for row in rows] == list(range(1, 1202))
        assert rows[-1]["kind"] == "notice"
        assert rows[-1]["event"] == {"text": "new"}
        late = await stage.client()
        await late.hello(since=1199)
        assert [row["seq"] for row in await late.events(1201)] == [1200, 1201]


async def test_more_than_the_memory_holds_comes_from_the_journal_without_a_gap(stage, host, monkeypatch):
    monkeypatch.setattr("aura_engine.control.feed.KEPT", 10)
    async with stage.serving():
        viewer = await stage.client()
        await viewer.hello(since=0)
        await host.say(*(f"{n}" for n in range(777)))
        assert [row["seq"] for row in await viewer.events(777)] == list(range(1, 778))


async def test_an_event_larger_than_a_frame_comes_whole(stage, host):
    async with stage.serving():
        viewer = await stage.client()
        await viewer.hello(since=0)
        await host.say("ö" * MAX_FRAME)
        assert (await viewer.events(1))[0]["event"]["text"] == "ö" * MAX_FRAME


async def test_a_command_is_carried_out_and_answered_once_it_is_on_the_disk(stage, host):
    async with stage.serving():
        client = await stage.client()
        assert not (await client.hello(role="control"))["read_only"]
        await client.send(type="command", id=7, command=WAKE)
        reply = await client.next("reply")
        assert (reply["id"], reply["why"]) == (7, "")
        assert [(row["kind"], row["event"]["command"]) for row in reply["events"]] == [("requested", "wake")]
        assert [entry.seq for entry in host.history(0)] == [reply["events"][0]["seq"]]
        await client.send(type="command", id=8, command={"kind": "kill", "task": "A1"})
        assert (await client.next("reply"))["why"] == "there is nothing to stop"


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (None, "valid"),
        ({"kind": "format_disk"}, "format_disk"),
        ({"kind": "kill"}, "task"),
        ({"kind": "message", "task": "A1", "text": "x" * 30_000}, "20000"),
        ({"kind": "wake", "more": 1}, "more"),
    ],
)
async def test_a_command_that_makes_no_sense_is_refused_in_words(stage, host, command, word):
    async with stage.serving():
        client = await stage.client()
        await client.hello(role="control")
        await client.send(type="command", id=1, command=command)
        assert word in (await client.next("reply"))["why"]
        assert host.commands == []


async def test_who_did_not_ask_for_control_only_looks_on(stage, host):
    async with stage.serving():
        client = await stage.client()
        await client.hello()
        await client.send(type="command", id=1, command=WAKE)
        assert "only looks on" in (await client.next("reply"))["why"]
        assert host.commands == []


async def test_telemetry_comes_only_where_it_is_asked_for_and_seldom(stage, host):
    async with stage.serving():
        asked, other = await stage.client(), await stage.client()
        await asked.hello(telemetry=True)
        await other.hello(since=0)
        began = asyncio.get_running_loop().time()
        first = await asked.next("telemetry")
        assert first["live"]["A1#1"]["tokens"] == 7
        assert first["machine"]["disk_free"] == 4
        host.live["A1#1"] = type(host.live["A1#1"])(tokens=8)
        assert (await asked.next("telemetry"))["live"]["A1#1"]["tokens"] == 8
        assert asyncio.get_running_loop().time() - began >= 0.1
        await host.say("x")
        assert (await other.next())["type"] == "events"


async def test_kinds_that_are_not_known_are_ignored(stage):
    async with stage.serving():
        client = await stage.client()
        await client.hello(role="control")
        await client.send(type="dance", id=1)
        await client.send(type="diff", id=2, task="A1")
        assert await client.next() == {"type": "reply", "id": 2, "why": "", "text": "diff of A1"}


@pytest.mark.parametrize(
    ("first", "word"),
    [
        ({"type": "hello", "protocol": PROTOCOL + 1, "aura": "9"}, f"speaks version {PROTOCOL + 1}"),
        ({"type": "hello"}, "speaks version None"),
        ({"type": "command", "command": WAKE}, "hello"),
    ],
)
async def test_who_does_not_speak_the_protocol_is_told_so(stage, host, first, word):
    async with stage.serving():
        client = await stage.client()
        await client.send(**first)
        bye = await client.next()
        assert bye["type"] == "bye"
        assert word in bye["why"]
        assert await client.next() == {}
        assert host.commands == []


async def test_who_says_nothing_is_let_go(stage):
    async with stage.serving(hello=0.05):
        client = await stage.client()
        assert "no hello" in (await client.next("bye"))["why"]


async def test_two_megabytes_in_one_frame_are_refused_and_others_do_not_notice(stage, host):
    async with stage.serving():
        good, bad = await stage.client(), await stage.client()
        await good.hello(since=0)
        await bad.hello(role="control")
        bad.writer.write(b"x" * (2 * MAX_FRAME) + b"\n")
        assert "longer than" in (await bad.next("bye"))["why"]
        await host.say("x")
        assert len(await good.events(1)) == 1


@pytest.mark.parametrize("rubbish", [b"\x00" * 100 + b"\n", b"GET / HTTP/1.1\r\n\r\n", b'{"type": "hello"\n', b"[]\n"])
async def test_rubbish_is_refused(stage, rubbish):
    async with stage.serving() as server:
        client = await stage.client()
        client.writer.write(rubbish)
        assert (await client.next("bye"))["why"]
        await stage.until(lambda: server.clients == 0)


async def test_who_does_not_read_is_let_go_with_a_reason_and_the_others_hear_all(stage, host, caplog):
    async with stage.serving(patience=0.3) as server:
        slow, quick = await stage.client(), await stage.client()
        await slow.hello(since=0)
        slow.writer.transport.pause_reading()
        await quick.hello(since=0)
        text = "x" * 100_000
        reading = asyncio.create_task(quick.events(30))  # meanwhile, or it would be one that does not read
        for _ in range(30):
            await host.say(text)
        assert [row["seq"] for row in await reading] == list(range(1, 31))
        await stage.until(lambda: server.clients == 1)
        assert "read nothing" in caplog.text
        await host.say("after")
        assert (await quick.events(31))[0]["event"]["text"] == "after"


async def test_who_reads_again_in_time_has_missed_nothing(stage, host):
    async with stage.serving(patience=20.0):
        viewer = await stage.client()
        await viewer.hello(since=0)
        viewer.writer.transport.pause_reading()
        for _ in range(30):
            await host.say("x" * 100_000)
        viewer.writer.transport.resume_reading()
        assert [row["seq"] for row in await viewer.events(30)] == list(range(1, 31))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_fifty_who_come_and_go_leave_nothing_behind(stage, host):
    async with stage.serving() as server:
        await host.say("x")
        steady = await stage.client()
        await steady.hello(since=0)
        await steady.events(1)
        fds, tasks = descriptors(), len(asyncio.all_tasks())
        for number in range(50):
            reader, writer = await asyncio.open_unix_connection(stage.path)
            if number % 3:
                hello = {"type": "hello", "protocol": PROTOCOL, "since": 0, "telemetry": bool(number % 2)}
                writer.write(json.dumps(hello).encode() + b"\n")
                await reader.readline()
            if number % 5 == 0:
                writer.write(b'{"type": "half a fr')
            writer.transport.abort()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await stage.until(lambda: server.clients == 1)
        await stage.until(lambda: (descriptors(), len(asyncio.all_tasks())) == (fds, tasks))
        await host.say("y")
        assert (await steady.events(2))[-1]["event"]["text"] == "y"


async def test_twenty_at_once_all_hear_all(stage, host):
    async with stage.serving():
        viewers = [await stage.client() for _ in range(20)]
        for viewer in viewers:
            await viewer.hello(since=0, telemetry=True)
        await host.say(*(f"{n}" for n in range(100)))
        for viewer in viewers:
            assert [row["seq"] for row in await viewer.events(100)] == list(range(1, 101))


async def test_there_is_a_limit_to_clients_and_it_is_told(stage):
    async with stage.serving():
        clients = [await stage.client() for _ in range(MAX_CLIENTS)]
        for client in clients:
            await client.hello()
        over = await stage.client()
        assert str(MAX_CLIENTS) in (await over.next("bye"))["why"]


async def test_a_client_killed_in_the_middle_of_a_frame_disturbs_nobody(stage, host):
    script = """
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
hello = {"type": "hello", "protocol": int(sys.argv[2]), "role": "control", "since": 0}
s.sendall(json.dumps(hello).encode() + b"\\n"); s.recv(10)
s.sendall(b'{"type": "command", "id": 1, "comm'); print("ready", flush=True); time.sleep(60)
"""
    async with stage.serving() as server:
        viewer = await stage.client()
        await viewer.hello(since=0)
        command = [sys.executable, "-c", script, str(stage.path), str(PROTOCOL)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await stage.until(lambda: server.clients == 1)
        await host.say("x")
        assert len(await viewer.events(1)) == 1
        assert host.commands == []


async def test_the_end_is_told_with_all_that_came_before_it(stage, host):
    async with stage.serving() as server:
        viewer = await stage.client()
        await viewer.hello(since=0)
        await host.say(*(f"{n}" for n in range(2500)))
        closing = asyncio.create_task(server.aclose())
        rows = await viewer.events(2500)
        assert [row["seq"] for row in rows] == list(range(1, 2501))
        bye = await viewer.next()
        assert (bye["type"], bye["ended"]) == ("bye", True)
        await closing
        assert not stage.path.exists()
        assert place.find(host.run) is None


async def test_the_end_does_not_wait_for_who_does_not_read(stage, host):
    async with stage.serving(goodbye=0.2, patience=30.0) as server:
        slow = await stage.client()
        await slow.hello(since=0)
        slow.writer.transport.pause_reading()
        for _ in range(30):
            await host.say("x" * 100_000)
        async with asyncio.timeout(5):
            await server.aclose()
        assert server.clients == 0


async def test_the_socket_is_ours_alone(stage, host):
    async with stage.serving():
        assert stat.S_IMODE(stage.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(stage.path.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(stage.path)) <= place.MAX_PATH
        assert place.find(host.run) == stage.path
        assert stat.S_IMODE((host.run / place.ADDRESS).stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
async def test_another_user_is_turned_away_even_where_the_modes_would_let_him_in(stage, host, tmp_path):
    script = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10)
os.setgid(65534); os.setuid(65534)
s.connect(sys.argv[1]); print(s.makefile().readline())
"""
    async with stage.serving():
        # The socket's own folders stay shut: the one that the other user is given leads to it by a hard link.
        folder = Path("/tmp") / f"aura-test-{os.getpid()}"
        folder.mkdir()
        folder.chmod(0o755)
        try:
            os.link(stage.path, folder / "s")
            stage.path.chmod(0o666)
            command = [sys.executable, "-c", script, str(folder / "s")]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            assert "another user" in json.loads(await process.stdout.read())["why"]
            await process.wait()
        finally:
            (folder / "s").unlink(missing_ok=True)
            folder.rmdir()


async def test_a_socket_that_a_dead_engine_left_is_replaced(stage, host):
    left = place.choose(host.run)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(left))
    dead.close()
    place.announce(host.run, left)
    with OwnerLock.acquire(host.run / "lock"):
        async with stage.serving():
            assert stage.path == left
            viewer = await stage.client()
            assert (await viewer.hello())["type"] == "hello"


async def test_two_runs_have_two_sockets(stage, host, tmp_path):
    other = tmp_path / "other" / "task-0"
    other.mkdir(parents=True)
    assert place.choose(host.run) != place.choose(other)


def test_a_place_that_is_not_ours_alone_is_not_used(monkeypatch, request):
    # pytest's own folder is too long for a socket's path when tests run beside each other
    tmp_path = Path(tempfile.mkdtemp(prefix="a"))
    request.addfinalizer(lambda: shutil.rmtree(tmp_path))
    run = tmp_path / "run"
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    environ = {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path / "h"), "XDG_STATE_HOME": str(tmp_path / "s")}
    assert place.choose(run, environ).parent == runtime / "aura"
    (runtime / "aura").chmod(0o755)
    assert place.choose(run, environ).parent == tmp_path / "s" / "aura" / "sockets"
    (runtime / "aura").rmdir()
    (runtime / "aura").symlink_to(tmp_path)
    assert place.choose(run, environ).parent == tmp_path / "s" / "aura" / "sockets"
    long = {"HOME": "/" + "h" * 120, "XDG_STATE_HOME": ""}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert place.choose(run, long).parent == tmp_path / f"aura-{os.getuid()}"
    monkeypatch.setattr("tempfile.tempdir", "/" + "t" * 120)
    with pytest.raises(AuraError, match="too long"):
        place.choose(run, long)

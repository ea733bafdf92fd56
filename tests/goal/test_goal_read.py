from __future__ import annotations

import hashlib
import os
import socket

import pytest

from aura_engine.errors import GoalError
from aura_engine.goal.read import MAX_BYTES, read_goal


def test_text_and_revision(task):
    task.write_text("# Größe\nbuild it\n", "utf-8")
    goal = read_goal(task)
    assert goal.text == "# Größe\nbuild it\n"
    assert goal.revision == hashlib.sha256(goal.text.encode()).hexdigest()
    assert goal.path == task


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbfa\nb\n", b"a\r\nb\r\n", b"a\rb", b"a\nb", b"a\nb\n\n  \n"])
def test_bom_line_ends_and_trailing_blanks_make_no_new_revision(task, raw):
    task.write_bytes(raw)
    plain = hashlib.sha256(b"a\nb\n").hexdigest()
    assert (read_goal(task).text, read_goal(task).revision) == ("a\nb\n", plain)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b" \r\n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"abc\0def", "is a binary file"),
        ("text".encode("utf-16"), "is UTF-16 or UTF-32"),
        ("text".encode("utf-32"), "is UTF-16 or UTF-32"),
        (b"one\ntwo \xff\n", "is not UTF-8 text: line 2"),
        (b"x" * (MAX_BYTES + 1), "is larger than 1 MiB"),
    ],
)
def test_content_that_is_no_goal(task, raw, message):
    task.write_bytes(raw)
    with pytest.raises(GoalError, match=message) as caught:
        read_goal(task)
    assert str(task) in str(caught.value)
    assert "\n" not in caught.value.line()
    assert caught.value.cure
    assert caught.value.exit_status == 2


def test_exactly_the_limit_is_fine(task):
    task.write_bytes(b"x" * MAX_BYTES)
    assert len(read_goal(task).text) == MAX_BYTES + 1


def test_missing(task):
    with pytest.raises(GoalError, match="There is no task file"):
        read_goal(task)
    with pytest.raises(GoalError, match="cannot be read"):
        read_goal(task.with_name("x" * 300))
    with pytest.raises(GoalError, match="not a file name"):
        read_goal(task.with_name("a\0b"))


def test_folder_and_pipe_and_socket_and_device(task):
    with pytest.raises(GoalError, match="is a folder"):
        read_goal(task.parent)
    os.mkfifo(task)
    with pytest.raises(GoalError, match="is a named pipe"):
        read_goal(task)
    with pytest.raises(GoalError, match="is a device"):
        read_goal(type(task)("/dev/zero"))
    name = task.with_name("s")
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(task.parent)  # a socket's path may have 107 bytes only
        listener.bind("s")
        with pytest.raises(GoalError, match="is a socket"):
            read_goal(name)


def test_a_file_exchanged_for_a_pipe_does_not_hang(task, monkeypatch):
    task.write_text("goal")
    before = task.stat()
    task.unlink()
    os.mkfifo(task)
    monkeypatch.setattr(type(task), "stat", lambda self, **_: before)
    with pytest.raises(GoalError, match="is a named pipe"):
        read_goal(task)


def test_unreadable(task, monkeypatch):
    task.write_text("goal")
    task.chmod(0)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    if os.geteuid() == 0:  # root reads everything
        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(GoalError, match="may not be read") as caught:
        read_goal(task)
    assert "chmod" in caught.value.cure


def test_links(task, tmp_path):
    project, outside = tmp_path / "project", tmp_path / "outside.md"
    project.mkdir()
    outside.write_text("secret")
    (project / "real.md").write_text("goal")
    link = project / "task.md"
    link.symlink_to("real.md")
    assert read_goal(link).text == "goal\n"
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(GoalError, match="symbolic link out of the project"):
        read_goal(link)
    assert read_goal(link, project=tmp_path).text == "secret\n"
    outside.unlink()
    with pytest.raises(GoalError, match="symbolic link to nothing"):
        read_goal(link)
    link.unlink()
    link.symlink_to("task.md")
    with pytest.raises(GoalError, match="symbolic link to nothing"):
        read_goal(link)
    os.mkfifo(project / "pipe")
    link.unlink()
    link.symlink_to("pipe")
    with pytest.raises(GoalError, match="is a named pipe"):
        read_goal(link)

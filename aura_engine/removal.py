"""Folders that somebody else filled, gone through and removed as deep as they are: `shutil` and `os.walk` recurse."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def below(top: Path) -> Iterator[os.DirEntry[str]]:
    """All that lies below a folder, each folder before what is in it; links are not followed.

    What cannot be read, has just gone, or lies deeper than a path can name is left out. Blocks.
    """
    stack = [os.fspath(top)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            yield entry
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it holds; what cannot be removed is left. Blocks."""
    with suppress(OSError):
        # `rm` does in 1 ms what costs Python 3 ms of the engine's CPU for a folder of 50 files.
        if not _rm(folder):  # a worker may have taken away the right to change its folders
            folder.chmod(stat.S_IRWXU)
            for entry in below(folder):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, stat.S_IRWXU)  # noqa: PTH101 - an entry's path is text
            _rm(folder)


def remove_few(folder: Path) -> None:
    """The same, sooner where there is little in it: without a process. Blocks."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        remove_tree(folder)


def _rm(folder: Path) -> bool:
    gone = subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False, close_fds=False)
    return gone.returncode == 0

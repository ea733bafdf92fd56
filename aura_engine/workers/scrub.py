"""Secrets out of what a worker printed: the kernel writes its output files, so that is done once the worker has ended.

Until then they hold what it said; whoever shows it meanwhile takes the secrets out on the way.
"""

from __future__ import annotations

import os
from pathlib import Path

from aura_engine.core.redaction import Redactor, Stream

CHUNK = 1 << 18


def scrub(path: Path, redactor: Redactor) -> bool:
    """Exchange a file that holds secrets for one without, in one step; False when it holds none or is not there.

    OSError when it cannot be read or written. Blocks: some 20 ms for each MB.
    """
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with os.fdopen(source, "rb", buffering=0) as file:
        if not _holds_any(file.fileno(), redactor):
            return False
        file.seek(0)
        fresh = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
        target = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(target, "wb") as out:
                stream = Stream(redactor)
                while chunk := file.read(CHUNK):
                    # Bytes one to one: a character that is cut in two at the chunk's end comes together again.
                    out.write(stream.feed(chunk.decode("latin-1")).encode("latin-1"))
                out.write(stream.close().encode("latin-1"))
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    return True


def _holds_any(source: int, redactor: Redactor) -> bool:
    chunk = os.read(source, CHUNK)
    if len(chunk) < CHUNK:  # all of it: nothing can be split
        return redactor.touches(chunk.decode("latin-1"))
    stream = Stream(redactor)
    stream.feed(chunk.decode("latin-1"))
    while not stream.touched and (chunk := os.read(source, CHUNK)):
        stream.feed(chunk.decode("latin-1"))
    stream.close()
    return stream.touched

"""The relay's end inside a container without a network: a port on loopback that leads to a mounted unix socket.

Run as `python3 -I -S relay_inside.py PORT SOCKET COMMAND…`. It listens, hands that on to a process of its own which
belongs to the container's first process and not to the command's, and becomes the command. Stand-alone: imports nothing
of Aura's. While Aura's engine is away it holds connections for up to PATIENCE seconds, so that a worker outlives it.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time

PATIENCE = 240.0
"""Seconds; worker programs wait 300 for their model."""
KNOCK = 0.25
"""Seconds between two tries."""
CHUNK = 1 << 16
AT_ONCE = 64
"""Connections carried at a time; more wait in the queue of the port."""
AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'Retry-After: 5\r\n\r\n{"error":{"type":"overloaded_error","message":"Aura is not there to ask the model"}}'
)


def knock(path: str) -> socket.socket | None:
    """A connection to the relay; None when nobody answers for PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        there = socket.socket(socket.AF_UNIX)
        try:
            there.connect(path)
        except OSError:
            there.close()
            if time.monotonic() > until:
                return None
            time.sleep(KNOCK)
        else:
            return there


def carry(here: socket.socket, path: str) -> None:
    """Copies both ways until both sides have said all."""
    there = knock(path)
    with here:
        if there is None:
            here.sendall(AWAY)
            return
        with there:
            other = {here: there, there: here}
            open_ends = {here, there}
            while open_ends:
                for ready in select.select(list(open_ends), (), ())[0]:
                    data = ready.recv(CHUNK)
                    if data:
                        other[ready].sendall(data)
                    else:
                        open_ends.discard(ready)
                        other[ready].shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, path: str) -> None:
    """Carries connections for ever."""
    room = threading.Semaphore(AT_ONCE)

    def one(here: socket.socket) -> None:
        try:
            carry(here, path)
        except OSError:
            pass  # one of the two went away in mid-sentence: the other learns it by the end of its own
        finally:
            room.release()

    while True:
        room.acquire()
        here, _ = listener.accept()
        threading.Thread(target=one, args=(here,), daemon=True).start()


def main() -> None:
    """See the module's docstring."""
    port, path, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    listener = socket.create_server(("127.0.0.1", port), backlog=AT_ONCE)
    if child := os.fork():
        os.waitpid(child, 0)
        listener.close()
        os.execvp(command[0], command)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nowhere, fd)
    if os.fork():
        os._exit(0)  # the one that serves becomes a child of the container's first process
    serve(listener, path)


if __name__ == "__main__":
    main()

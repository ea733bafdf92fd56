"""When Python looks for cyclic garbage: not while a process starts, and later not in what starting has made.

Starting makes some 600,000 objects, nearly all of which stay; looking through them again and again was a fifth of the
time to the first picture, and later 40 ms of a blocked loop each time.
"""

from __future__ import annotations

import gc


def put_off() -> None:
    """Look for none, until `begin`."""
    gc.disable()


def begin() -> None:
    """Start-up is over. Does nothing where it was begun before, or never put off."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()

"""The commands: one small file each, imported only when it is the one asked for."""

from __future__ import annotations

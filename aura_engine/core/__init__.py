"""The pure core: words, facts, requests, state and the rules. No I/O, no clock, no asyncio."""

from __future__ import annotations

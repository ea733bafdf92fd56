"""The engine: plans, runs, verifies and lands. Never imports a user-interface library."""

from __future__ import annotations

__version__ = "0.1.0"

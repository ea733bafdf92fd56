"""The full-screen application, a client of the engine."""

from __future__ import annotations

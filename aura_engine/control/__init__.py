"""How a screen or a script reaches an engine: what it sees and what it asks for."""

from __future__ import annotations

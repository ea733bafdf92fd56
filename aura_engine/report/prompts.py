"""The planner's prompts, exactly as they were sent: the last one by its own name, the latest ones by their calls."""

from __future__ import annotations

from aura_engine.paths import RunPaths, atomic_write

KEPT = 200
"""Calls whose prompt is kept; a prompt is some tens of kilobytes."""


def keep(paths: RunPaths, call: int, text: str) -> None:
    """Write the prompt of a call; the oldest goes. OSError."""
    atomic_write(paths.current_prompt, text, durable=False)
    paths.prompts.mkdir(exist_ok=True, mode=0o700)
    atomic_write(paths.prompt(call), text, durable=False)
    paths.prompt(call - KEPT).unlink(missing_ok=True)

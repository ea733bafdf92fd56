"""The places a person can go to: a new one is a .py and a .tcss in screens/, one line here, and a row in actions.py."""

from __future__ import annotations

PLACES: dict[str, str] = {
    "dashboard": "aura_tui.screens.dashboard:Dashboard",
    "detail": "aura_tui.screens.detail:Detail",
    "decisions": "aura_tui.screens.decisions:Decisions",
    "goal": "aura_tui.screens.goal:Goal",
    "receipts": "aura_tui.screens.receipts:Receipts",
    "timeline": "aura_tui.screens.timeline:Timeline",
}
"""Module and class by name: none is imported before somebody goes there."""

"""The places a person can go to: a new one is a .py and a .tcss here, one line below, and a row in actions.py."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_tui.screens.place import Place

PLACES: dict[str, str] = {
    "dashboard": "aura_tui.screens.dashboard:Dashboard",
    "detail": "aura_tui.screens.detail:Detail",
    "decisions": "aura_tui.screens.decisions:Decisions",
    "goal": "aura_tui.screens.goal:Goal",
    "receipts": "aura_tui.screens.receipts:Receipts",
    "timeline": "aura_tui.screens.timeline:Timeline",
}


def make_place(name: str) -> Place:
    """A fresh screen of that name; its module is imported only now. KeyError when there is none."""
    module, _, cls = PLACES[name].partition(":")
    place: Place = getattr(import_module(module), cls)()
    place.place_name = name
    return place

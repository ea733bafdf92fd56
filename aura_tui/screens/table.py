"""Makes the screens of the table of places."""

from __future__ import annotations

from importlib import import_module

from aura_tui.places import PLACES
from aura_tui.screens.place import Place


def make_place(name: str) -> Place:
    """A fresh screen of that name; its module is imported only now. KeyError when there is none."""
    module, _, cls = PLACES[name].partition(":")
    place: Place = getattr(import_module(module), cls)()
    place.place_name = name
    return place

"""One .py and one .tcss per screen; the table of places is in aura_tui/places.py."""

from __future__ import annotations

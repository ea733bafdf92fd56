"""One .py and one .tcss per screen; the table of places is in table.py."""

from __future__ import annotations

"""Views on workers' output files: any length, bounded memory, off the screen's loop. No Textual here."""

from __future__ import annotations

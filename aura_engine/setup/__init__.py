"""Setting Aura up: the questions as data, live trials of the answers, one write at the end. Who asks is elsewhere."""

from __future__ import annotations

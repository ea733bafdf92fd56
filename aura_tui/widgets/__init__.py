"""One file per widget."""

from __future__ import annotations

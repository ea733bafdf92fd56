"""Settings: one typed model, read from flags, environment, `.env`, the user's file and defaults."""

from __future__ import annotations

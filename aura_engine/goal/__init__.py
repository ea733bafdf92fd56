"""The goal: `task.md` read, its `check` and `prepare` blocks parsed, its edits watched and compared."""

from __future__ import annotations

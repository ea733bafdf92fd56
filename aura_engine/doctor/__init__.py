"""`aura doctor`: whether a run could start on this machine, and what to do where it could not."""

from __future__ import annotations

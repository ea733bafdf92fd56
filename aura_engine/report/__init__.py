"""Projections: what people and scripts read of a run. Pure functions of state and events, and one small writer."""

from __future__ import annotations

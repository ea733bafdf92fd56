"""Layer 1: the model that decides. Asked only when judgement is needed; what it answers is checked before it counts."""

from __future__ import annotations

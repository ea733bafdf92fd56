"""Verification: what decides a check is frozen, checks are run on clean checkouts, receipts are the proof."""

from __future__ import annotations

"""Settings of long runs: what a stop from outside does, how much disk a run may take, what is kept of old work."""

from __future__ import annotations

from enum import StrEnum

from aura_engine.config.fields import Group, setting


class OnTerm(StrEnum):
    """What SIGTERM does."""

    LEAVE = "leave"
    DRAIN = "drain"


class SurvivalSettings(Group):
    """Long runs."""

    on_term: OnTerm = setting(
        OnTerm.LEAVE,
        "on SIGTERM: `leave` (end now, workers go on and the next start takes them up) or `drain` (start nothing new, "
        "end once what runs has landed)",
        shown="leave",
    )
    disk_quota_gb: float = setting(
        0.0, "disk that a run's records and workspaces may take; 0 = what is free, less a reserve", shown="0", ge=0
    )
    worker_log_mb: float = setting(
        1024.0, "output of one attempt after which its worker is stopped; 0 = off", shown="1024", ge=0
    )
    vault_days: float = setting(
        30.0, "days that the work of attempts which did not land is kept; 0 = for ever", shown="30", ge=0
    )
    vault_gb: float = setting(5.0, "size that such work may reach before the oldest goes; 0 = any", shown="5", ge=0)

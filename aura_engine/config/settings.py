"""The one model of all settings."""

from __future__ import annotations

from aura_engine.config.fields import describe
from aura_engine.config.machine_settings import (
    ContainmentSettings,
    DockerSettings,
    FolderSettings,
    GuardSettings,
    ObsoleteSettings,
    ScreenSettings,
)
from aura_engine.config.planner_settings import PlannerSettings
from aura_engine.config.worker_settings import WorkerSettings

GROUPS = (
    PlannerSettings,
    WorkerSettings,
    FolderSettings,
    ScreenSettings,
    ContainmentSettings,
    DockerSettings,
    GuardSettings,
    ObsoleteSettings,
)


# pydantic collects the fields of the last base first.
class Settings(
    ObsoleteSettings,
    GuardSettings,
    DockerSettings,
    ContainmentSettings,
    ScreenSettings,
    FolderSettings,
    WorkerSettings,
    PlannerSettings,
):
    """Every setting, typed, checked and frozen. Times in seconds, prices in USD per million tokens."""


INFOS = {info.name: info for group in GROUPS for info in describe(group)}
"""Name → what people are told about it, in the order of the table."""

"""The one model of all settings."""

from __future__ import annotations

from aura_engine.config.fields import describe
from aura_engine.config.hook_settings import HookSettings
from aura_engine.config.machine_settings import (
    ContainmentSettings,
    DockerSettings,
    FolderSettings,
    GuardSettings,
    ObsoleteSettings,
    ScreenSettings,
)
from aura_engine.config.money_settings import MoneySettings
from aura_engine.config.planner_settings import PlannerSettings
from aura_engine.config.survival_settings import SurvivalSettings
from aura_engine.config.worker_settings import WorkerSettings

GROUPS = (
    PlannerSettings,
    WorkerSettings,
    MoneySettings,
    HookSettings,
    FolderSettings,
    ScreenSettings,
    ContainmentSettings,
    DockerSettings,
    GuardSettings,
    SurvivalSettings,
    ObsoleteSettings,
)


# pydantic collects the fields of the last base first.
class Settings(
    ObsoleteSettings,
    SurvivalSettings,
    GuardSettings,
    DockerSettings,
    ContainmentSettings,
    ScreenSettings,
    FolderSettings,
    HookSettings,
    MoneySettings,
    WorkerSettings,
    PlannerSettings,
):
    """Every setting, typed, checked and frozen. Times in seconds, prices in USD per million tokens."""


INFOS = {info.name: info for group in GROUPS for info in describe(group)}
"""Name → what people are told about it, in the order of the table."""

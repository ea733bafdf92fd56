"""Settings of hooks: what the person wants to be run or posted when something happens."""

from __future__ import annotations

from aura_engine.config.fields import Group, setting

HOOK = "AURA_HOOK_"
"""How the names begin; a project's `.env` cannot set them, since it may come from a stranger."""
EVENTS = ("goal_reached", "run_stuck", "person_needed", "cap_reached", "task_landed", "task_failed")


def _hook(when: str) -> str:
    return setting("", f"command (JSON on its standard input) or URL (JSON is posted) when {when}; `[hooks]`")


class HookSettings(Group):
    """One hook for each event; a command is a shell's, run as yours and not contained."""

    hook_goal_reached: str = _hook("the goal is reached")
    hook_run_stuck: str = _hook("the run ended without reaching it")
    hook_person_needed: str = _hook("you are asked something or have to act")
    hook_cap_reached: str = _hook("a cap is reached")
    hook_task_landed: str = _hook("a task has landed")
    hook_task_failed: str = _hook("a task failed for good")

    def hooks(self) -> dict[str, str]:
        """Event → command or URL, of those that are set."""
        found = {event: str(getattr(self, f"hook_{event}")).strip() for event in EVENTS}
        return {event: target for event, target in found.items() if target}

"""What the end of an attempt leads to: the facts that follow it in the same breath. No model is asked here."""

from __future__ import annotations

import random

from aura_engine.config.settings import Settings
from aura_engine.core import routing
from aura_engine.core.events import AttemptEnded, Event, RoleParked, TaskDelayed, TaskSettled
from aura_engine.core.model import EndKind, Outcome, TaskStatus
from aura_engine.core.routing import Step
from aura_engine.core.state import Attempt
from aura_engine.hands import Hands
from aura_engine.recorder import Recorder
from aura_engine.spending import Spending

RESET_SLACK = 2.0
"""Seconds after the end of a limit within which work begins again."""
AGAIN = "Start the same command again to go on."
CURES = {
    EndKind.CREDENTIALS: f"Check AURA_{{role}}_API_KEY and AURA_{{role}}_BASE_URL. {AGAIN}",
    EndKind.MONEY: f"Top up the account behind AURA_{{role}}_API_KEY. {AGAIN}",
}
"""What a person can do about an ending that waits for one."""


class Ends:
    """Ends attempts, and settles the tasks that they were at."""

    def __init__(self, recorder: Recorder, hands: Hands, settings: Settings, spending: Spending) -> None:
        self._recorder = recorder
        self._hands = hands
        self._settings = settings
        self._spending = spending

    def end(self, event: AttemptEnded) -> None:
        """End an attempt and decide what it leads to, in one breath: nothing can start in between."""
        state = self._recorder.state
        task = state.tasks[event.task]
        if task.live is None or task.live.n != event.n:
            return  # said already
        self._spending.dropped(event.task, event.n)
        self._recorder.record(event)
        self.settle_task(event.task)
        self._spending.wake()

    def settle_task(self, task_id: str, *, recovered: bool = False) -> None:
        """What the last attempt of a pending task leads to.

        `recovered`: after a crash that may have come between the attempt's end and this; then only a last word counts,
        since a start anew is reason enough to try again what waited for a time or a person.
        """
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[-1] if task.attempts else None
        if task.status is not TaskStatus.PENDING or attempt is None or attempt.live or attempt.n <= task.since:
            return
        following: list[Event] = []
        if attempt.outcome is Outcome.INTERRUPTED:
            killed = attempt.ending is not None and attempt.ending.kind is EndKind.KILLED
            if task.stop_asked or killed:
                reason = attempt.reason or "stopped"
                following.append(TaskSettled(task=task_id, status=TaskStatus.KILLED, reason=reason))
        else:
            following += self._routed(task_id, attempt)
        if recovered:
            following = [event for event in following if event.kind == "task_settled"]
        if following:
            self._recorder.record(*following)

    def _cure(self, attempt: Attempt) -> str:
        kind = attempt.ending.kind if attempt.ending else None
        if kind is EndKind.MISSING_CLI:
            return self._hands.behind(attempt).backend.install_hint
        return CURES.get(kind, AGAIN).format(role=attempt.role.upper()) if kind else AGAIN

    def _routed(self, task_id: str, attempt: Attempt) -> list[Event]:
        state = self._recorder.state
        task = state.tasks[task_id]
        step = routing.after(task, self._settings.worker_mode, per_role=self._settings.max_attempts_per_role)
        if step.step is Step.PLANNER:
            return [TaskSettled(task=task_id, status=TaskStatus.FAILED, reason=step.reason)]
        if step.step is Step.PERSON:
            reason = f"{step.reason.rstrip('.')}. {self._cure(attempt)}"
            return [RoleParked(role=attempt.role, until=None, reason=reason, fallback=attempt.fallback)]
        if not step.delay:
            return []
        told = attempt.ending.retry_after if attempt.ending else None
        if step.park and told is not None:  # a time that was said; not all at the same second
            until = (attempt.ended or self._recorder.clock.wall()) + step.delay + random.uniform(0.0, RESET_SLACK)
        else:
            until = self._recorder.clock.wall() + step.delay * random.uniform(0.8, 1.2)
        if step.park:
            return [RoleParked(role=attempt.role, until=until, reason=step.reason, fallback=attempt.fallback)]
        return [TaskDelayed(task=task_id, until=until)]

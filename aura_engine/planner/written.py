"""A plan that a person wrote, in place of the planner's first one: a TOML or JSON file.

It is held to the rules that a planner's plan is held to, except that its checks are the person's: law.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from aura_engine.core.events import PlanChanged
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.errors import UsageError
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused, Rules

MOST_BYTES = 1 << 20


class WrittenPlan(tools.SetBrief):
    """What the file says: the brief, and the tasks."""

    tasks: list[tools.TaskArgs] = Field(min_length=1)

    def drawn(self, state: RunState, rules: Rules) -> PlanChanged:
        """The plan as an event for this state. UsageError where it makes no sense, as with a need that is not there."""
        draft = Draft(state, rules, by_person=True)
        try:
            draft.set_brief(tools.SetBrief.model_validate(self.model_dump(exclude={"tasks"})))
            draft.add_tasks(tools.AddTasks(tasks=self.tasks))
        except Refused as refused:
            raise UsageError(f"The plan cannot be used: {refused}.", cure="Correct the file of --plan.") from None
        problems = draft.problems(new_goal=True)
        event = draft.event("your own plan", 0, told=True)
        if problems or event is None:
            raise UsageError(f"The plan cannot be used: {'; '.join(problems)}.", cure="Correct the file of --plan.")
        return event.model_copy(update={"written": True})


def read_plan(path: Path) -> WrittenPlan:
    """A plan from a file. UsageError that names the place and what is wrong there."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"{path} is larger than 1 MiB.", cure="Is it a plan?")
        text = raw.decode("utf-8-sig")
        return WrittenPlan.model_validate(_loaded(path, text))
    except OSError as error:
        raise UsageError(f"The plan {path} cannot be read: {error.strerror}.", cure="Correct --plan.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{path}: {where}: {one_line(first['msg'], 300)}.", cure=CURE) from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid {_kind(path)}: {one_line(str(error), 300)}.", cure=CURE) from None


CURE = "docs/plans.md shows a whole plan."


def _kind(path: Path) -> str:
    return "JSON" if path.suffix.lower() == ".json" else "TOML"


def _loaded(path: Path, text: str) -> Any:
    if _kind(path) == "JSON":
        return json.loads(text)
    import tomllib  # 20 ms that nobody without a plan need wait for

    return tomllib.loads(text)

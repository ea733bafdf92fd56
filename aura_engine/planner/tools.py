"""The planner's tools: what each takes (schemas) and how a call is read. The draft decides whether it makes sense."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura_engine.core.model import Check, Difficulty, Prepare

MAX_DEPTH = 6
"""Levels of the tree; deeper plans help nobody."""
MAX_TASKS = 500
"""More tasks than this in one call go back: no person could follow such a plan."""


class ToolArgs(BaseModel):
    """Arguments of a tool call; unknown fields are refused so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid")


class CriterionArgs(ToolArgs):
    """A success criterion and what decides it."""

    text: str = Field(min_length=1, max_length=1000)
    checks: list[Check | str] = Field(min_length=1, description="goal checks: new ones, or names of existing ones")


class SetBrief(ToolArgs):
    """Say what the goal is and how each success criterion is decided. Needed before the first task starts."""

    final_goal: str = Field(min_length=1, max_length=4000)
    success_criteria: list[CriterionArgs] = Field(min_length=1)
    constraints: list[str] = []
    environment: str = ""
    notes: str = ""
    prepare: Prepare | None = Field(
        default=None, description="what a clean checkout lacks (venv, node_modules); ignored when the person wrote one"
    )


class TaskArgs(ToolArgs):
    """A task, or a group when it has `tasks` of its own."""

    key: str = Field(min_length=1, max_length=64, description="your own label; Aura gives the id")
    title: str = Field(min_length=1, max_length=200)
    instructions: str = Field(default="", max_length=20_000)
    needs: list[str] = Field(default=[], description="keys or ids")
    checks: list[Check | str] = Field(default=[], description="checks, or names of goal checks")
    makes: list[str] = Field(default=[], description="files it is meant to make that decide checks (its own tests)")
    difficulty: Difficulty = Difficulty.NORMAL
    tasks: list[TaskArgs] = []


class AddTasks(ToolArgs):
    """Add tasks below a parent (empty: the top)."""

    parent: str = ""
    tasks: list[TaskArgs]
    more: bool = Field(default=False, description="true: another message with further tasks follows")


class AddGoalCheck(ToolArgs):
    """Add a check of the whole goal."""

    check: Check


class AddProbe(ToolArgs):
    """Add a held-out check to a task that is not done; its worker never sees it."""

    task: str
    check: Check


class ChangeTask(ToolArgs):
    """Change a task that is not done. Checks can be added, not removed."""

    id: str
    instructions: str | None = Field(default=None, max_length=20_000)
    add_checks: list[Check] = []
    needs: list[str] | None = None
    makes: list[str] | None = None
    difficulty: Difficulty | None = None


class ArchiveTasks(ToolArgs):
    """Drop tasks that are no longer wanted; a running worker is stopped."""

    ids: list[str] = Field(min_length=1)
    reason: str


class RetryTaskArgs(ToolArgs):
    """Run a failed task again with new instructions for the next worker."""

    id: str
    instructions: str = Field(min_length=1, max_length=20_000)


class ReadFile(ToolArgs):
    """Read a text file of the project (8,000 characters from `offset`)."""

    path: str
    offset: int = Field(default=0, ge=0)


class ListFolder(ToolArgs):
    """List a folder of the project."""

    path: str = ""


Lesson = Annotated[str, Field(min_length=1, max_length=500)]


class Remember(ToolArgs):
    """Keep a lesson for later plans."""

    lesson: str = Field(min_length=1, max_length=500)


class CondenseMemory(ToolArgs):
    """Replace all lessons kept so far by fewer and shorter ones; needed when the memory is full."""

    lessons: list[Lesson] = Field(max_length=60)


class WriteReview(ToolArgs):
    """Put down what a review found; only when one is due."""

    report: str = Field(min_length=1, max_length=20_000, description="Markdown, for the person")
    advice: str = Field(default="", max_length=4000, description="to your own next planning")


class WebFetch(ToolArgs):
    """Read a page of the public web as text."""

    url: str


class WebSearch(ToolArgs):
    """Search the web."""

    query: str = Field(min_length=1, max_length=400)


class AskPerson(ToolArgs):
    """Ask the person. Only `task` (or, without one, your own next step) waits for the answer."""

    question: str = Field(min_length=1, max_length=2000)
    options: list[str] = []
    default: str = ""
    task: str = ""


class DeclareGoalReached(ToolArgs):
    """Declare the goal reached. Refused while a task is open or a goal check is red."""

    summary: str = Field(min_length=1, max_length=4000)


TOOLS: dict[str, type[ToolArgs]] = {
    "set_brief": SetBrief,
    "add_tasks": AddTasks,
    "add_goal_check": AddGoalCheck,
    "add_probe": AddProbe,
    "change_task": ChangeTask,
    "archive_tasks": ArchiveTasks,
    "retry_task": RetryTaskArgs,
    "read_file": ReadFile,
    "list_folder": ListFolder,
    "remember": Remember,
    "condense_memory": CondenseMemory,
    "write_review": WriteReview,
    "web_fetch": WebFetch,
    "web_search": WebSearch,
    "ask_person": AskPerson,
    "declare_goal_reached": DeclareGoalReached,
}


def parse(name: str, arguments: Any) -> ToolArgs:
    """A call's arguments as its model; ValueError with what is wrong, in words for the model."""
    cls = TOOLS.get(name)
    if cls is None:
        raise ValueError(f"there is no tool “{name}”; there are: {', '.join(TOOLS)}")
    try:
        return cls.model_validate(arguments)
    except ValidationError as error:
        lines = [f"{_where(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False)[:8]]
        raise ValueError("; ".join(lines)) from error


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "arguments"


def schema(cls: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of a tool, slimmed: titles, defaults and length limits cost tokens in every request."""
    slim = _slim(cls.model_json_schema(by_alias=True))
    if cls in _BY_REFERENCE:
        slim["$defs"]["Check"] = {"type": "object", "description": "fields as in the checks of add_tasks"}
    return slim


_BY_REFERENCE = frozenset({SetBrief, AddGoalCheck, AddProbe, ChangeTask})
"""The full schema of a check stands once, in add_tasks: it would be half of every request otherwise."""
_CHECK_OMITS = frozenset({"person", "reproduce", "hash"})
_NOISE = frozenset({"title", "default", "maxLength", "minLength", "exclusiveMinimum", "maximum", "minimum"})


def _slim(node: Any, *, names: bool = False) -> Any:
    if isinstance(node, list):
        return [_slim(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = _without_null(cast("dict[str, Any]", node))
    if names:
        return {key: _slim(value) for key, value in fields.items() if key not in _CHECK_OMITS}
    noise = _NOISE | {"description"} if "properties" in fields else _NOISE
    return {k: _slim(v, names=k in ("properties", "$defs")) for k, v in fields.items() if k not in noise}


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [X, null]` → X: an optional field is simply left out."""
    real: list[dict[str, Any]] = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if len(real) != 1:
        return node
    return {**{key: value for key, value in node.items() if key != "anyOf"}, **real[0]}

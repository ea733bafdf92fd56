"""What the commands that keep a run in order, follow it or ask about it print with `--json`. See models.py."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from aura_engine.report.models import Out


class EventLine(BaseModel):
    """`aura events` and every command that runs or follows an engine: one event a line, with its own fields behind."""

    model_config = ConfigDict(extra="allow")

    seq: int
    time: str
    kind: str


class AskOut(Out):
    """`aura ask`: the planner's answer and what it rests on."""

    id: str
    answer: str
    tasks: list[str]
    events: list[int]
    """Numbers in the journal."""


class LeftBehind(Out):
    """Something that a goal of this folder has left behind."""

    kind: str
    """`container`, `network` or `data`."""
    name: str
    state: str
    run: str
    kept: str
    """Why it does not go; "" where it can."""
    done: str
    """What became of it."""


class CleanupOut(Out):
    """`aura cleanup`."""

    left: list[LeftBehind]
    docker: str
    """Why Docker could not be asked; "" when it could, or when there is none."""


class PointOut(Out):
    """One thing that is looked at."""

    number: int
    name: str
    troubles: list[str]


class FsckOut(Out):
    """`aura fsck`."""

    run: str
    clean: bool
    points: list[PointOut]


class KeptOut(Out):
    """A state of an attempt's work that is kept."""

    task: str
    n: int
    id: str
    """The snapshot's, in short."""
    time: str
    wall: float
    files: int | None
    bytes: int | None
    why: str
    folder: str
    """Where the folder itself lies, since no snapshot could be taken."""


class RecoverOut(Out):
    """`aura recover`."""

    run: str
    kept: list[KeptOut]
    vault: list[str]
    """Runs that were begun afresh."""


class RestoredOut(Out):
    """`aura recover WHAT`."""

    task: str
    n: int
    folder: str
    files: int


class BackupOut(Out):
    """`aura backup`."""

    run: str
    file: str
    events: int
    bytes: int

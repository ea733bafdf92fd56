"""The pages on containers and graphics processors, and the last one: what will be written."""

from __future__ import annotations

from collections.abc import Sequence

from aura_engine.core.text import one_line
from aura_engine.setup.draft import Draft
from aura_engine.setup.machine import Machine
from aura_engine.setup.page import Choice, Page, shown
from aura_engine.setup.trials import try_docker

SAVE, LEAVE = "save", "leave"


def _in_docker(draft: Draft) -> bool:
    return draft.settings(keys=False).workers_in_docker


def _choose_docker(draft: Draft, machine: Machine, value: str) -> None:
    draft.put({"AURA_WORKERS_IN_DOCKER": value if value != "0" or draft.given("AURA_WORKERS_IN_DOCKER") else ""})


def _gpu_setting(draft: Draft) -> str:
    return "AURA_DOCKER_GPUS" if _in_docker(draft) else "AURA_WORKER_CUDA_VISIBLE_DEVICES"


def _gpus(draft: Draft, machine: Machine) -> Sequence[Choice]:
    one = "device={}" if _in_docker(draft) else "{}"
    each = [Choice(one.format(number), f"only number {number}", name) for number, name in enumerate(machine.gpus)]
    if _in_docker(draft):
        every = [Choice("", "none", "workers compute on the processor"), Choice("all", "all")]
    else:
        every = [Choice("", "as your shell has it", "commonly all"), Choice("-1", "none")]
    told = [*every, *each]
    now = draft.of(_gpu_setting(draft))
    return told if now in {choice.value for choice in told} else [Choice(now, "as it is now", now), *told]


def _choose_gpu(draft: Draft, machine: Machine, value: str) -> None:
    draft.put({_gpu_setting(draft): value})


def summary(draft: Draft) -> str:
    """What saving will write, a line each."""
    changes = draft.changes()
    if not changes:
        return f"Nothing has changed: {draft.place.file} stays as it is."
    lines = [f"{draft.place.file} gets:"]
    for name, value in changes.items():
        lines.append(f"  {name} = {one_line(shown(name, value), 60)}" if value else f"  {name} is taken out")
    return "\n".join(lines)


DOCKER = Page(
    id="docker",
    title="Docker",
    about=lambda draft, machine: (
        "Workers can run in containers of their own instead of on this machine, behind bubblewrap or Landlock."
    ),
    choices=lambda draft, machine: [
        Choice("0", "On this machine", "nothing more to install"),
        Choice("1", "In Docker", "each worker in a container; the image is fetched at the first use"),
    ],
    chosen=lambda draft: "1" if _in_docker(draft) else "0",
    choose=_choose_docker,
    trial=try_docker,
)
GPU = Page(
    id="gpu",
    title="Graphics processors",
    about=lambda draft, machine: (
        f"Found here: {', '.join(machine.gpus)}. Which may workers use?" if machine.gpus else "None was found here."
    ),
    choices=_gpus,
    chosen=lambda draft: draft.of(_gpu_setting(draft)),
    choose=_choose_gpu,
    wanted=lambda draft, machine: bool(machine.gpus or draft.of(_gpu_setting(draft))),
)
FINISH = Page(
    id="finish",
    title="Save",
    about=lambda draft, machine: summary(draft),
    choices=lambda draft, machine: [
        Choice(SAVE, "Save", str(draft.place.file)),
        Choice(LEAVE, "Leave without saving", "everything stays as it was"),
    ],
    chosen=lambda draft: SAVE,
)

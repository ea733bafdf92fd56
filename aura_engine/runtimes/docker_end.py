"""How a worker in a container ended, and which of this machine's processes are its."""

from __future__ import annotations

from aura_engine.core.model import ExitRecord, ProcessRecord
from aura_engine.runtimes import processes, shim
from aura_engine.runtimes.docker_engine import State

STOPPED = {
    0: "was stopped from outside",
    143: "was stopped from outside",
    255: "was lost by its engine",
    137: "was killed from outside",
}
"""What a container's exit status says when its shim did not tell of an end of its own."""


def final_record(told: ExitRecord | None, state: State | None, *, stopping: bool) -> ExitRecord:
    """How a worker ended, from what its shim told and how its container ended (None: it was gone).

    `stopping`: this engine asked for it. A container that nobody here stopped, with no word of its shim's on an end of
    its main process's own, was ended from outside, unless its memory ran out.
    """
    if state is None:
        return told or ExitRecord(outside="its container cannot be found any more")
    oom = {"oom": state.oom}
    if told is not None:
        outside = "its container was stopped from outside" if told.stopped and not stopping else ""
        return told.model_copy(update={**oom, "outside": outside})
    if stopping or (state.oom and state.code == 137):
        return ExitRecord(signal=9, oom=state.oom)
    if state.code in STOPPED:
        return ExitRecord(oom=state.oom, outside=f"its container {STOPPED[state.code]}")
    return ExitRecord(oom=state.oom, error=f"its shim ended with status {state.code} and without a record")


def numbered_outside(first: int, wanted: tuple[ProcessRecord, ProcessRecord]) -> tuple[ProcessRecord, ProcessRecord]:
    """Processes of a container, told by their numbers inside, by those outside; pid 0 for one that is not there."""
    inside = {processes.inner_pid(pid): pid for pid in (first, *shim.descendants(first))}
    found: list[ProcessRecord] = []
    for record in wanted:
        pid = inside.get(record.pid, 0)
        same = pid != 0 and shim.start_time(pid) == record.start_time
        pid = pid if same else 0
        found.append(record.model_copy(update={"pid": pid}))
    return found[0], found[1]

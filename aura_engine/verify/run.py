"""Runs one check on a clean checkout and gives the receipt; a red one of landed work is settled by a second run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aura_engine.core.model import Check, Counts, Phase, Receipt, Verdict
from aura_engine.errors import ProviderError, RuntimeFault
from aura_engine.verify import inside, junit
from aura_engine.verify.counts import counts_in, own_report, problem_with_counts, runs_pytest, runs_unittest
from aura_engine.verify.judge import Judge, excerpt_of, gather, problem_with
from aura_engine.verify.place import Place
from aura_engine.verify.process import Ran
from aura_engine.verify.runner import Command, Runner, run_here
from aura_engine.verify.values import problem_with_file

MAX_OUTPUT = 50_000_000
_MAX_TAIL = 2_000


@dataclass(frozen=True, slots=True)
class Bench:
    """What checks are run with: the same for all checks of a run."""

    env: Mapping[str, str]
    """By allow-list: PATH and the like; HOME, TMPDIR and the runner's settings are added here."""
    scratch: Path
    """An existing folder outside the checkout, for the private folders of commands."""
    runner: Runner = run_here
    judge: Judge | None = None
    max_output: int = MAX_OUTPUT
    """Bytes; more is red."""
    _places: list[Place] = field(default_factory=list[Place])
    """That wait for their next use: most checks leave no trace in theirs."""

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[Place]:
        """An empty place that nobody else uses."""
        place = self._places.pop() if self._places else None
        if place is not None and not place.is_fresh():  # nobody should have been there
            await asyncio.to_thread(place.remove)
            place = None
        place = place or Place(self.scratch / f"check-{secrets.token_hex(8)}")
        place.name_report()
        try:
            yield place
        finally:
            if place.is_fresh():
                self._places.append(place)
            else:
                await asyncio.shield(asyncio.to_thread(place.remove))


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: Verdict
    reason: str = ""
    ran: Ran | None = None
    counts: Counts | None = None
    output_hash: str = ""
    tail: str = ""


async def run_check(
    check: Check,
    checkout: Path,
    bench: Bench,
    *,
    tree: str,
    phase: Phase,
    frozen_hash: str = "",
    counts_before: Counts | None = None,
) -> Receipt:
    """Decide `check` on the clean `checkout` of `tree`, with its frozen files in place.

    `counts_before` are the runner's counts at the last landing.
    Never raises for what the work or the command did; what the machinery did ends as the verdict `error`.
    """
    started = time.monotonic()
    try:
        if check.judge:
            finding = await _ask_judge(check, checkout, bench)
        else:
            finding = await _run(check, checkout, bench, counts_before)
    except (RuntimeFault, ProviderError) as error:
        finding = _Finding(Verdict.ERROR, error.line())
    except OSError as error:
        finding = _Finding(Verdict.ERROR, f"the check could not be run: {error}")
    ran = finding.ran
    return Receipt(
        check=check.name,
        check_hash=check.hash,
        tree=tree,
        frozen_hash=frozen_hash,
        phase=phase,
        verdict=finding.verdict,
        reason=finding.reason,
        exit_code=ran.code if ran else None,
        signal=ran.signal if ran else None,
        duration=time.monotonic() - started,
        output_hash=ran.output_hash if ran else finding.output_hash,
        tail=ran.tail if ran else finding.tail,
        counts=finding.counts,
        hidden=check.hidden,
    )


async def settle_red(first: Receipt, rerun: Callable[[], Awaitable[Receipt]]) -> Receipt:
    """Run a red check of landed work once more: green then makes it flaky; else the second receipt stands."""
    if first.verdict is not Verdict.RED:
        return first
    second = await rerun()
    if not second.green:
        return second
    return second.model_copy(update={"verdict": Verdict.FLAKY, "reason": f"red at first, then green: {first.reason}"})


async def _run(check: Check, checkout: Path, bench: Bench, counts_before: Counts | None) -> _Finding:
    probes: list[inside.Put] = []
    try:
        for path, text in check.files.items():
            probes.append(inside.put(checkout, path, text))
        if check.run is None or not check.reproduce:
            note = "read as it was landed, not made again" if check.run else ""
            return await _read(check, checkout, _Finding(Verdict.GREEN, note))
        return await _command(check, check.run, checkout, bench, counts_before)
    except inside.Unusable as error:
        return _Finding(Verdict.RED, str(error))
    finally:
        for probe in reversed(probes):
            inside.take_back(probe)


async def _command(check: Check, command: str, checkout: Path, bench: Bench, counts_before: Counts | None) -> _Finding:
    own = own_report(command)
    own = "" if own.startswith("/") else own
    for path in filter(None, (check.file, own)):
        inside.remove(checkout, path)
    async with bench.place() as place:
        ran = await bench.runner(
            Command(
                ("/bin/sh", "-c", command),
                cwd=checkout,
                env=place.env(bench.env),
                write=(checkout, place.folder),
                temp=place.temp,
                network=check.network,
            ),
            limit=check.timeout,
            max_output=bench.max_output,
        )
        report = inside.resolve(checkout, own) if own else place.report
        counts = await asyncio.to_thread(junit.read_report, report) if os.path.lexists(report) else None
    if counts is None and not runs_pytest(command) and runs_unittest(command):
        counts = counts_in(ran.tail)
    problem = _problem_with_run(ran, check, bench.max_output) or problem_with_counts(check, counts, counts_before)
    if problem:
        return _Finding(Verdict.RED, problem, ran, counts)
    return await _read(check, checkout, _Finding(Verdict.GREEN, "", ran, counts))


async def _read(check: Check, checkout: Path, so_far: _Finding) -> _Finding:
    if not check.file:
        return so_far
    problem = await problem_with_file(check, checkout)
    return _Finding(Verdict.RED, problem, so_far.ran, so_far.counts) if problem else so_far


def _problem_with_run(ran: Ran, check: Check, max_output: int) -> str:
    if ran.timed_out:
        return f"ran longer than {_span(check.timeout)}"
    if ran.overflowed:
        return f"wrote more than {max_output / 1e6:g} MB of output"
    if ran.signal is not None:
        return f"was ended by {_signal_name(ran.signal)}"
    if ran.code == 127:
        return f"a program of the command was not found: {_last_line(ran.tail)}"
    if ran.code == 126:
        return f"a program of the command could not be executed: {_last_line(ran.tail)}"
    if ran.code == 5 and check.run and runs_pytest(check.run):
        return "no tests were run"
    if ran.code is not None and ran.code > 128 and _signal_name(ran.code - 128):
        return f"exit status {ran.code} ({_signal_name(ran.code - 128)})"
    return "" if ran.code == 0 else f"exit status {ran.code}"


def _span(seconds: float) -> str:
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if 0 < number < signal.NSIG else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


async def _ask_judge(check: Check, checkout: Path, bench: Bench) -> _Finding:
    if bench.judge is None:
        return _Finding(Verdict.ERROR, "no model is configured to judge")
    try:
        shown = await asyncio.to_thread(gather, checkout, check.file or "")
    except inside.Unusable as error:
        return _Finding(Verdict.RED, str(error))
    try:
        async with asyncio.timeout(check.timeout):
            reply = await bench.judge(check.judge or "", excerpt_of(shown))
    except TimeoutError:
        return _Finding(Verdict.ERROR, f"the judge did not answer within {_span(check.timeout)}")
    problem = problem_with(reply, shown)
    cited = [f"{citation.file}:{citation.line}: {citation.quote}" for citation in reply.citations]
    return _Finding(
        Verdict.RED if problem else Verdict.GREEN,
        problem,
        output_hash=hashlib.sha256(reply.model_dump_json().encode()).hexdigest(),
        tail="\n".join([reply.reason, *cited])[:_MAX_TAIL],
    )

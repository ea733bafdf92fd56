"""The live test: a word with each planner, a small task for each worker, judged by the files that it left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from aura_engine.config.planner_settings import PlannerApi
from aura_engine.config.prices import prices_of
from aura_engine.config.settings import Settings
from aura_engine.core.model import Role, Usage, WorkerMode
from aura_engine.core.text import dollars
from aura_engine.doctor.brains import Seat, without
from aura_engine.doctor.errand import LIMIT, Errand
from aura_engine.doctor.findings import Fact, Finding, Level, Section, Tell, found, tell_in_order
from aura_engine.errors import AuraError, ConfigError, ProviderError, ProviderFailure
from aura_engine.hands import Hand, hire
from aura_engine.planner.providers.base import ChatRequest, ProviderSettings, Text, Turn, make_provider
from aura_engine.runtimes.containment import Containment

finding = partial(found, Section.PROBE)
CALL_LIMIT = 60.0
"""Seconds for the planner's answer."""
MAX_TOKENS = 16
"""Some services refuse to be asked for less."""
ALONE = {Role.PRO: WorkerMode.PRO_ONLY, Role.FLASH: WorkerMode.FLASH_ONLY}
PASSING = frozenset({ProviderFailure.RATE_LIMIT, ProviderFailure.OVERLOADED})
"""What a run waits out."""


async def probe(
    settings: Settings,
    seats: Sequence[Seat],
    containment: Containment | None,
    scratch: Path,
    environ: Mapping[str, str],
    tell: Tell,
) -> None:
    """First what it will cost, then a finding for each planner and each worker. At most about 3 minutes.

    Workers that are set alike are tried once. `containment`: None where nothing holds them, and none is started then.
    """
    planners = _planners(settings)
    errands: list[tuple[list[str], Errand]] = []
    untried: list[Finding] = []
    for seat in seats:
        try:
            hand = _hand(settings, seat, environ)
        except AuraError as error:
            untried.append(finding(Level.NOTE, seat.who, f"not tried: {error}", error.cure))
            continue
        if containment is None:
            untried.append(finding(Level.NOTE, seat.who, "not tried: nothing here can contain it (see above)"))
        elif (alike := next((who for who, each in errands if each.hand.settings == hand.settings), None)) is not None:
            alike.append(seat.who)
        else:
            errands.append(([seat.who], Errand(seat, hand, containment, scratch / f"probe-{len(errands)}")))
    tell(_announced([who for who, _ in planners], errands))
    for each in untried:
        tell(each)
    calls = [call(who, api, settings) for who, api in planners]
    await tell_in_order([*calls, *(_run(who, errand) for who, errand in errands)], tell)


def _announced(planners: Sequence[str], errands: Sequence[tuple[list[str], Errand]]) -> Finding:
    asked = [f"a word with the {who}" for who in planners]
    asked += [f"a small task for {' and '.join(who)} ({errand.hand.backend.name})" for who, errand in errands]
    if not asked:
        return finding(Level.NOTE, "costs", "nothing can be tried: see what is wrong above")
    text = (
        f"this asks real models: {', '.join(asked)}. A task takes some ten thousand tokens, commonly a few cents, "
        f"billed to the keys and logins above; it ends after {LIMIT / 60:g} minutes at most"
    )
    return finding(Level.NOTE, "costs", text)


def _planners(settings: Settings) -> list[tuple[str, PlannerApi]]:
    """Those that are configured; what is wrong with the others is told with the settings."""
    try:
        first, second = settings.planner(), settings.second_planner()
    except ConfigError:
        return []
    return [("planner", first), *([("planner's fallback", second)] if second else [])]


def _hand(settings: Settings, seat: Seat, environ: Mapping[str, str]) -> Hand:
    """The seat's worker as a run would hire it, whatever ails the others. AuraError."""
    update: dict[str, object] = {"worker_mode": ALONE[seat.role]}
    if not seat.fallback:
        update |= {f"{seat.role}_fallback_{part}": "" for part in ("backend", "api_key", "base_url", "model")}
    hired = hire(settings.model_copy(update=update), environ)
    return (hired.second if seat.fallback else hired.first)[seat.role]


async def call(who: str, api: PlannerApi, settings: Settings) -> Finding:
    """One short answer of a planner's model."""
    request = ChatRequest(
        system=("Answer in one word.",),
        messages=(Turn("user", (Text("Are you there?"),)),),
        max_tokens=MAX_TOKENS,
        deadline=CALL_LIMIT,
    )
    started = time.monotonic()
    try:
        provider = make_provider(ProviderSettings(api.protocol, api.api_key, api.base_url, api.model))
        try:
            reply = await provider.complete(request)
        finally:
            await provider.aclose()
    except ProviderError as error:
        level = Level.WARNING if error.kind in PASSING else Level.PROBLEM
        words = without(str(error), api.api_key)
        return finding(level, who, f"{api.model} did not answer: {words}", error.cure, {"error": error.kind.value})
    except ConfigError as error:
        return finding(Level.PROBLEM, who, str(error), error.cure)
    seconds = time.monotonic() - started
    usage = prices_of(settings).charged(reply.usage, api.model)
    text = f"{api.model} answers: {_took(seconds, usage, dollars(usage.cost))}"
    return finding(Level.GOOD, who, text, facts=_facts(seconds, usage))


async def _run(who: Sequence[str], errand: Errand) -> Finding:
    """One worker's small task."""
    started = time.monotonic()
    result = await errand.run()
    seconds = time.monotonic() - started
    usage, settings = result.usage, errand.hand.settings
    unpriced = "within the limits of its login" if settings.login else "its cost is not told"
    took = _took(seconds, usage, dollars(usage.cost) if usage.cost else unpriced)
    words = without(result.text, settings.api_key)
    name = f"{errand.hand.backend.name} {settings.model}".strip()
    facts = {"backend": settings.backend, "model": settings.model, "tools": result.tools, **_facts(seconds, usage)}
    return finding(result.level, " and ".join(who), f"{name} {words} ({took})", result.cure, facts)


def _took(seconds: float, usage: Usage, money: str) -> str:
    return f"{seconds:.1f} s, {usage.tokens:,} tokens, {money}"


def _facts(seconds: float, usage: Usage) -> dict[str, Fact]:
    return {"seconds": round(seconds, 3), "tokens": usage.tokens, "cost": usage.cost}

"""A part that breaks begins again; one that breaks again and again ends the engine."""

from __future__ import annotations

import asyncio

import pytest

from aura_engine.errors import JournalError, OwnedError
from aura_engine.supervised import TRIES, BrokenPart, supervised


async def test_it_begins_again_and_says_so(caplog):
    tries: list[int] = []
    said: list[str] = []

    async def work():
        tries.append(1)
        if len(tries) < TRIES:
            raise ValueError("the third disk")

    await supervised("landing", work, said.append, base=0.001)
    assert len(tries) == TRIES
    assert said == ["landing broke and is begun again: ValueError: the third disk"] * (TRIES - 1)
    assert "Traceback" in caplog.text


async def test_too_many_breaks_are_the_end():
    said: list[str] = []

    async def work():
        raise ValueError("again")

    with pytest.raises(BrokenPart, match=r"delivery broke 5 times within 10 min \(ValueError: again\)") as caught:
        await supervised("delivery", work, said.append, base=0.001)
    assert caught.value.exit_status == 1
    assert "engine.log" in caught.value.cure
    assert len(said) == TRIES - 1


@pytest.mark.parametrize("error", [JournalError("gone"), OwnedError("another")])
async def test_without_its_journal_nothing_goes_on(error):
    async def work():
        raise error

    with pytest.raises(type(error)):
        await supervised("landing", work, lambda text: None)


async def test_what_breaks_while_it_is_ended_is_not_begun_again():
    runs: list[int] = []
    begun = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot clean up")

    task = asyncio.create_task(supervised("x", work, lambda text: None, base=0.0))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task
    assert runs == [1]

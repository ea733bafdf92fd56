"""What becomes of work that waits to land together."""

from __future__ import annotations

from aura_engine.core.model import Outcome, RunStatus
from aura_engine.demo.brains import Claim, task


async def test_work_that_conflicts_with_a_neighbour_in_the_queue_is_redone_on_top_of_it(stage):
    (stage.project / "names.txt").write_text("names:\n")
    gate = stage.folder / "open"

    def adds(name):
        wait = f"until test -e '{gate}'; do sleep 0.02; done; "

        def steps(ask, attempt):
            if attempt == 1:
                return [f"{wait}echo {name} >> names.txt", Claim("Done.")]
            return ["printf 'names:\\nada\\nbob\\n' > names.txt", Claim("Done.")]

        return steps

    plan = {
        "tasks": [
            task("First", "test -e first.txt"),
            task("Ada", "grep -q ada names.txt"),
            task("Bob", "grep -q bob names.txt"),
        ],
        "checks": [{"name": "all", "run": "test $(wc -l < names.txt) -eq 3"}],
    }
    workers = {"First": ["echo 1 > first.txt", Claim("Done.")], "Ada": adds("ada"), "Bob": adds("bob")}
    settings = {
        "FLASH_BACKEND": "builtin",
        "FLASH_BASE_URL": "{model}",
        "FLASH_MODEL": "m",
        "MAX_CONCURRENT_TASKS": "3",
    }
    async with stage.play(plan=plan, workers=workers, **settings) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        landing = play.engine.parts.landing
        async with landing.exclusive:  # the first is taken up and waits here; the others queue behind it, together
            await play.until(lambda event: event.kind == "worker_ended")
            gate.touch()
            await stage.eventually(lambda: len(landing._waiting) == 2)
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.outcome for event in play.of("attempt_ended")] == [Outcome.CONFLICT]
    (conflict,) = play.of("attempt_ended")
    neighbour = next(event for event in play.of("landed") if event.task not in ("A1", conflict.task))
    again = next(event for event in play.of("attempt_starting") if (event.task, event.n) == (conflict.task, 2))
    assert again.base == neighbour.commit

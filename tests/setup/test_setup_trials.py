"""What each trial says when all is well, and for everything that can be wrong: never a key, always what to do."""

from __future__ import annotations

import pytest

from aura_engine.core.model import Role
from aura_engine.doctor.findings import Level
from aura_engine.setup.trials import try_docker, try_planner, try_role

KEY = "sk-right-0123456789abcdef"
WRONG = "sk-wrong-0123456789abcdef"


def planner(stage, **more):
    names = {"AURA_API_PROVIDER": "openai", "AURA_API_BASE_URL": f"{stage.url}/v1", "AURA_API_KEY": KEY}
    draft = stage.draft()
    draft.put({**names, "AURA_API_MODEL": "right-model", **more})
    return draft


async def told(trial) -> list[tuple[Level, str]]:
    found = [(each.level, f"{each.about}: {each.text} {each.cure}".strip()) for each in await trial]
    assert not any(KEY in text or WRONG in text for _, text in found), "a key is never told"
    return found


async def test_a_planner_that_answers(stage):
    ((level, text),) = await told(try_planner(planner(stage)))
    assert level is Level.GOOD
    assert text.startswith("planner: right-model answers: ")


async def test_a_key_that_is_only_named_is_fetched(stage):
    draft = planner(stage, AURA_API_KEY=f"cmd:echo {KEY}")
    ((level, _),) = await told(try_planner(draft))
    assert level is Level.GOOD


@pytest.mark.parametrize(("change", "says"), [
    ({"AURA_API_KEY": WRONG}, ("refused with 401", "Check AURA_API_KEY")),
    ({"AURA_API_MODEL": "no-such"}, ("no model no-such", "Check AURA_API_MODEL")),
    ({"AURA_API_KEY": ""}, ("The planner has no API key", "AURA_API_KEY")),
    ({"AURA_API_KEY": "env:NOT_THERE"}, ("the variable NOT_THERE, which is not set", "Set NOT_THERE")),
    ({"AURA_API_MODEL": ""}, ("The planner has no model", "Set AURA_API_MODEL")),
])  # fmt: skip
async def test_a_planner_that_does_not(stage, change, says):
    ((level, text),) = await told(try_planner(planner(stage, **change)))
    assert level is Level.PROBLEM
    for words in says:
        assert words in text


async def test_an_address_at_which_nobody_listens(stage, dead_url):
    ((level, text),) = await told(try_planner(planner(stage, AURA_API_BASE_URL=dead_url)))
    assert level is Level.PROBLEM
    assert "cannot be reached" in text
    assert "Check the network and AURA_API_BASE_URL" in text


async def test_a_program_that_is_not_installed(stage):
    draft = planner(stage, AURA_PRO_BACKEND="claude", AURA_PRO_API_KEY=KEY)
    (level, text), *_ = await told(try_role(Role.PRO, draft))
    assert level is Level.PROBLEM
    assert "“claude” of the backend “claude” is not on PATH" in text
    assert "npm install -g @anthropic-ai/claude-code" in text


async def test_a_program_that_does_not_start(stage):
    stage.program("claude", "x'; exit 3; echo '")
    (level, text), *_ = await told(try_role(Role.PRO, planner(stage, AURA_PRO_BACKEND="claude", AURA_PRO_API_KEY=KEY)))
    assert level is Level.PROBLEM
    assert "ended with exit status 3 when asked for its version" in text


async def test_a_program_with_its_version_and_its_model(stage):
    path = stage.program("claude", "2.1.197 (Claude Code)")
    draft = planner(
        stage,
        AURA_PRO_BACKEND="claude",
        AURA_PRO_API_KEY=KEY,
        AURA_PRO_BASE_URL=f"{stage.url}/anthropic",
        AURA_PRO_MODEL="right-model",
    )
    (first, version), (second, model) = await told(try_role(Role.PRO, draft))
    assert (first, second) == (Level.GOOD, Level.GOOD)
    assert f"2.1.197 at {path}" in version
    assert "right-model answers" in model
    draft.put({"AURA_PRO_API_KEY": WRONG})
    _, (level, text) = await told(try_role(Role.PRO, draft))
    assert level is Level.PROBLEM
    assert "Check AURA_PRO_API_KEY and that it belongs to AURA_PRO_BASE_URL" in text, "in the role's own names"


async def test_neither_key_nor_login(stage):
    stage.program("claude", "2.1.197 (Claude Code)")
    _, (level, text) = await told(try_role(Role.PRO, planner(stage, AURA_PRO_BACKEND="claude")))
    assert level is Level.PROBLEM
    assert "neither a key is set nor was a login found" in text
    assert "claude setup-token" in text


async def test_builtin_uses_the_planners(stage):
    draft = planner(stage, AURA_FLASH_BACKEND="builtin")
    (first, program), (second, model) = await told(try_role(Role.FLASH, draft))
    assert (first, second) == (Level.GOOD, Level.GOOD)
    assert "comes with Aura" in program
    assert "right-model answers" in model


async def test_in_docker_the_program_is_the_images(stage):
    draft = planner(stage, AURA_FLASH_BACKEND="builtin", AURA_WORKERS_IN_DOCKER="1")
    (level, text), _ = await told(try_role(Role.FLASH, draft))
    assert level is Level.NOTE
    assert "taken from the image" in text


async def test_no_docker(stage, tmp_path):
    off = stage.draft()
    assert await try_docker(off) == []
    draft = stage.draft()
    draft.put({"AURA_WORKERS_IN_DOCKER": "1", "AURA_DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    ((level, text),) = await told(try_docker(draft))
    assert level is Level.PROBLEM
    assert f"No Docker engine runs here: there is no {tmp_path}/none.sock" in text
    assert "--no-docker" in text


async def test_a_docker_address_that_is_none(stage):
    draft = stage.draft()
    draft.put({"AURA_WORKERS_IN_DOCKER": "1", "AURA_DOCKER_HOST": "no address"})
    ((level, text),) = await told(try_docker(draft))
    assert level is Level.PROBLEM
    assert "is no address of a Docker engine" in text

"""The judge, asked through the planner's provider. What it says counts only as far as its citations are found."""

from __future__ import annotations

from pydantic import ValidationError

from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner.providers.base import ChatRequest, Provider, Text, ToolSpec, Turn
from aura_engine.planner.tools import schema
from aura_engine.verify.judge import JudgeReply, system_prompt


class ModelJudge:
    """Implements verify.judge.Judge."""

    def __init__(self, provider: Provider, max_tokens: int, timeout: float) -> None:
        self._provider = provider
        self._max_tokens = max_tokens
        self._timeout = timeout

    async def __call__(self, rubric: str, excerpt: str) -> JudgeReply:
        """One request. ProviderError, also when the answer is not a verdict."""
        tool = ToolSpec("give_verdict", "Say whether the rubric is met.", schema(JudgeReply))
        request = ChatRequest(
            system=(system_prompt(),),
            messages=(Turn("user", (Text(f"# Rubric\n{rubric}\n\n# Files\n{excerpt}"),)),),
            tools=(tool,),
            max_tokens=self._max_tokens,
            deadline=self._timeout,
            force_tool=True,
        )
        reply = await self._provider.complete(request)
        for call in reply.calls:
            if call.name == tool.name and not call.error:
                try:
                    return JudgeReply.model_validate(call.arguments)
                except ValidationError as error:
                    raise _useless(str(error)) from error
        raise _useless("it gave no verdict")


def _useless(why: str) -> ProviderError:
    return ProviderError(ProviderFailure.MALFORMED, f"the judge's answer cannot be used: {why}")

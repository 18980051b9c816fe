"""`prompt_llm`: one action for each type of answer."""

from __future__ import annotations

import copy
from typing import Any

from ksl.agent.around import services_of
from ksl.agent.message import asked_again, request, response, text_of, user
from ksl.agent.model import Question
from ksl.agent.output import ASKED_AGAIN_MAX, Misfit, Wanted
from ksl.agent.telling import told_by
from ksl.agent.turn import MODEL_RETRY
from ksl.define.action import Action, ActionContext
from ksl.define.agent import codec_of
from ksl.define.codec import Codec
from ksl.errors import OutputMisfit
from ksl.records.model_use import NO_USE

SLUG = "prompt-llm"


class LlmAction(Action[..., Any]):
    """Asks, and asks again where the answer does not fit. What it used is told with the attempt."""

    wanted: Wanted

    def call(self, data: bytes, context: ActionContext) -> Any:
        _, values = self.arguments.decode(data)
        return self._ask(context, **values)

    async def _ask(
        self, context: ActionContext, *, prompt: str, model: str | None, system_prompt: str | None
    ) -> Any:
        services = await services_of(context)
        if context.run_id:
            await services.check_budgets((), run_id=context.run_id, step=context.step_id)
        asked = await services.model(model, context)
        messages = [request([{**user(prompt), "starts_prompt": True}])]
        context._use = NO_USE  # pyright: ignore[reportPrivateUsage]
        for again in range(ASKED_AGAIN_MAX + 1):
            with told_by(services, context, session_id=None, streams=True) as told:
                reply = await asked.turn(
                    Question(messages, system_prompt or "", (), self.wanted.schema, self.wanted.wrapped, told)
                )
            context._use = context._use.plus(reply.use)  # pyright: ignore[reportPrivateUsage]
            if self.wanted.schema is None:
                return text_of(reply.parts)
            try:
                return codec_of_action(self).decode(self.wanted.read(reply.parts))
            except Misfit as misfit:
                if again == ASKED_AGAIN_MAX:
                    raise OutputMisfit(
                        f"{reply.use.model} was asked {again + 1} times, and its answer does not fit the output's "
                        f"schema: {misfit}. Make the schema plainer or the prompt clearer, or choose another model."
                    ) from None
                said = f"That does not fit: {misfit}. Answer again."
                messages += [response(reply.parts), request(asked_again(reply.parts, said))]
        raise AssertionError


def codec_of_action(action: Action[..., Any]) -> Codec:
    return action.output


async def prompt_llm(prompt: str, model: str | None, system_prompt: str | None, ctx: ActionContext) -> str:
    """Asks a model once."""
    raise NotImplementedError


_template = LlmAction(prompt_llm, slug=SLUG, name="Prompt LLM", retry=MODEL_RETRY)
_actions: dict[Any, LlmAction] = {}


def llm_action(output: Any) -> LlmAction:
    """The one for this output annotation, None for text."""
    try:
        made = _actions.get(output)
    except TypeError:  # an annotation that cannot be a key
        return _made(output)
    if made is None:
        made = _actions[output] = _made(output)
    return made


def _made(output: Any) -> LlmAction:
    action = copy.copy(_template)
    action.wanted = Wanted(output)
    if output is not None:
        action.output = codec_of(output)
    return action

"""`ksl sessions show ID`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.agents import looking
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_json, printable
from ksl.cli.redaction import REDACTOR

SHOWN = 2_000  # characters of a call's arguments, or of its result


@click.command(cls=Command, name="show")
@click.argument("session_id", metavar="ID")
@pass_invocation
def command(invocation: Invocation, session_id: str) -> None:
    """What was said in a session, which tools were called, what it used."""
    answer = asyncio.run(_ask(invocation, session_id))
    if invocation.prints_json:
        emit_json(answer)
        return
    for prompt in answer["prompts"]:
        _say(f"{prompt['at']}  {prompt['status']}  run {prompt['run_id']}  {prompt['step']}")
        for message in prompt["messages"]:
            _say(f"  {_line(message)}")
        if prompt["error"]:
            _say(f"  failed: {prompt['error']['type']}: {prompt['error']['message']}")
    _say(_used(answer["usage"]))


async def _ask(invocation: Invocation, session_id: str) -> Json:
    async with looking(invocation) as looker:
        return await looker.session(session_id)


def _line(message: Json) -> str:
    match message["role"]:
        case "call":
            return f"calls {message['tool']}({compact(message['arguments'], SHOWN)})"
        case "result":
            return f"{message['tool']} gave {compact(message['result'], SHOWN)}"
        case role:
            return f"{role}: {message.get('text') or compact(message.get('output'), SHOWN)}"


def _used(usage: Json) -> str:
    cost = "" if usage["usd"] is None else f", ${usage['usd']}"
    tokens = f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out"
    return f"{usage['turns']} turns of {usage['model'] or 'no model'}: {tokens}{cost}"


def _say(text: str) -> None:
    click.echo(printable(REDACTOR.text(text)))

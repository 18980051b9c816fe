"""`ksl sessions show ID`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.agents import looking
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_json
from ksl.cli.speaking import Speaking
from ksl.cli.words import step_of
from ksl.views.agent_steps import used

SHOWN = 2_000  # characters of a call's arguments, or of its result


@click.command(cls=Command, name="show")
@click.argument("session_id", metavar="ID")
@click.option(
    "--follow", is_flag=True, help="Stay until its newest prompt ends, and show what is said meanwhile."
)
@pass_invocation
def command(invocation: Invocation, session_id: str, follow: bool) -> None:
    """What was said in a session, which tools were called, what it used."""
    asyncio.run(_show(invocation, session_id, follow=follow))


async def _show(invocation: Invocation, session_id: str, *, follow: bool) -> None:
    async with looking(invocation) as looker:
        session = await looker.session(session_id)
        transcript = _Transcript(Speaking())
        if invocation.prints_json:
            emit_json(session)
        else:
            transcript.show(session)
        if follow and (prompt := session["prompts"][-1])["status"] == "running":
            async for item in looker.follow(prompt["run_id"]):
                if invocation.prints_json:
                    emit_json(item)
                elif item["type"] == "text":
                    transcript.hear(item, session_id)
                elif step_of(item).startswith(step_of(prompt)):
                    session = await looker.session(session_id)
                    transcript.show(session)
                    if session["prompts"][-1]["status"] != "running":
                        break
        if not invocation.prints_json:
            transcript.speaking.line(used(session["usage"]) or "No turn is recorded yet.")


class _Transcript:
    """Shows of a session what it did not show before."""

    def __init__(self, speaking: Speaking) -> None:
        self.speaking = speaking
        self._shown: list[int] = []  # messages of each prompt
        self._ended: set[int] = set()
        self._heard: list[str] = []  # steps whose words were written, oldest first

    def hear(self, text: Json, session_id: str) -> None:
        if text["session_id"] == session_id:
            if text["step"] not in self._heard:
                self._heard.append(text["step"])
            self.speaking.take(text, label="  assistant: ")

    def show(self, session: Json) -> None:
        for place, prompt in enumerate(session["prompts"]):
            if place == len(self._shown):
                self._shown.append(0)
                head = f"{prompt['at']}  {prompt['status']}  run {prompt['run_id']}  {prompt['step']}"
                self.speaking.line(head)
            for message in prompt["messages"][self._shown[place] :]:
                self._message(message)
            self._shown[place] = len(prompt["messages"])
            if prompt["error"] and place not in self._ended:
                self._ended.add(place)
                self.speaking.line(f"  failed: {prompt['error']['type']}: {prompt['error']['message']}")

    def _message(self, message: Json) -> None:
        if message["role"] == "assistant" and message.get("text") and self._heard:
            self.speaking.finish(self._heard.pop(0), message["text"])
        else:
            self.speaking.line(f"  {_line(message)}")


def _line(message: Json) -> str:
    match message["role"]:
        case "call":
            return f"calls {message['tool']}({compact(message['arguments'], SHOWN)})"
        case "result":
            return f"{message['tool']} gave {compact(message['result'], SHOWN)}"
        case role:
            return f"{role}: {message.get('text') or compact(message.get('output'), SHOWN)}"

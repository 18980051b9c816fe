"""Asking an agent something: which one, in which session, what."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import Choose, Fill
from ksl.tui.frame import Framed

Opened = Callable[[str, str], None]  # gets the ids of the session and of the run
# Wide enough for the field to be one of several lines.
_SCHEMA: Json = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string", "title": "Message", "maxLength": 1_000_000}},
}


def prompt(screen: Framed, agent: str | None = None, session: str | None = None, *, opened: Opened) -> None:
    """`agent` None: asks which. `session` None: a new one."""
    screen.run_worker(_prompt(screen, agent, session, opened), group="act")


async def _prompt(screen: Framed, agent: str | None, session: str | None, opened: Opened) -> None:
    if screen.client is None:
        return
    if agent is None:
        try:
            agents = (await screen.client.get("/agents"))["agents"]
        except (Lost, Refused) as error:
            screen.say(str(error), wrong=True)
            return
        options = [(each["slug"], each.get("description") or each.get("model") or "") for each in agents]
        if not options:
            screen.say("This project defines no agent yet: they belong in the folder agents/.", wrong=True)
            return
        agent = options[0][0] if len(options) == 1 else await _chosen(screen, options)
        if agent is None:
            return

    async def send(payload: object) -> Json:
        assert screen.client is not None
        given = {**cast(Json, payload), "session": session} if isinstance(payload, dict) else payload
        return await screen.client.post(f"/agents/{part(agent)}/prompt", given)

    heading = f"Prompt {agent}" if session is None else f"Prompt {agent} in {session}"
    begun = await screen.ksl.push_screen_wait(Fill(heading, _SCHEMA, send, verb="Send"))
    if begun is not None:
        opened(begun["session_id"], begun["run_id"])


async def _chosen(screen: Framed, options: list[tuple[str, str]]) -> str | None:
    return await screen.ksl.push_screen_wait(Choose("Prompt which agent?", options))

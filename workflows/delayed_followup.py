"""Ask, wait, and ask again only if nobody replied.

The wait may be a week: it costs no memory worth naming, and it ends on time if the machine was off meanwhile.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import Context, workflow

from actions.mail import find_reply, write_letter


class Question(BaseModel):
    folder: str = Field(
        description="Holds `outbox`, where letters go, and `inbox`, where replies are looked for."
    )
    to: str
    subject: str
    text: str
    wait: str = Field("3d", pattern=r"^[0-9]+(ms|s|m|h|d|w)$")


class FollowUp(BaseModel):
    letters: list[str]  # paths of the letters written
    reply: str | None  # text of the reply, if there was one in time


@workflow(slug="delayed-followup", description="Writes a letter, waits, and follows up if there is no reply.")
async def delayed_followup(input: Question, ctx: Context) -> FollowUp:
    question = await write_letter.run(
        folder=input.folder, to=input.to, subject=input.subject, text=input.text
    )
    await ctx.sleep(input.wait)
    reply = await find_reply.run(folder=input.folder, letter_id=question.id)
    if reply is not None:
        return FollowUp(letters=[question.path], reply=reply.text)
    reminder = await write_letter.run(
        folder=input.folder,
        to=input.to,
        subject=f"Re: {input.subject}",
        text=f"Did you see my question?\n\n> {input.text}",
    )
    return FollowUp(letters=[question.path, reminder.path], reply=None)

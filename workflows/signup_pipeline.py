"""One step after the other, with three days in between: nothing is kept in memory meanwhile."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import Context, workflow

from actions.signups import Brief, post_brief, research_signup


class Signup(BaseModel):
    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")


@workflow(slug="signup-pipeline", description="Looks into a signup, and reminds the office of it in time.")
async def signup_pipeline(input: Signup, ctx: Context) -> Brief:
    brief = await research_signup.run(name=input.name, email=input.email)
    await post_brief.run(text=brief.text)
    await ctx.sleep("3d")
    await post_brief.run(text=f"Three days ago: {brief.text} Time to ask how it goes.")
    return brief

"""`ksl runs fork ID --at STEP`"""

from __future__ import annotations

from typing import Any

import click

from ksl.cli.acting import act
from ksl.cli.arguments import JSON_SOURCE, WAIT_FOR
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


class _Output(click.ParamType[Any]):
    """A step's id and the JSON that is to be its output."""

    name = "STEP=JSON|@file|-"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bytes]:
        step, equals, text = str(value).partition("=")
        if not step or not equals:
            self.fail(f'"{value}" is not STEP=JSON, like charge-card#0={{"paid": true}}.', param, ctx)
        return step, JSON_SOURCE.convert(text, param, ctx)


@click.command(cls=Command, name="fork")
@click.argument("run_id", metavar="ID")
@click.option("--at", required=True, metavar="STEP", help="The first step that runs again, by its id.")
@click.option(
    "--set",
    "outputs",
    type=_Output(),
    multiple=True,
    help="An output in place of the recorded one; for the step of --at, instead of running it. May be repeated.",
)
@click.option("--input", "input_", type=JSON_SOURCE, help="In place of the run's input.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    run_id: str,
    at: str,
    outputs: tuple[tuple[str, bytes], ...],
    input_: bytes | None,
    wait_for: float,
) -> None:
    """Make a new run that keeps this one's history up to a step, and goes on from there.

    Prints the new run. The old one stays as it is; each names the other.
    """

    async def ask(client: Client) -> Json:
        return await client.fork(run_id, at=at, changes=dict(outputs), input=input_)

    act(ctx, invocation, ask, wait_for_s=wait_for, did=f"Made from {run_id}")

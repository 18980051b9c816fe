"""`ksl models`"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click
import msgspec

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.cli.project import settings_of

if TYPE_CHECKING:
    import httpx

PATIENCE_S = 3.0  # with one server, from the first byte to the last
_LIST_BYTES_MAX = 4 * 1024 * 1024


@click.command(cls=Command, name="models")
@pass_invocation
def command(invocation: Invocation) -> None:
    """Which vendors of models can be asked: whose key is set, and where; which servers of the project answer.

    A vendor's own servers are not called. Those of [models.providers] are asked for their models.
    """
    answer = asyncio.run(_ask(invocation))
    if invocation.prints_json:
        emit_json(answer)
        return
    rows = [
        (
            each["name"],
            "yes" if each["ready"] else "no",
            each["key"] or "",
            each["address"] or "",
            each["hint"] or _few(each["models"]),
        )
        for each in answer["vendors"]
    ]
    emit_table(("VENDOR", "READY", "KEY", "ADDRESS", ""), rows)
    click.echo(f"models.default is {answer['default'] or 'not set'}.", err=True)


async def _ask(invocation: Invocation) -> Json:
    from ksl.runtime.agents import key_given_by, models_of
    from ksl.runtime.credentials import credentials_of, set_credentials

    settings = settings_of(invocation)
    models = models_of(settings, os.environ, set_credentials=set_credentials(settings))

    async def find(name: str) -> str | None:
        async with credentials_of(settings) as vault:
            return await key_given_by(vault, name)

    shown: list[Json] = []
    for vendor in models.vendors():
        line: Json = {
            "name": vendor.name,
            "kind": vendor.kind,
            "address": vendor.address or None,
            "ready": vendor.ready,
            "key": vendor.key or None,
            "hint": vendor.hint,
            "models": [],
        }
        if vendor.ready and vendor.address and vendor.kind == "openai":
            line |= await _look(vendor.address, await models.key(vendor.name, find))
        shown.append(line)
    return {"default": settings.models.default or None, "vendors": shown}


async def _look(address: str, key: str) -> Json:
    """What its list of models says."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            httpx.AsyncClient(timeout=PATIENCE_S, headers=headers) as client,
            client.stream("GET", f"{address}/models") as answer,
        ):
            answer.raise_for_status()
            listed = msgspec.json.decode(await _read(answer))
            return {"models": sorted(str(each["id"]) for each in listed["data"])}
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (404, 405):
            return {"models": []}  # it is there, and has no such list
        return {"ready": False, "hint": f"answers {error.response.status_code}"}
    except TimeoutError:
        return {"ready": False, "hint": f"came to no end in {PATIENCE_S:g} s"}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return {"ready": False, "hint": f"does not answer: {error or type(error).__name__}"}
    except (ValueError, KeyError, TypeError):
        return {"models": []}


async def _read(answer: httpx.Response) -> bytes:
    """Errors: ValueError where it is more than a list of models can be."""
    found = bytearray()
    async for piece in answer.aiter_bytes():
        found += piece
        if len(found) > _LIST_BYTES_MAX:
            raise ValueError
    return bytes(found)


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")

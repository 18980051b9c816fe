"""Servers of the Model Context Protocol, whose tools an agent may be given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from string import Template
from typing import Any
from urllib.parse import urlsplit

from ksl.define.credential import Credential
from ksl.define.slug import check_slug, slug_of
from ksl.define.tool_source import ToolSource
from ksl.errors import MalformedDefinition


class Blanks(Template):
    """`${NAME}`, a variable of ksl's environment, or `${credential.field}`."""

    idpattern = "(?!)"  # none without braces
    braceidpattern = r"(?a:[_A-Za-z][_A-Za-z0-9]*|[a-z0-9][a-z0-9-]*\.[_A-Za-z][_A-Za-z0-9]*)"
    flags = re.NOFLAG


class McpServer(ToolSource):
    """Made by `mcp`."""

    def __init__(
        self,
        server: str,
        *,
        name: str | None,
        tools: Sequence[str] | None,
        headers: Mapping[str, str],
        env: Mapping[str, str],
        credentials: Sequence[Credential[Any]],
        timeout_s: float,
    ) -> None:
        self.url = server if server.startswith(("http://", "https://")) else None
        self.command = [] if self.url else _command(server)
        if self.url and env:
            raise MalformedDefinition(
                f"mcp({server!r}): env=... is for servers that are started; use headers=...."
            )
        if self.command and headers:
            raise MalformedDefinition(
                f"mcp({server!r}): headers=... is for servers at an address; use env=...."
            )
        self.name = check_slug(name or self._own_name(), where=f"mcp({server!r}), name=")
        self.tools = None if tools is None else tuple(tools)
        self.headers = dict(headers)
        self.env = dict(env)
        self.credentials = tuple(credentials)
        self.timeout_s = timeout_s
        self._check_blanks(server)

    def __repr__(self) -> str:
        return f"mcp({self.name!r})"

    def _check_blanks(self, server: str) -> None:
        named = {credential.name: credential for credential in self.credentials}
        for value in (*self.headers.values(), *self.env.values()):
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise MalformedDefinition(
                    f"mcp({server!r}): the values of headers and env are texts, not {value!r}. A credential goes into "
                    'credentials=[...], and "${name.field}" stands for what is set in it.'
                )
            if not Blanks(value).is_valid():
                raise MalformedDefinition(
                    f"mcp({server!r}): {value!r} cannot be read. A blank is ${{NAME}}, a variable, or "
                    "${credential.field}; $$ is a dollar sign."
                )
            for blank in Blanks(value).get_identifiers():
                name, dot, field = blank.partition(".")
                if dot and name not in named:
                    raise MalformedDefinition(
                        f"mcp({server!r}): ${{{blank}}} asks for credential {name}, which is not among "
                        f"credentials=[...]: {', '.join(named) or 'none'}."
                    )
                if dot and field not in named[name].fields.model_fields:
                    raise MalformedDefinition(
                        f"mcp({server!r}): credential {name} has no field {field}. It has "
                        f"{', '.join(named[name].fields.model_fields)}."
                    )

    def _own_name(self) -> str:
        own = (urlsplit(self.url).hostname or "") if self.url else PurePath(self.command[0]).stem
        return slug_of(own)


def mcp(
    server: str,
    *,
    name: str | None = None,
    tools: Sequence[str] | None = None,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    credentials: Sequence[Credential[Any]] = (),
    timeout_s: float = 300,
) -> McpServer:
    """The tools of an MCP server, for `Agent(tools=[...])`. `server` is its address (http or https), or the command
    that starts it, which then speaks on its standard input and output.

    `name` begins the names of its tools; without one it is taken from the address or the program. `tools` are those the
    agent may use, by the server's own names; None: all that it lists when a prompt begins. In `headers` and `env`
    `${tickets.token}` stands for a field of one of the `credentials`, looked up as for an action, and `${NAME}` for a
    variable of ksl's environment. A call may take `timeout_s`.
    """
    return McpServer(
        server,
        name=name,
        tools=tools,
        headers=headers or {},
        env=env or {},
        credentials=credentials,
        timeout_s=timeout_s,
    )


def _command(text: str) -> list[str]:
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise MalformedDefinition(f"mcp({text!r}): the command cannot be read: {error}.") from None
    if not command:
        raise MalformedDefinition("mcp(''): it wants an address or a command.")
    return command

"""Servers of the Model Context Protocol, whose tools an agent may be given."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

from ksl.define.slug import check_slug, slug_of
from ksl.define.tool_source import ToolSource
from ksl.errors import MalformedDefinition


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
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"mcp({self.name!r})"

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
    timeout_s: float = 300,
) -> McpServer:
    """The tools of an MCP server, for `Agent(tools=[...])`. `server` is its address (http or https), or the command
    that starts it, which then speaks on its standard input and output.

    `name` begins the names of its tools; without one it is taken from the address or the program. `tools` are those the
    agent may use, by the server's own names; None: all that it lists when a prompt begins. In `headers` and `env` a
    `${NAME}` stands for a variable of ksl's environment. A call may take `timeout_s`.
    """
    return McpServer(
        server, name=name, tools=tools, headers=headers or {}, env=env or {}, timeout_s=timeout_s
    )


def _command(text: str) -> list[str]:
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise MalformedDefinition(f"mcp({text!r}): the command cannot be read: {error}.") from None
    if not command:
        raise MalformedDefinition("mcp(''): it wants an address or a command.")
    return command

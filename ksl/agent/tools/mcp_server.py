"""The tools of an MCP server, spoken to by the protocol's own client."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ksl.agent.kept import Kept
from ksl.agent.tool_set import Offer, Secrets, ToolContext, ToolError, ToolSpec
from ksl.define.credential import NO_CREDENTIALS
from ksl.define.mcp import Blanks, McpServer
from ksl.errors import ExtraMissing, FatalError

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult

Json = dict[str, Any]
CONNECT_S = 30
TOOLS_MAX = 128
RESULT_CHARS_MAX = 200_000
IDLE_MAX = 4  # connections to one server: to each other secrets there is one of their own
_NAME_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what vendors of models take
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
# Names of variables that hold secrets. What stands in headers is taken for one in any case.
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)


class McpTools:
    """`ksl.agent.tool_set.ToolSet` over one server. It is connected to when it is first needed, and again when the
    connection is lost or a secret is another; the connection is shared by all sessions of the agent with the same
    secrets."""

    names = ()  # those of a server are known when it is asked

    def __init__(self, server: McpServer) -> None:
        self.name = server.name
        self._server = server
        self._connections: Kept[tuple[str, ...], _Connection] = Kept(_closed, idle_max=IDLE_MAX)

    async def offer(self, context: ToolContext) -> Offer:
        async with self._connected(context) as connection:
            client = await connection.open()
            try:
                listed = await _listed(client)
            except Exception as error:
                connection.look_at(error)
                # Of the kind after which the prompt's first step is tried again.
                raise ConnectionError(
                    f"MCP server {self.name} did not list its tools: {_told(error)}"
                ) from None
        allowed = self._server.tools
        listed = [tool for tool in listed if allowed is None or tool.name in allowed]
        missing = set(allowed or ()) - {tool.name for tool in listed}
        if missing:
            raise FatalError(
                f"MCP server {self.name} has no tool {', '.join(sorted(missing))}, which the agent names."
            )
        if len(listed) > TOOLS_MAX:
            raise FatalError(
                f"MCP server {self.name} has {len(listed)} tools; an agent can have {TOOLS_MAX} of one server. "
                "Name those it needs with tools=[...]."
            )
        names = names_for_models(self.name, [tool.name for tool in listed])
        return Offer([_spec(tool, names[tool.name]) for tool in listed])

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        async with self._connected(context) as connection:
            client = await connection.open()
            try:
                result = await client.call_tool(
                    tool,
                    arguments,
                    read_timeout_seconds=self._server.timeout_s,
                    meta=cast("Any", {"ksl/idempotency-key": context.idempotency_key}),
                )
            except Exception as error:
                connection.look_at(error)
                raise ToolError(f"MCP server {self.name}: {_told(error)}") from None
        return _value(result)

    async def close(self) -> None:
        await self._connections.close()

    @asynccontextmanager
    async def _connected(self, context: ToolContext) -> AsyncGenerator[_Connection]:
        filled = await filled_in(self._server, context.secrets)

        async def make() -> _Connection:
            return _Connection(self._server, context.folder, filled)

        if not context.run_id:
            # A script: nobody says when it has no more calls.
            connection = await make()
            try:
                yield connection
            finally:
                await connection.close()
            return
        key = tuple(filled.values())
        async with self._connections.use(key, make, is_good=lambda each: not each.is_lost) as connection:
            yield connection


def names_for_models(server: str, own: Sequence[str]) -> dict[str, str]:
    """What models call the tools of a server, by the server's own names: letters, digits, `_` and `-`, at most 64.

    A name that had to be changed ends with a mark of what it was where another could be taken for it.
    """
    plain = {name: f"{server}_{name}" for name in own}
    names = {name: visible for name, visible in plain.items() if _NAME.fullmatch(visible)}
    taken = set(names.values())
    for name in own:
        if name in names:
            continue
        visible = _OTHER.sub("_", plain[name])
        if len(visible) > _NAME_MAX or visible in taken:
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            visible = f"{visible[: _NAME_MAX - 9]}_{mark}"
        names[name] = visible
        taken.add(visible)
    return names


def _spec(tool: Any, name: str) -> ToolSpec:
    hints = tool.annotations
    is_harmless = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
    return ToolSpec(
        name,
        tool.description or tool.name,
        dict(tool.input_schema),
        own=tool.name,
        effect="at_least_once" if is_harmless else "at_most_once",
    )


class _Connection:
    """One connection, in a task of its own: the client is to be entered and left in the same one."""

    def __init__(self, server: McpServer, folder: Path, filled: Mapping[str, str]) -> None:
        """`filled`: headers, or the environment of the process."""
        self._server = server
        self._filled = filled
        self._folder = folder
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._end = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        return self._end.is_set() or (self._task is not None and self._task.done())

    def look_at(self, error: Exception) -> None:
        """What a call raised. An answer of the server, even of its refusal, means that there is one."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        if not isinstance(error, MCPError) or error.code == CONNECTION_CLOSED:
            self._end.set()

    async def open(self) -> Client:
        """Errors: ConnectionError, FatalError."""
        if self._task is None:
            self._task = asyncio.create_task(self._live(), name=f"mcp-{self._server.name}")
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        self._end.set()
        if self._task is not None:
            if not self._opened.done():
                self._task.cancel()  # nobody waits for it any more
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail(
            ConnectionError(f"MCP server {self._server.name} is not spoken to any more; ksl is stopping.")
        )
        self._opened.exception()  # it was told, if anybody asked

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(CONNECT_S):
                    client = await stack.enter_async_context(await self._client(stack))
                self._opened.set_result(client)
                await self._end.wait()
        except (FatalError, ExtraMissing) as error:
            self._fail(error)
        except Exception as error:
            self._fail(ConnectionError(f"MCP server {self._server.name} cannot be reached: {_told(error)}"))

    def _fail(self, error: Exception) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)

    async def _client(self, stack: AsyncExitStack) -> Client:
        require_extra(self._server)
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared._httpx_utils import create_mcp_http_client

        server = self._server
        if server.url is not None:
            http = create_mcp_http_client(headers=dict(self._filled))
            transport = streamable_http_client(server.url, http_client=await stack.enter_async_context(http))
        else:
            started = StdioServerParameters(
                command=server.command[0],
                args=server.command[1:],
                env=dict(self._filled),
                cwd=self._folder,
            )
            transport = stdio_client(started, errlog=sys.__stderr__ or sys.stderr)
        return Client(transport, read_timeout_seconds=CONNECT_S, cache=None)


def require_extra(server: McpServer) -> None:
    if importlib.util.find_spec("mcp") is None:
        raise ExtraMissing(
            f"{server!r} needs the client of the Model Context Protocol, which comes with an extra of ksl. Nothing was "
            'changed. Install it: `pip install "ksl[mcp]"`.'
        )


async def _listed(client: Client) -> list[Any]:
    tools: list[Any] = []
    cursor: str | None = None
    while len(tools) <= 10 * TOOLS_MAX:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _value(result: CallToolResult) -> Any:
    texts: list[str] = []
    for part in result.content:
        match part.type:
            case "text":
                texts.append(part.text)
            case "resource" if hasattr(part.resource, "text"):
                texts.append(cast("Any", part.resource).text)
            case kind:
                texts.append(f"[{kind}, not shown]")
    text = "\n".join(texts)
    if result.is_error:
        raise ToolError(text[:RESULT_CHARS_MAX] or "the tool failed, and did not say why")
    if not text and result.structured_content is not None:
        return result.structured_content
    if len(text) > RESULT_CHARS_MAX:
        return f"{text[:RESULT_CHARS_MAX]}\n[cut after {RESULT_CHARS_MAX:,} characters of {len(text):,}]"
    return text


async def filled_in(server: McpServer, secrets: Secrets) -> dict[str, str]:
    """The headers or the environment of a server, with their blanks filled in. Errors: FatalError for a variable that
    is not set, MissingCredential."""
    given = await secrets.credentials(server.credentials) if server.credentials else NO_CREDENTIALS
    filled: dict[str, str] = {}
    for name, value in (server.headers or server.env).items():
        blanks: dict[str, str] = {}
        for blank in Blanks(value).get_identifiers():
            credential, dot, field = blank.partition(".")
            if dot:
                blanks[blank] = _text(getattr(given[credential], field))
                continue
            if blank not in os.environ:
                raise FatalError(
                    f"{server!r}: {name} wants the variable {blank}, which is not set. Set it in the environment of "
                    "ksl and start it again, or use a credential: credentials=[...] and ${credential.field}."
                )
            blanks[blank] = os.environ[blank]
            if server.headers or _SECRET.search(f"{name} {blank}"):
                secrets.learn(server.name, os.environ[blank])
        filled[name] = Blanks(value).substitute(blanks)
    return filled


def _text(value: Any) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(value if reveal is None else reveal())


async def _closed(connection: _Connection) -> None:
    await connection.close()


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return str(error) or type(error).__name__
